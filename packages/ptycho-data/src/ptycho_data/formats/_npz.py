"""The NPZ contract: arrays under agreed names; see `ptycho_data._contract`."""

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
from ptycho_config.plain_text import shortened

from ptycho_data._contract import (
    ALIASES,
    KNOWN_KEYS,
    STACK_KEYS,
    check_layout,
    resolve_aliases,
)
from ptycho_data._files import jsonable, write_npz
from ptycho_data._measure import Checksum
from ptycho_data._npz import Archive, Member
from ptycho_data._order import AXES
from ptycho_data._scan import Scan
from ptycho_data._statements import read_statements
from ptycho_data._values import check_small
from ptycho_data._violations import Findings, ScanFormatError
from ptycho_data.formats._base import Container, Format, Loaded, Opened, Raw

__all__ = ["FORMAT", "contract_members", "read_contract", "write_scan_npz"]


def contract_members(scan: Scan, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all arrays of a file of the contract; stacks are not copied.

    A single probe is (N, N), as older readers of these files expect. What is given as `more` is
    added to ``_metadata``.
    """
    arrays = scan.arrays()
    if len(scan.probe) == 1:
        arrays["probeGuess"] = scan.probe[0]
    arrays["domain"] = np.array(scan.domain)
    for key, value in (("nphotons", scan.nphotons), ("pixel_size_m", scan.pixel_size_m)):
        if value is not None:
            arrays[key] = np.array(value, dtype=np.float64)
    metadata: dict[str, object] = {"axes": AXES, "domain": scan.domain}
    metadata |= scan.experiment() | ({"probe_made": True} if scan.probe_made else {})
    arrays["_metadata"] = np.array(json.dumps(jsonable({**(more or {}), **metadata})))
    _require_readable(arrays, str(scan.source or "scan"))
    return arrays


def _require_readable(arrays: Mapping[str, Any], name: str) -> None:
    """Refuse what `read_contract` would: everything but the patterns is looked at."""
    findings = Findings(name)
    layout = check_layout(arrays, findings)
    small = {key: arrays[key] for key in layout.usable if key not in STACK_KEYS}
    read_statements(small, findings)
    check_small(small, findings)
    if findings.violations:
        raise ScanFormatError(findings.violations)


def write_scan_npz(path: str | PathLike[str], scan: Scan, overwrite: bool = False) -> list[str]:
    """Write a scan as `ptycho_data.save_scan` does; nothing is lost, so the list is empty."""
    write_npz(path, contract_members(scan), overwrite=overwrite)
    return []


def _matches(file: Container) -> bool:
    """Match any NPZ file: missing arrays are reported one by one."""
    return isinstance(file, Archive)


def _holds_patterns(file: Container) -> bool:
    return isinstance(file, Archive) and ("diffraction" in file or "diff3d" in file)


def read_contract(opened: Opened) -> Raw:
    """Describe the arrays; stacks are mapped when they are asked for, and checked by checksum."""
    archive = opened.file
    if not isinstance(archive, Archive):
        raise TypeError(f"{archive.path}: not an NPZ file")
    members: dict[str, Member] = {}
    for key, name in resolve_aliases(archive.names).items():
        try:
            members[key] = archive.header(name)
        except ScanFormatError as error:
            opened.note(key, error)

    def read(keys: frozenset[str]) -> Loaded:
        return _load(archive, {key: members[key] for key in sorted(keys)}, opened)

    others = sorted(set(archive.names) - set(KNOWN_KEYS) - set(ALIASES))
    named = ", ".join(shortened(name, 60) for name in others[:8])
    also = f" (but {named})" if others else ""  # one of them may be the probe
    return Raw(
        headers=members,
        read=read,
        names=archive.names,
        files=(archive.path,),
        may_lack=("probeGuess",),
        no_probe=f"no array probeGuess in the file{also}",
    )


def _load(archive: Archive, members: Mapping[str, Member], opened: Opened) -> Loaded:
    arrays: dict[str, Any] = {}
    checksums: dict[str, Checksum] = {}
    for key, member in members.items():
        try:
            if key not in STACK_KEYS:
                arrays[key] = archive.read(member.name)
                continue
            arrays[key], start = archive.map(member.name)
            if start is not None:
                checksums[key] = Checksum(start=start, target=member.info.CRC)
        except ScanFormatError as error:
            opened.note(key, error)
    return arrays, checksums


FORMAT = Format(
    name="npz",
    title="NPZ contract",
    matches=_matches,
    holds_patterns=_holds_patterns,
    read=read_contract,
    write=write_scan_npz,
    units="positions in object pixels",
    suffix=".npz",
)

"""The NPZ contract: arrays under names that are agreed on; see `ptycho_data.contract`."""

from collections.abc import Mapping
from typing import Any

from ptycho_data.contents import Checksum
from ptycho_data.contract import STACK_KEYS, resolve_aliases
from ptycho_data.formats.base import Container, Format, Loaded, Opened, Raw
from ptycho_data.formats.write_npz import write_scan_npz
from ptycho_data.npz import Archive, Member

__all__ = ["FORMAT", "read_contract"]


def _matches(file: Container) -> bool:
    """Any NPZ file: what it lacks is told key by key."""
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
        with opened.collecting(key):
            members[key] = archive.member(name)

    def read(keys: frozenset[str]) -> Loaded:
        return _load(archive, {key: members[key] for key in sorted(keys)}, opened)

    return Raw(headers=members, read=read, names=archive.names, files=(archive.path,))


def _load(archive: Archive, members: Mapping[str, Member], opened: Opened) -> Loaded:
    arrays: dict[str, Any] = {}
    checksums: dict[str, Checksum] = {}
    for key, member in members.items():
        with opened.collecting(key):
            if key not in STACK_KEYS:
                arrays[key] = archive.read(member)
                continue
            arrays[key], start = archive.map(member)
            if start is not None:
                checksums[key] = Checksum(start=start, target=member.info.CRC)
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

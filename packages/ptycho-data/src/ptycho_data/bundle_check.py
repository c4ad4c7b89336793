"""The manifest of a bundle: written last, read first, and every member held against it."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from ptycho_data.bundle_zip import (
    MANIFEST,
    BundleError,
    Members,
    check_names,
    check_size,
    old_models,
    open_members,
)

__all__ = ["FORMAT", "FORMAT_VERSION", "MEMBERS", "MODELS", "check_bundle"]

FORMAT = "ptycho-bundle"
FORMAT_VERSION = 1

# What calling code may ask a bundle for: patches with predicted diffraction, and patches alone.
MODELS = ("autoencoder", "diffraction_to_obj")

MEMBERS = (
    "config.json",
    "history.json",
    "probe.npy",
    "scaling.json",
    "weights.safetensors",
)


def check_bundle(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Check a bundle from end to end without interpreting any member but the manifest.

    Parameters
    ----------
    path
        The file, the folder that holds it, or a folder of its unpacked members.

    Returns
    -------
    dict
        The manifest: ``format``, ``format_version``, ``backend``, ``models``, ``versions``,
        ``created`` (ISO, UTC) and ``members`` (name to ``sha256`` and ``size`` in bytes).

    Raises
    ------
    BundleError
        Not a bundle, a newer format, a missing or unlisted member, wrong size or hash, an unsafe
        name, an absurd size: whichever comes first.
    """
    with open_members(path) as members:
        manifest = read_manifest(members)
        for name in manifest["members"]:
            read_member(members, manifest, name)
    return manifest


def make_manifest(
    contents: Mapping[str, bytes], *, backend: str, versions: Mapping[str, str], created: str
) -> dict[str, Any]:
    """Describe the members `contents` (name to bytes)."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "backend": backend,
        "models": list(MODELS),
        "versions": dict(versions),
        "created": created,
        "members": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in contents.items()
        },
    }


def read_manifest(members: Members) -> dict[str, Any]:
    """Read the manifest and compare its list of names and sizes with what is there.

    Raises
    ------
    BundleError
        As :func:`check_bundle`, short of the hashes.
    """
    path = members.path
    if MANIFEST not in members.sizes:
        raise BundleError(path, old_models(members.sizes) or f"not a bundle: no {MANIFEST} in it")
    manifest = parse_json(members, MANIFEST, members.read(MANIFEST))
    if manifest.get("format") != FORMAT:
        raise BundleError(path, f"not a bundle: {MANIFEST} does not state format {FORMAT!r}")
    _check_version(members, manifest.get("format_version"))
    _check_fields(members, manifest)
    listed = manifest["members"]
    check_names(path, list(listed))
    for name in sorted({*MEMBERS, *listed}):
        if name not in listed:
            raise BundleError(path, f"member {name!r} is not listed in {MANIFEST}")
        if name not in members.sizes:
            raise BundleError(path, f"member {name!r} is missing")
        _check_listed_size(members, name, listed[name])
    unlisted = members.sizes.keys() - listed.keys() - {MANIFEST}
    if members.complete and unlisted:
        raise BundleError(path, f"member {min(unlisted)!r} is not listed in {MANIFEST}")
    return manifest


def read_member(members: Members, manifest: Mapping[str, Any], name: str) -> bytes:
    """Read one member and compare its hash, before anyone interprets it.

    Raises
    ------
    BundleError
        The bytes are not those the manifest speaks of.
    """
    data = members.read(name)
    if hashlib.sha256(data).hexdigest() != manifest["members"][name]["sha256"]:
        problem = f"member {name!r} does not match its SHA-256 in {MANIFEST}: damaged or altered"
        raise BundleError(members.path, problem)
    return data


def parse_json(members: Members, name: str, data: bytes) -> dict[str, Any]:
    """Read a member that is a JSON object.

    Raises
    ------
    BundleError
        It is not.
    """
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise BundleError(members.path, f"member {name!r} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise BundleError(members.path, f"member {name!r} is not a JSON object")
    return value


def _check_version(members: Members, version: object) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError(members.path, f"{MANIFEST} states no format version ({version!r})")
    if version > FORMAT_VERSION:
        problem = (
            f"bundle format {version} is newer than {FORMAT_VERSION}, the newest known here; "
            "update ptycho-data"
        )
        raise BundleError(members.path, problem)


def _check_fields(members: Members, manifest: Mapping[str, Any]) -> None:
    kinds = {"backend": str, "models": list, "versions": dict, "created": str, "members": dict}
    for key, kind in kinds.items():
        if not isinstance(manifest.get(key), kind):
            found = type(manifest.get(key)).__name__
            problem = f"{MANIFEST}: {key!r} must be of type {kind.__name__}, found {found}"
            raise BundleError(members.path, problem)


def _check_listed_size(members: Members, name: str, entry: object) -> None:
    size = members.sizes[name]
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        raise BundleError(members.path, f"{MANIFEST} states no size and SHA-256 of {name!r}")
    check_size(members.path, name, size, size)
    if entry.get("size") != size:
        problem = f"member {name!r} has {size} bytes, {MANIFEST} states {entry.get('size')}"
        raise BundleError(members.path, problem)

"""Mutations of bundles and checkpoints: members, manifests that fit them again, pickles."""

import hashlib
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import samples  # noqa: F401 - puts the mutations of ptycho-data on the path
import texts
import zips

Random = np.random.Generator
Members = dict[str, bytes]


def _read(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def _write(path: Path, members: Members) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def rehash(members: Members) -> None:
    """Make the manifest fit the members again, as somebody would who means harm."""
    try:
        manifest = json.loads(members["manifest.json"])
        listed = manifest["members"]
    except (KeyError, TypeError, ValueError):
        return
    for name, data in members.items():
        if name != "manifest.json":
            entry = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            if isinstance(listed, dict):
                old = listed.get(name)
                if isinstance(old, dict):
                    listed[name] = {k: entry.get(k, v) for k, v in old.items()}
                else:
                    listed[name] = entry["sha256"]
    members["manifest.json"] = json.dumps(manifest).encode()


def _weights(data: bytes, rng: Random) -> bytes:
    """Damage a safetensors file: its header, or the numbers."""
    (size,) = struct.unpack("<Q", data[:8])
    header, body = data[8 : 8 + size].decode(), bytearray(data[8 + size :])
    way = int(rng.integers(6))
    if way == 0:
        size = int(texts.chosen([0, 2**62, 2**64 - 1, len(data), size // 2], rng))
        return struct.pack("<Q", size) + data[8:]
    if way == 1:
        return data[: int(rng.integers(len(data)))]
    if way in (2, 3):
        numbers = np.frombuffer(bytes(body), np.float32).copy()
        value = texts.chosen([np.nan, np.inf, 1e38, -1e38, 0, 1e-45, 1e10], rng)
        numbers[... if way == 2 else int(rng.integers(numbers.size))] = value
        return data[: 8 + size] + numbers.tobytes()
    changed = texts.mutate_json(header, rng).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(changed)) + changed + bytes(body)


def _array(data: bytes, rng: Random, trap: Path) -> bytes:
    one = dict.fromkeys("abcd", data)
    texts.chosen(zips.MEMBERS, rng)(one, rng, trap)
    return next((value for value in one.values() if value != data), b"")


def mutate(path: Path, rng: Random, trap: Path) -> str:
    """Damage one member of a bundle; the manifest mostly fits again. Return what was damaged."""
    members = _read(path)
    name = texts.chosen(list(members), rng)
    data = members[name]
    way = int(rng.integers(8))
    if way == 0:
        del members[name]
    elif way == 1:
        members[texts.chosen(["../x", "/x", "x.pkl", "x" * 300, "X\x1b[2J", "é"], rng)] = data
    elif name.endswith(".json"):
        text = texts.mutate_json(data.decode(), rng)
        members[name] = text.encode("utf-8", "surrogatepass")
    elif name.endswith(".safetensors"):
        members[name] = _weights(data, rng)
    elif name.endswith(".npy"):
        members[name] = _array(data, rng, trap)
    if name != "manifest.json" and rng.random() < 0.8:
        rehash(members)
    _write(path, members)
    return name


class Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path(self.path),)


def mutate_checkpoint(path: Path, rng: Random, trap: Path) -> str:
    """Damage the members of a checkpoint (a ZIP file of either backend)."""
    members = _read(path)
    names = list(members)
    name = texts.chosen(names, rng)
    if rng.random() < 0.3:
        name = max(names, key=lambda n: n.endswith("data.pkl"))
    data = bytearray(members[name])
    way = int(rng.integers(6))
    if way == 0:
        del members[name]
    elif way == 1 and name.endswith(".pkl"):
        members[name] = pickle.dumps(Planted(str(trap)))
    elif way == 2:
        members[name] = b""
    elif way == 3 and data:
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        members[name] = bytes(data)
    elif way == 4:
        stream = io.BytesIO()
        np.save(stream, np.array([np.nan] * 5))
        members[name] = stream.getvalue()
    else:
        other = texts.chosen(names, rng)
        members[name], members[other] = members[other], members[name]
    _write(path, members)
    return name

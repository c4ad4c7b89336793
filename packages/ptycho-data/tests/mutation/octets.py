"""Mutations of bytes, for files of any format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

Random = np.random.Generator


def _place(rng: Random, size: int) -> int:
    """Choose a place; half of them near one of the ends, where the structure is."""
    end = int(rng.integers(0, min(size, 1500)))
    return int(rng.choice([rng.integers(0, size), rng.integers(0, size), end, size - 1 - end]))


def flip(data: bytearray, rng: Random) -> None:
    for _ in range(int(rng.integers(1, 9))):
        data[_place(rng, len(data))] ^= 1 << int(rng.integers(0, 8))


def scramble(data: bytearray, rng: Random) -> None:
    start, length = _place(rng, len(data)), int(rng.integers(1, 64))
    data[start : start + length] = rng.bytes(len(data[start : start + length]))


def saturate(data: bytearray, rng: Random) -> None:
    """Sizes and offsets become the largest there are, or zero."""
    start = _place(rng, len(data))
    part = data[start : start + int(rng.choice([1, 2, 4, 8]))]
    data[start : start + len(part)] = bytes([int(rng.choice([0, 255]))]) * len(part)


def truncate(data: bytearray, rng: Random) -> None:
    del data[_place(rng, len(data)) :]


def cut_out(data: bytearray, rng: Random) -> None:
    start = _place(rng, len(data))
    del data[start : start + int(rng.integers(1, 600))]


def insert(data: bytearray, rng: Random) -> None:
    start = _place(rng, len(data))
    data[start:start] = rng.bytes(int(rng.integers(1, 600)))


def repeat(data: bytearray, rng: Random) -> None:
    start = _place(rng, len(data))
    data[start:start] = data[start : start + int(rng.integers(1, 600))]


def behead(data: bytearray, rng: Random) -> None:
    data[:0] = rng.bytes(int(rng.choice([1, 512, 1000])))


def tail(data: bytearray, rng: Random) -> None:
    data += rng.bytes(int(rng.integers(1, 5000)))


def twice(data: bytearray, _: Random) -> None:
    data += bytes(data)


def empty(data: bytearray, _: Random) -> None:
    data.clear()


def only_the_start(data: bytearray, rng: Random) -> None:
    del data[int(rng.integers(1, 12)) :]


MUTATIONS: list[Callable[[bytearray, Random], None]] = [
    flip, scramble, saturate, truncate, flip, cut_out, insert, repeat, behead, tail, twice, empty,
    only_the_start,
]  # fmt: skip


def mutate(path: Path, kind: Callable[[bytearray, Random], None], rng: Random) -> None:
    data = bytearray(path.read_bytes())
    kind(data, rng)
    path.write_bytes(data)

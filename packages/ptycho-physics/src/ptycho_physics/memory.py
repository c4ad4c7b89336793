"""The memory that an object needs, and what is free of that of the machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError

__all__ = [
    "Misplaced",
    "free_memory",
    "machine_memory",
    "misplaced",
    "object_memory",
    "require_memory",
]

BYTES_PER_PIXEL = 140
"""Sums and weights of the tiles, nine per pixel, and of the canvas assembled from them."""

LONGEST = 2**31
"""Largest plausible position, in pixels; larger ones are in another unit."""

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
_INFINITE = float("inf")


def object_memory(positions: NDArray[np.float64], N: int) -> float:
    """Return the bytes needed to reconstruct the object at ``positions``.

    Parameters
    ----------
    positions : (n, 2) float64
        Patch centres ``(x, y)`` in pixels of the object grid; at least one.
    N
        Patch size in pixels.
    """
    width, height = _extent(positions, N)
    return width * height * BYTES_PER_PIXEL


def _extent(positions: NDArray[np.float64], N: int) -> tuple[float, float]:
    with np.errstate(over="ignore"):  # infinite is too large as well
        width, height = (np.ptp(positions, axis=0) + N).tolist()
    return width, height


@frozen
class Misplaced:
    """Why the object at some positions cannot be made, and the position to blame.

    Attributes
    ----------
    rule, got, advice : str
        For a message: what positions must be, what they are, and what to do.
    number : int
        Index of the position that is not finite, or farthest from the middle of all.
    needed : float
        Bytes of the object; infinite where they have no number.
    """

    rule: str
    got: str
    advice: str
    number: int
    needed: float


def misplaced(positions: NDArray[np.float64], N: int) -> Misplaced | None:
    """Find out whether the object at some positions fits into the free memory of this machine.

    Parameters
    ----------
    positions : (n, 2) float64
        Patch centres ``(x, y)`` in pixels of the object grid.
    N
        Patch size in pixels.

    Returns
    -------
    Misplaced or None
        None if it fits, or there are no positions.
    """
    if not len(positions):
        return None
    broken = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(broken):
        x, y = positions[broken[0]].tolist()
        got = f"({x:g}, {y:g}) at number {broken[0]}"
        advice = "leave out the patterns without a position"
        return Misplaced("finite", got, advice, int(broken[0]), _INFINITE)
    size, free = object_memory(positions, N), free_memory()
    if size <= free and np.abs(positions).max() <= LONGEST:
        return None
    width, height = _extent(positions, N)
    with np.errstate(over="ignore"):
        away = np.hypot(*(positions - np.median(positions, axis=0)).T)
    farthest = int(np.argmax(away))
    x, y = positions[farthest].tolist()
    return Misplaced(
        "pixels of the object grid whose object fits into memory",
        f"a span of {width:.6g} x {height:.6g} pixels, {size / 2**30:.3g} GiB for the object where "
        f"{free / 2**30:.3g} GiB are free",
        f"check their unit, and whether one of them is wrong: number {farthest} is the farthest, "
        f"({x:.6g}, {y:.6g}), {away[farthest]:.6g} pixels from their middle",
        farthest,
        size,
    )


def require_memory(positions: NDArray[np.float64], N: int) -> None:
    """Refuse positions whose object does not fit into the free memory of this machine.

    Parameters
    ----------
    positions : (n, 2) float64
        Patch centres ``(x, y)`` in pixels of the object grid.
    N
        Patch size in pixels.

    Raises
    ------
    InvalidValueError
        If one is not finite, or they span too much; the message names the position to blame.
    """
    found = misplaced(positions, N)
    if found is not None:
        raise InvalidValueError("positions", found.rule, found.got, found.advice)


def machine_memory() -> float:
    """Return the memory of this machine in bytes, or that of the container if it is less.

    Infinite where the system does not report it.
    """
    limits = [_INFINITE]
    with contextlib.suppress(AttributeError, OSError, ValueError):
        limits.append(float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    limits += [limit for limit, _ in _container_limits(_PROC, _CGROUP)]
    return min(limits)


def free_memory(*, proc: Path = _PROC, cgroup: Path = _CGROUP) -> float:
    """Return the bytes that this process may still use without swapping or being ended.

    It is the least of what the system has available, of what the limit of each control group
    (version 1 or 2) around this process leaves, and of the limit on its address space. Infinite
    where the system reports none of them.

    Parameters
    ----------
    proc, cgroup
        Where Linux reports them.
    """
    left = [_INFINITE, _numbers(proc / "meminfo").get("MemAvailable:", _INFINITE)]
    if proc == _PROC:
        left.append(machine_memory())
    left += [limit - used for limit, used in _container_limits(proc, cgroup)]
    left.append(_address_space() - _numbers(proc / "self" / "status").get("VmSize:", 0.0))
    return max(0.0, min(left))


def _address_space() -> float:
    try:
        import resource
    except ImportError:
        return _INFINITE
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _INFINITE if soft == resource.RLIM_INFINITY else float(soft)


def _numbers(file: Path) -> dict[str, float]:
    """Read lines of a name and a number, some of them in kB."""
    found: dict[str, float] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text("ascii", "replace").splitlines():
            name, *rest = line.split()
            with contextlib.suppress(ValueError):
                found[name] = float(rest[0]) * (1024 if rest[1:] == ["kB"] else 1) if rest else 0.0
    return found


def _container_limits(proc: Path, cgroup: Path) -> Iterator[tuple[float, float]]:
    """Yield limit and use, in bytes, of every control group around this process.

    What is only cached from files does not count as used: it is given back on demand.
    """
    names = {
        "": ("memory.max", "memory.current", "inactive_file"),
        "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    }
    # Within a container the path of the host is not there, and the root is the container's own.
    groups = {("", cgroup), ("memory", cgroup / "memory")}
    with contextlib.suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text("utf-8", "replace").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            kind = "memory" if controllers else ""
            root = cgroup / kind
            inside = root / path.strip("/")
            around = (group for group in (inside, *inside.parents) if root in group.parents)
            groups |= {(kind, group) for group in around}
    for kind, group in groups:
        limit_file, use_file, cached = names[kind]
        try:
            limit = float((group / limit_file).read_text("ascii"))
            used = float((group / use_file).read_text("ascii"))
        except (OSError, ValueError):  # ValueError: "max", no limit
            continue
        yield limit, max(0.0, used - _numbers(group / "memory.stat").get(cached, 0.0))

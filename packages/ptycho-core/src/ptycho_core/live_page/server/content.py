"""What viewers fetch: pictures and files, each made once for all of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from attrs import define, field
from ptycho_data import save_product, save_reconstruction
from ptycho_data.views import covered_region
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ptycho_core.live_page.server.pictures import (
    Flattening,
    Window,
    flattening_of,
    object_bytes,
    pattern_bytes,
)
from ptycho_core.live_page.server.state import RunState
from ptycho_core.live_page.snapshot import Snapshot

__all__ = ["Content"]

#: Answers that are kept for other viewers of the same picture.
KEPT = 8


@define(kw_only=True, eq=False)
class Content:
    """Makes what is fetched of the newest picture, one thing after the other.

    Attributes
    ----------
    state : RunState
    folder : Path
        For files. Those of the last picture and the one before are there: somebody may be taking
        the latter.
    """

    state: RunState
    folder: Path
    _version: int = 0
    _made: dict[object, bytes] = field(factory=dict)
    _flattening: Flattening = field(factory=Flattening)
    _one_at_a_time: asyncio.Lock = field(factory=asyncio.Lock)

    async def object_(self, window: Window) -> bytes:
        """Return a part of the object, see `object_bytes`."""

        def make(snapshot: Snapshot, version: int) -> bytes:
            return object_bytes(snapshot, window, self._flattening, version)

        return await self._bytes(window, make)

    async def pattern(self) -> bytes:
        """Return measured and modelled pattern, see `pattern_bytes`."""
        return await self._bytes("pattern", pattern_bytes)

    async def reconstruction(self) -> Path:
        """Return a file as `ptycho_data.save_reconstruction` writes it."""
        return await self._file("npz", lambda path, s: save_reconstruction(path, s.reconstruction))

    async def product(self) -> Path:
        """Return a product for ptychodus."""
        return await self._file("h5", lambda path, s: save_product(path, s.reconstruction))

    async def _bytes(self, key: object, make: Callable[[Snapshot, int], bytes]) -> bytes:
        async with self._one_at_a_time:
            snapshot, version = await self._newest()
            if key not in self._made:
                made = await run_in_threadpool(make, snapshot, version)
                self._made = dict([*self._made.items(), (key, made)][-KEPT:])
            return self._made[key]

    async def _file(self, suffix: str, write: Callable[[Path, Snapshot], object]) -> Path:
        async with self._one_at_a_time:
            snapshot, version = await self._newest()
            path = self.folder / f"{version}.{suffix}"
            if not path.exists():
                await run_in_threadpool(write, path, snapshot)
            return path

    async def _newest(self) -> tuple[Snapshot, int]:
        snapshot, version = self.state.snapshot, self.state.version
        if snapshot is None:
            raise HTTPException(404, "there is no picture yet")
        if version != self._version:
            rec = snapshot.reconstruction
            seen = covered_region(rec.coverage)
            self._flattening = await run_in_threadpool(flattening_of, rec.object, seen)
            self._version, self._made = version, {}
            for old in self.folder.iterdir():
                if int(old.stem) < version - 1:
                    old.unlink()
        return snapshot, version

"""The protocols that a replay speaks: one sender for each."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptycho_data._scan import Scan
from ptycho_data.streams._base import PIXEL
from ptycho_data.streams._decode import needed
from ptycho_data.streams.replay._course import Sender
from ptycho_data.streams.replay._places import PandaPlaces, Places, ZmqPlaces, pushing, sent

__all__ = ["SENDERS", "DectrisSender", "FolderSender", "Hdf5Sender", "PvaSender"]

_TAGS = {"uint8": 64, "uint16": 69, "uint32": 70, "float32": 85}


class DectrisSender:
    """A detector that pushes CBOR messages, and positions that another connection sends."""

    def __init__(self, scan: Scan, expected: int, where: str, *, panda: bool = False) -> None:
        self.zmq, self.cbor2 = needed("pyzmq", "zmq"), needed("cbor2", "cbor2")
        self.bitshuffle = needed("bitshuffle", "bitshuffle")
        ports = [int(port) for port in where.split(",")] if where else [0, 0]
        self.frames = pushing(ports[0])
        self.places: Places = PandaPlaces(ports[1]) if panda else ZmqPlaces(ports[1])
        self.scan, self.expected, self._encoded = scan, expected, dict[int, Any]()
        self.series = "replay"

    def addresses(self) -> dict[str, Any]:
        endpoint = self.frames.getsockopt_string(self.zmq.LAST_ENDPOINT)
        return {"source": f"dectris:{endpoint}", "positions": self.places.address()}

    def prepare(self) -> None:
        """Compress all frames, so that no time is lost for it later."""
        for number in range(self.scan.n):
            pattern = np.ascontiguousarray(self.scan.diffraction[number])
            self._encoded[number] = self._compressed(pattern)

    def _compressed(self, pattern: NDArray[Any]) -> Any:
        tag = self.cbor2.CBORTag
        if pattern.dtype.kind != "u":
            wide = pattern.astype("<f4")
            return tag(40, [list(wide.shape), tag(_TAGS["float32"], wide.tobytes())])
        block = 8192 // pattern.dtype.itemsize
        header = pattern.nbytes.to_bytes(8, "big") + (8192).to_bytes(4, "big")
        data = header + self.bitshuffle.compress_lz4(pattern, block).tobytes()
        packed = tag(56500, ["bslz4", pattern.dtype.itemsize, data])
        return tag(40, [list(pattern.shape), packed])

    def begin(self) -> None:
        """Wait for the receivers, and send the start message."""
        while not self.frames.poll(1000, self.zmq.POLLOUT):
            pass
        self.places.begin()
        start: dict[str, Any] = {
            "type": "start",
            "series_unique_id": self.series,
            "number_of_images": self.expected,
            "channels": ["threshold_1"],
        }
        bad = self.scan.bad_pixels
        if bad is not None:
            tag = self.cbor2.CBORTag
            values = tag(70, bad.astype("<u4").tobytes())
            start["pixel_mask"] = {"threshold_1": tag(40, [list(bad.shape), values])}
        self.frames.send(self.cbor2.dumps(start))

    def frame(self, number: int, pattern: NDArray[Any], place: NDArray[np.float64]) -> bool:
        del place
        row = number % self.scan.n
        data = self._encoded.get(row) or self._compressed(np.ascontiguousarray(pattern))
        message = {
            "type": "image",
            "series_unique_id": self.series,
            "image_id": number,
            "data": {"threshold_1": data},
        }
        return sent(self.frames, self.cbor2.dumps(message))

    def positions(self, numbers: NDArray[np.int64], places: NDArray[np.float64]) -> None:
        self.places.send(numbers, places)

    def end(self, expected: int) -> None:
        sent(self.frames, self.cbor2.dumps({"type": "end", "series_unique_id": self.series}))
        self.places.end(expected)

    def close(self) -> None:
        self.frames.close()
        self.places.close()


class PvaSender:
    """A server of pvAccess with an NTNDArray; positions are attributes, or a table beside it."""

    def __init__(self, scan: Scan, expected: int, where: str) -> None:
        self.server_module = needed("p4p", "p4p.server", "epics")
        thread = needed("p4p", "p4p.server.thread", "epics")
        types = needed("p4p", "p4p.nt", "epics")
        del expected
        self.apart = where == "table"
        self.scan = scan
        self.array = types.NTNDArray()
        self.image = thread.SharedPV(initial=self._value(0, scan.diffraction[0], np.zeros(2)))
        columns = [("number", "l"), ("x", "d"), ("y", "d")]
        self.table = thread.SharedPV(nt=types.NTTable(columns=columns), initial=[])
        self.watched: set[str] = set()
        for name, pv in (("image", self.image), ("positions", self.table)):
            pv.onFirstConnect(lambda _pv, name=name: self.watched.add(name))
        provided = {"replay:image": self.image, "replay:positions": self.table}
        self.server = self.server_module.Server(providers=[provided], isolate=True)

    def addresses(self) -> dict[str, Any]:
        environment = {
            key: value for key, value in self.server.conf().items() if key.startswith("EPICS_PVA_")
        }
        if self.apart:
            found = {"source": "pva:replay:image", "positions": "pva:replay:positions"}
        else:
            found = {"source": "pva:replay:image#X,Y"}
        return {**found, "unit": PIXEL, "environment": environment}

    def prepare(self) -> None:
        """Do nothing: values are made as they are sent."""

    def begin(self) -> None:
        """Wait for the receiver."""
        wanted = {"image", "positions"} if self.apart else {"image"}
        while not wanted <= self.watched:
            time.sleep(0.02)
        time.sleep(0.5)  # it gets what is there first

    def _value(self, number: int, pattern: NDArray[Any], place: NDArray[np.float64]) -> Any:
        value = self.array.wrap(np.ascontiguousarray(pattern))
        value["uniqueId"] = number
        if not self.apart:
            pairs = zip("XY", place, strict=True)
            value["attribute"] = [{"name": name, "value": float(v)} for name, v in pairs]
        return value

    def frame(self, number: int, pattern: NDArray[Any], place: NDArray[np.float64]) -> bool:
        self.image.post(self._value(number, pattern, place))
        return True

    def positions(self, numbers: NDArray[np.int64], places: NDArray[np.float64]) -> None:
        if self.apart:
            rows = zip(numbers.tolist(), *places.T.tolist(), strict=True)
            self.table.post([{"number": n, "x": x, "y": y} for n, x, y in rows])

    def end(self, expected: int) -> None:
        del expected
        time.sleep(1.0)  # what was posted last is still on its way

    def close(self) -> None:
        self.server.stop()


class Hdf5Sender:
    """A program that appends frames and positions to a file in SWMR mode."""

    def __init__(self, scan: Scan, expected: int, where: str) -> None:
        del expected
        self.path = Path(where or ".") / "replay.h5"
        self._count = 0
        N = scan.N
        self.file = h5py.File(self.path, "w", libver="latest")
        self.frames = self.file.create_dataset(
            "frames", (0, N, N), scan.diffraction.dtype, maxshape=(None, N, N), chunks=(1, N, N)
        )
        self.numbers, self.x, self.y = (
            self.file.create_dataset(name, (0,), kind, maxshape=(None,), chunks=(1024,))
            for name, kind in (("numbers", "i8"), ("x", "f8"), ("y", "f8"))
        )
        for axis in (self.x, self.y):
            axis.attrs["units"] = PIXEL
        self.file.swmr_mode = True
        self._flushed = time.perf_counter()

    def addresses(self) -> dict[str, Any]:
        return {
            "source": f"hdf5:{self.path}#numbers",
            "positions": f"hdf5:{self.path}",
            "names": {"patterns": "frames", "x": "x", "y": "y"},
        }

    def prepare(self) -> None:
        """Do nothing: frames are written as they are."""

    def begin(self) -> None:
        """Do nothing: a file waits."""

    def frame(self, number: int, pattern: NDArray[Any], place: NDArray[np.float64]) -> bool:
        del place
        at = self._count
        self._count += 1
        self.frames.resize(at + 1, axis=0)
        self.frames.id.write_direct_chunk((at, 0, 0), np.ascontiguousarray(pattern).tobytes())
        self.numbers.resize((at + 1,))
        self.numbers[at] = number
        now = time.perf_counter()
        if now - self._flushed > 0.02:
            self.frames.flush()
            self.numbers.flush()
            self._flushed = now
        return True

    def positions(self, numbers: NDArray[np.int64], places: NDArray[np.float64]) -> None:
        """Append positions, which come for all numbers in their order."""
        if not len(numbers):
            return
        for axis, values in ((self.x, places[:, 0]), (self.y, places[:, 1])):
            axis.resize((int(numbers[-1]) + 1,))
            axis[int(numbers[0]) :] = values
            axis.flush()

    def end(self, expected: int) -> None:
        """Do nothing: the file is closed."""

    def close(self) -> None:
        self.file.close()


class FolderSender:
    """A program that writes one EDF file for each frame, and a line for each position."""

    def __init__(self, scan: Scan, expected: int, where: str) -> None:
        del scan, expected
        self.folder = Path(where or ".") / "frames"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.table = self.folder.parent / "positions.txt"
        self.lines = self.table.open("a", encoding="ascii")
        self.edf = needed("fabio", "fabio.edfimage", "frames")

    def addresses(self) -> dict[str, Any]:
        return {
            "source": f"folder:{self.folder}",
            "positions": f"table:{self.table}",
            "unit": PIXEL,
        }

    def prepare(self) -> None:
        """Do nothing: files are written as they are sent."""

    def begin(self) -> None:
        """Do nothing: files wait."""

    def frame(self, number: int, pattern: NDArray[Any], place: NDArray[np.float64]) -> bool:
        del place
        path = self.folder / f"frame_{number:06d}.edf"
        hidden = path.with_name(f".{path.name}")
        self.edf.EdfImage(data=np.ascontiguousarray(pattern)).write(str(hidden))
        os.replace(hidden, path)  # noqa: PTH105 - over the file of a frame that is sent twice
        return True

    def positions(self, numbers: NDArray[np.int64], places: NDArray[np.float64]) -> None:
        for number, (x, y) in zip(numbers.tolist(), places, strict=True):
            self.lines.write(f"{number} {float(x)!r} {float(y)!r}\n")
        self.lines.flush()

    def end(self, expected: int) -> None:
        del expected
        self.lines.write("end\n")
        self.lines.flush()
        (self.folder / "frames.done").touch()

    def close(self) -> None:
        self.lines.close()


SENDERS: dict[str, Callable[[Scan, int, str], Sender]] = {
    "dectris": DectrisSender,
    "panda": partial(DectrisSender, panda=True),
    "pva": PvaSender,
    "hdf5": Hdf5Sender,
    "folder": FolderSender,
}

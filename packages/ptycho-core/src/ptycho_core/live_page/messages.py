"""The messages from a run to the process that serves its page.

A message is a header, one line of JSON with the names, types and shapes of its arrays, and their
bytes. Both ends are ours: the process was started by the run.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import numpy as np
from attrs import asdict, field, fields, frozen
from numpy.typing import NDArray
from ptycho_data import Reconstruction, jsonable

from ptycho_core.live_page.snapshot import Snapshot

__all__ = ["Message", "of_snapshot", "read_message", "to_snapshot"]


@frozen(kw_only=True, eq=False)
class Message:
    """One message.

    Attributes
    ----------
    kind : str
        Which: a method of `ptycho_core.live_page.publisher.Publisher`.
    content
        Fit for JSON.
    arrays : mapping of str to array
    """

    kind: str
    content: Any = None
    arrays: Mapping[str, NDArray[Any]] = field(factory=dict)

    def parts(self) -> list[bytes | memoryview]:
        """Return what is sent, one part after the other; arrays are not copied."""
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        table = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
        head = json.dumps([self.kind, jsonable(self.content), table]).encode()
        bodies = [array.data.cast("B") for array in arrays.values() if array.size]
        return [len(head).to_bytes(4, "big"), head, *bodies]


async def read_message(exactly: Callable[[int], Awaitable[bytes]]) -> Message:
    """Read one message; `exactly` reads that many bytes.

    Raises
    ------
    asyncio.IncompleteReadError
        As `exactly`, at the end.
    """
    length = int.from_bytes(await exactly(4), "big")
    kind, content, table = json.loads(await exactly(length))
    arrays = {}
    for name, dtype, shape in table:
        size = np.dtype(dtype).itemsize * int(np.prod(shape))
        arrays[name] = np.frombuffer(await exactly(size), dtype).reshape(shape)
    return Message(kind=kind, content=content, arrays=arrays)


def of_snapshot(snapshot: Snapshot) -> Message:
    """Make a message of a snapshot."""
    known = asdict(snapshot.reconstruction, recurse=False)
    arrays = {name: value for name, value in known.items() if isinstance(value, np.ndarray)}
    scalars = {name: value for name, value in known.items() if name not in arrays}
    for name in ("measured", "modelled"):
        if (pattern := getattr(snapshot, name)) is not None:
            arrays[name] = np.asarray(pattern, dtype=np.float32)
    content = {"reconstruction": scalars, "pattern": snapshot.pattern}
    return Message(kind="show", content=content, arrays=arrays)


def to_snapshot(message: Message) -> Snapshot:
    """Make a snapshot of a message."""
    names = {attribute.name for attribute in fields(Reconstruction)}
    known: dict[str, Any] = dict(message.content["reconstruction"])
    known |= {name: value for name, value in message.arrays.items() if name in names}
    if known.get("origin_m") is not None:
        known["origin_m"] = tuple(known["origin_m"])
    return Snapshot(
        reconstruction=Reconstruction(**known),
        measured=message.arrays.get("measured"),
        modelled=message.arrays.get("modelled"),
        pattern=message.content["pattern"],
    )

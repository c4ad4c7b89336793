"""Messages of detectors: what is sent is what is read, and damaged ones are told, never trusted."""

import bitshuffle
import cbor2
import lz4.block
import numpy as np
import pytest
from ptycho_data.streams._decode import MessageError, decode_message

TYPED = {"uint16": 69, "uint32": 70}


def compressed(frame: np.ndarray, algorithm: str, block: int = 8192) -> cbor2.CBORTag:
    """Return a frame as a DECTRIS detector sends it."""
    header = frame.nbytes.to_bytes(8, "big") + block.to_bytes(4, "big")
    raw = frame.tobytes()
    if algorithm == "bslz4":
        body = bitshuffle.compress_lz4(frame, block // frame.itemsize).tobytes()
    else:
        pieces = [raw[at : at + block] for at in range(0, len(raw), block)]
        packed = [lz4.block.compress(piece, store_size=False) for piece in pieces]
        packed = [p if len(p) < len(piece) else piece
                  for p, piece in zip(packed, pieces, strict=True)]  # fmt: skip
        body = b"".join(len(piece).to_bytes(4, "big") + piece for piece in packed)
    return cbor2.CBORTag(56500, [algorithm, frame.itemsize, header + body])


def image(frame: np.ndarray, values: object) -> bytes:
    return cbor2.dumps({"data": cbor2.CBORTag(40, [list(frame.shape), values])})


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("shape", [(5, 7), (64, 64), (200, 51)])
@pytest.mark.parametrize("algorithm", ["bslz4", "lz4", "none"])
def test_a_frame_comes_back(dtype, shape, algorithm):
    frame = np.random.default_rng(1).poisson(3, shape).astype(dtype)
    if algorithm == "none":
        values = cbor2.CBORTag(TYPED[dtype], frame.tobytes())
    else:
        values = compressed(frame, algorithm)
    found = decode_message(image(frame, values))["data"]
    assert found.dtype == frame.dtype
    np.testing.assert_array_equal(found, frame)


@pytest.mark.parametrize("algorithm", ["bslz4", "lz4"])
def test_damaged_bytes_are_refused_or_give_a_frame_of_the_same_size(algorithm):
    frame = np.random.default_rng(2).poisson(3, (64, 64)).astype(np.uint16)
    whole = image(frame, compressed(frame, algorithm))
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(0, 256)
        damaged = damaged[: rng.integers(20, len(whole) + 1)]
        try:
            found = decode_message(bytes(damaged))
        except MessageError:
            refused += 1
            continue
        data = found.get("data")
        assert data is None or not isinstance(data, np.ndarray) or data.size <= 1 << 26
    assert refused > 100


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff" * 40,
        cbor2.dumps([1, 2]),
        cbor2.dumps({"data": cbor2.CBORTag(40, [[1 << 20, 1 << 20], cbor2.CBORTag(64, b"1")])}),
        cbor2.dumps({"data": cbor2.CBORTag(40, [[-2, -2], cbor2.CBORTag(64, b"1234")])}),
        cbor2.dumps({"data": cbor2.CBORTag(40, [[2, 3], cbor2.CBORTag(64, b"1234")])}),
    ],
    ids=["empty", "noise", "list", "huge", "negative", "other size"],
)
def test_what_is_no_message_is_refused(message):
    with pytest.raises(MessageError):
        decode_message(message)

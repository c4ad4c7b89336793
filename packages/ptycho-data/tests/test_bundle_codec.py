"""Members from and to bytes."""

import io
import math

import numpy as np
import pytest
from ptycho_data._bundle import (
    decode_history,
    decode_probe,
    decode_weights,
    encode_probe,
    encode_weights,
    refuse_nonfinite,
)


class Nowhere:
    """A place for messages; decoding touches nothing else of it."""

    path = "b.zip"
    complete = True
    sizes: dict[str, int] = {}  # noqa: RUF012 - never changed

    def read(self, name: str) -> bytes:
        raise AssertionError(name)


@pytest.mark.parametrize("order", ["C", "F"])
def test_probe_in_either_memory_order_and_byte_order(order):
    probe = np.arange(32, dtype="<c8").reshape(2, 4, 4) * (1 + 2j)
    for dtype in ("<c8", ">c8"):
        stream = io.BytesIO()
        np.save(stream, np.asarray(probe, dtype=dtype, order=order))
        back = decode_probe(Nowhere(), stream.getvalue())
        np.testing.assert_array_equal(back, probe)
        assert back.dtype == np.complex64
        assert back.flags.writeable


def test_numpy_reads_the_probe_written():
    probe = np.arange(16, dtype=np.complex64).reshape(1, 4, 4)
    np.testing.assert_array_equal(np.load(io.BytesIO(encode_probe(probe))), probe)


def test_weights_keep_axis_order():
    kernel = np.arange(2 * 3 * 5 * 7, dtype=np.float32).reshape(2, 3, 5, 7)
    back = decode_weights(Nowhere(), encode_weights({"conv.weight": kernel}))
    np.testing.assert_array_equal(back["conv.weight"], kernel)


def test_history_null_is_nan():
    assert math.isnan(decode_history(Nowhere(), {"loss": [None, 1]})["loss"][0])


@pytest.mark.parametrize("value", [math.nan, np.float32("inf"), [[-math.inf]], {"b": (math.nan,)}])
def test_nonfinite_is_refused_with_its_place(value):
    with pytest.raises(ValueError, match=r"^top\.a"):
        refuse_nonfinite("top", {"fine": 1.0, "a": value})


def test_finite_is_fine():
    refuse_nonfinite("top", {"a": [1.0, None, "nan", True, np.arange(3.0)]})

import numpy as np
import pytest
from ptycho._inference import Prediction
from ptycho.tf_helper import reassemble_position
from ptycho_data import Reconstruction


def found(origin, shape=(5, 7), lit=None):
    values = np.arange(shape[0] * shape[1]).reshape(shape) + 1j
    return Reconstruction(
        object=values.astype(np.complex64),
        coverage=np.ones(shape, np.float32) if lit is None else lit.astype(np.float32),
        xcoords=[3.0],
        ycoords=[2.0],
        indices=[0],
        probe=np.ones((1, 4, 4), np.complex64),
        origin=origin,
    )


def test_pixel_upon_pixel():
    rec = found(origin=(4, 2))  # (x, y)
    placed = reassemble_position(Prediction(rec, (10, 12)), None, M=20)
    assert placed.shape == np.squeeze(placed).shape == (10, 12)
    assert placed.dtype == np.complex64
    np.testing.assert_array_equal(placed[2:7, 4:11], rec.object)
    rest = placed.copy()
    rest[2:7, 4:11] = 1
    assert (rest == 1).all()


def test_what_lies_beyond_is_cut_off(caplog):
    rec = found(origin=(-2, 4))
    placed = reassemble_position(Prediction(rec, (6, 20)), None)
    np.testing.assert_array_equal(placed[4:, :5], rec.object[:2, 2:])
    assert (placed[:4] == 1).all()
    assert "cut to the input object, 6 x 20 pixels; a larger area was illuminated" in caplog.text


def test_dark_rims_are_no_loss(caplog):
    lit = np.ones((5, 7))
    lit[:, :2] = 0.01
    reassemble_position(Prediction(found((-2, 0), lit=lit), (5, 5)), None)
    assert not caplog.records


def test_nothing_in_common():
    placed = reassemble_position(Prediction(found(origin=(50, 50)), (6, 6)), None)
    assert (placed == 1).all()


def test_without_an_object_the_canvas_is_its_own():
    rec = found(origin=(4, 2))
    assert reassemble_position(Prediction(rec, None), None) is rec.object


def test_only_predictions_can_be_placed():
    with pytest.raises(TypeError, match="must be given what predict returned, got ndarray"):
        reassemble_position(np.ones((3, 64, 64, 1), complex), None)

import attrs
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core.analysis.comparison import (
    PlacedObject,
    common_box,
    read_reconstruction,
    read_reference,
)
from ptycho_core.analysis.evaluation import evaluate
from ptycho_data import Reconstruction, save_product, save_reconstruction


@pytest.fixture
def truth():
    rng = np.random.default_rng(3)
    smooth = rng.normal(size=(2, 90, 110))
    for axis in (1, 2):
        smooth = sum(np.roll(smooth, k, axis) for k in range(-2, 3)) / 5
    return ((1 + smooth[0]) * np.exp(1j * smooth[1])).astype(np.complex64)


def as_reconstruction(values, origin, centres):
    centres = np.asarray(centres, float)
    return Reconstruction(
        object=values,
        coverage=np.ones(values.shape, np.float32),
        xcoords=centres[:, 0] - origin[0],
        ycoords=centres[:, 1] - origin[1],
        indices=np.arange(len(centres)),
        probe=np.ones((1, 8, 8), np.complex64),
        origin=np.array(origin),
    )


CENTRES = [(30.2, 20.7), (80.9, 20.7), (80.9, 70.3), (30.2, 70.3)]


def test_a_cut_out_is_compared_where_it_lies(truth):
    # Columns 10..100, rows 5..85 of the object; nothing has to be shifted.
    rec = as_reconstruction(truth[5:85, 10:100] * (2 - 1j), (10, 5), CENTRES)
    result = evaluate(rec, truth)
    assert result.box == (31, 21, 81, 71)
    assert result.comparison.shift == (0.0, 0.0)
    assert result.comparison.correlation == pytest.approx(1, abs=1e-6)


def test_negative_origin(truth):
    rec = as_reconstruction(np.pad(truth, 7), (-7, -7), CENTRES)
    result = evaluate(rec, truth)
    assert result.comparison.shift == (0.0, 0.0)
    assert result.comparison.correlation == pytest.approx(1, abs=1e-6)


def test_a_wrong_origin_shows_as_a_shift(truth):
    rec = as_reconstruction(truth[5:85, 10:100], (12, 5), np.add(CENTRES, (2, 0)))
    result = evaluate(rec, truth)
    assert result.comparison.shift == pytest.approx((-2, 0), abs=0.1)


def test_two_reconstructions_share_a_rectangle(truth):
    left = PlacedObject.from_reconstruction(
        as_reconstruction(truth[:, :80], (0, 0), [(10, 10), (70, 80)])
    )
    right = PlacedObject.from_reconstruction(
        as_reconstruction(truth[:, 30:], (30, 0), [(40, 20), (100, 80)])
    )
    assert common_box(left, right) == (40, 20, 71, 81)


def test_objects_without_overlap_cannot_be_compared(truth):
    rec = as_reconstruction(truth, (500, 0), np.add(CENTRES, (500, 0)))
    with pytest.raises(InvalidValueError) as caught:
        evaluate(rec, truth)
    assert caught.value.name == "the common rectangle of reconstruction and reference"


def test_metrics_are_plain_values(truth):
    import json

    rec = as_reconstruction(truth, (0, 0), CENTRES)
    metrics = evaluate(rec, truth).metrics
    assert metrics["region"] == {"x": [31, 81], "y": [21, 71]}
    assert json.loads(json.dumps(metrics))["correlation"] == metrics["correlation"]


def test_reading(truth, tmp_path):
    save_reconstruction(tmp_path / "reconstruction.npz", as_reconstruction(truth, (3, 4), CENTRES))
    for path in (tmp_path, tmp_path / "reconstruction.npz"):
        assert read_reconstruction(path).origin == (3, 4)
        assert read_reference(path).origin == (3, 4)
    np.savez(tmp_path / "scan.npz", objectGuess=truth)
    reference = read_reference(tmp_path / "scan.npz")
    assert reference.origin == (0, 0)
    assert reference.box() == (0, 0, 110, 90)
    np.savez(tmp_path / "other.npz", nothing=[1])
    with pytest.raises(InvalidValueError) as caught:
        read_reference(tmp_path / "other.npz")
    assert caught.value.name == str(tmp_path / "other.npz")


def on_stage(values, origin, place, pixel=2e-8):
    """Make a reconstruction whose grid begins at a place in metres."""
    rec = as_reconstruction(values, origin, np.add(CENTRES, origin) - (10, 5))
    return attrs.evolve(rec, origin_m=place, pixel_size_m=pixel)


def test_results_are_laid_over_each_other_by_metres(truth):
    part = truth[5:85, 10:100]
    place = np.array([3.1234e-3, -1.7e-3])
    one = on_stage(part, (10, 5), tuple(place))
    # The same place counted from another zero: 700 pixels further left, 300 further down.
    other = on_stage(part * 1j, (710, -295), tuple(place + np.array([-700, 300]) * 2e-8))
    result = evaluate(one, other)
    assert result.comparison.shift == pytest.approx((0, 0), abs=1e-6)
    assert result.comparison.correlation == pytest.approx(1, abs=1e-6)
    assert result.box == evaluate(one, one).box
    # Half a millimetre away, there is nothing in common.
    with pytest.raises(InvalidValueError, match="common rectangle"):
        evaluate(one, attrs.evolve(other, origin_m=tuple(place + 5e-4)))


def test_pixels_of_different_size_are_not_compared(truth):
    one = on_stage(truth, (10, 5), None)
    with pytest.raises(InvalidValueError, match="object pixel of"):
        evaluate(one, attrs.evolve(one, pixel_size_m=4e-8))
    assert evaluate(one, attrs.evolve(one, pixel_size_m=None)).comparison.correlation > 0.999


@pytest.mark.parametrize("place", [None, (3.1234e-3, -1.7e-3)])
@pytest.mark.parametrize("pixel", [None, 2e-8])
def test_a_result_is_its_own_product(truth, tmp_path, place, pixel):
    rec = on_stage(truth[5:85, 10:100], (10, 5), place, pixel)
    path = save_product(tmp_path / "product.h5", rec)
    result = evaluate(rec, path)
    assert result.comparison.shift == pytest.approx((0, 0), abs=1e-3)
    assert result.comparison.correlation == pytest.approx(1, abs=1e-6)
    assert result.box == evaluate(rec, rec).box

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from ptycho_cli import sources
from ptycho_cli.sources import Parts, extend, make_object, make_probe, make_scan


@pytest.mark.parametrize("kind", sources.OBJECTS)
def test_objects(kind):
    made = make_object(kind, None, 48, 1)
    assert made.shape == (48, 48)
    assert made.dtype == np.complex64
    assert make_object(kind, 40, 48, 1).shape == (40, 40)
    assert np.ptp(np.abs(made)) > 0.1
    assert np.ptp(np.angle(made)) > 0.1


@pytest.mark.parametrize("kind", sources.PROBES)
def test_probes(kind):
    probe = make_probe(kind, 32, None)
    assert probe.shape == (1, 32, 32)
    assert np.sum(np.abs(probe) ** 2) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("kind", sources.SCANS)
def test_scans_fit_the_object(kind):
    settings = {"jitter": 0.5, "seed": 0}
    positions = make_scan(kind, (96, 80), 32, number=50, step=None, **settings)
    assert positions.shape == (50, 2)
    extended, local, reaching = extend(np.ones((96, 80), np.complex64), positions, 32)
    assert reaching == 0
    assert extended.shape == (96, 80)
    np.testing.assert_array_equal(local, positions)
    assert len(make_scan(kind, (96, 80), 32, number=None, step=None, **settings)) > 50


@given(
    st.lists(st.tuples(st.floats(-40, 90), st.floats(-40, 90)), min_size=1, max_size=8),
    st.sampled_from([8, 9, 16]),
)
def test_extended_object_holds_every_patch_and_keeps_its_pixels(points, N):
    values = np.full((31, 47), 2, np.complex64)
    extended, local, _ = extend(values, np.array(points), N)
    height, width = extended.shape
    first = np.floor(local) - N // 2
    last = np.ceil(local) - N // 2 + N
    assert np.all(first >= 0)
    assert np.all(last <= (width, height))
    x, y = np.rint(local[0] - points[0]).astype(int)
    np.testing.assert_array_equal(extended[y : y + 31, x : x + 47], values)
    assert np.sum(extended == 2) == values.size
    assert np.all((extended == 2) | (extended == 1))


def test_the_last_bilinear_neighbour_one_pixel_outside():
    # At x = 32.5 a patch of 64 needs columns 0..64: one more than an object of 64 has.
    extended, _, reaching = extend(np.zeros((64, 64), np.complex64), np.array([[32.5, 32.0]]), 64)
    assert reaching == 1
    assert extended.shape == (64, 65)
    np.testing.assert_array_equal(extended[:, 64], 1)


def test_picture_becomes_an_object(tmp_path):
    grey = np.linspace(0, 255, 30 * 20).astype(np.uint8).reshape(30, 20)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    made = make_object(str(tmp_path / "grey.png"), None, 64, 0)
    assert made.shape == (30, 20)
    assert np.abs(made[0, 0]) > np.abs(made[-1, -1])  # bright is thick
    assert make_object(str(tmp_path / "grey.png"), 50, 64, 0).shape == (50, 50)
    colour = np.stack([grey] * 3, axis=-1)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    np.testing.assert_allclose(make_object(str(tmp_path / "colour.png"), None, 64, 0), made)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_allclose(
        make_object(str(tmp_path / "deep.png"), None, 64, 0), made, atol=1e-6
    )


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"text\.png: not a picture"):
        make_object(str(tmp_path / "text.png"), None, 64, 0)
    with pytest.raises(FileNotFoundError, match="neither a file nor one of lines, siemens"):
        make_object("moon", None, 64, 0)
    with pytest.raises(FileNotFoundError, match="neither a file nor one of disk"):
        make_probe("moon", 64, None)


def test_parts_from_a_file(tmp_path):
    probe = np.ones((16, 16), np.complex64)
    np.savez(tmp_path / "a.npz", probeGuess=probe, xcoords=[1.0, 2], ycoords=[3.0, 4])
    parts = Parts.from_file(tmp_path / "a.npz")
    assert parts.object is None
    assert parts.probe.shape == (1, 16, 16)
    np.testing.assert_array_equal(parts.positions, [[1, 3], [2, 4]])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": [1]}, "found none of them"),
        ({"objectGuess": np.ones(4, np.complex64)}, "objectGuess must be a complex array of 2"),
        ({"objectGuess": np.full((4, 4), np.nan)}, "objectGuess must be finite"),
        ({"xcoords": [1.0], "ycoords": [1.0, 2]}, "of equal length"),
        ({"xcoords": [np.inf], "ycoords": [1.0]}, "must be finite"),
        ({"probeGuess": np.zeros((4, 4), np.complex64)}, "probe"),
    ],
)
def test_bad_parts_are_named(arrays, message, tmp_path):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        Parts.from_file(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)

"""Objects as TIFF."""

import attrs
import numpy as np
import pytest
from PIL import Image
from ptycho_data import OutputExistsError, Reconstruction
from ptycho_data.tiffs import TIFF_FILES, write_tiffs


@pytest.fixture
def rec():
    y, x = np.mgrid[:30, :48]
    coverage = np.ones((30, 48), np.float32)
    coverage[:, 40:] = 0
    return Reconstruction(
        object=((1 + 0.2 * np.sin(x / 5)) * np.exp(3j * np.cos(y / 4))).astype(np.complex64),
        coverage=coverage,
        xcoords=[10.0],
        ycoords=[9.0],
        indices=[0],
        probe=np.ones((1, 8, 8), np.complex64),
        origin=[0, 0],
        pixel_size_m=12.5e-9,
    )


def test_values_are_those_of_the_object(rec, tmp_path):
    write_tiffs(tmp_path, rec)
    parts = (np.abs(rec.object), np.angle(rec.object))
    for name, expected in zip(TIFF_FILES, parts, strict=True):
        with Image.open(tmp_path / name) as image:
            assert image.mode == "F"  # 32-bit floating point
            found = np.asarray(image)
        np.testing.assert_array_equal(found[:, :40], expected[:, :40].astype(np.float32))
        assert np.isnan(found[:, 40:]).all()


def test_imagej_finds_the_pixel_size(rec, tmp_path):
    """In pixels per unit, with the unit in its own text, and no unit of TIFF's that contradicts."""
    write_tiffs(tmp_path, rec)
    with Image.open(tmp_path / TIFF_FILES[0]) as image:
        tags = dict(image.tag_v2)
    assert 1 / float(tags[282]) == pytest.approx(0.0125)  # micrometres
    assert tags[282] == tags[283]
    assert tags[296] == 1
    text = tags[270]
    assert text.startswith("ImageJ=")
    assert "unit=micron\n" in text


def test_without_a_size_there_is_none_in_the_file(rec, tmp_path):
    write_tiffs(tmp_path, attrs.evolve(rec, pixel_size_m=None))
    with Image.open(tmp_path / TIFF_FILES[0]) as image:
        assert 270 not in image.tag_v2
    with pytest.raises(OutputExistsError):
        write_tiffs(tmp_path, rec)

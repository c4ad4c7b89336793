"""The ptychodus product: layout, units, and each pixel where ptychodus looks for it."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_data._files import OutputExistsError
from ptycho_data._reconstruction import Reconstruction
from ptycho_data._results import save_product
from ptycho_data.formats._written_metres import NOMINAL_PIXEL_SIZE_M


def make(**changes: object) -> Reconstruction:
    values: dict[str, object] = {
        "object": np.ones((20, 31), np.complex64),
        "coverage": np.ones((20, 31), np.float32),
        "xcoords": np.array([10.0, 6.0, 12.25]),
        "ycoords": np.array([9.0, 7.0, 8.5]),
        "indices": np.array([3, 4, 7]),
        "probe": np.full((2, 8, 8), 0.1j, np.complex64),
        "origin": np.array([100, -40]),
        "pixel_size_m": 2e-8,
    }
    return Reconstruction(**(values | changes))


def lower_corner(file: h5py.File, index: int) -> tuple[float, float]:
    """Object pixel of the patch's first pixel, (y, x), by the formulas of ptychodus 1.7.

    ObjectGeometry.map_coordinates_probe_to_object, then ProbeGeometry.resolve_patch_bounds.
    """
    corner = []
    for axis, size, edge in (("y", "pixel_height_m", -2), ("x", "pixel_width_m", -1)):
        image = file["object"]
        offset = file[f"probe_position_{axis}_m"][index] - image.attrs[f"center_{axis}_m"]
        centre = offset / image.attrs[size] + (image.shape[edge] - 1) / 2
        corner.append(centre - (file["probe"].shape[edge] - 1) / 2)
    return corner[0], corner[1]


@given(
    n=st.integers(1, 9),
    shape=st.tuples(st.integers(20, 23), st.integers(20, 23)),
    y=st.floats(8, 12),
    x=st.floats(8, 12),
    origin=st.tuples(st.integers(-500, 500), st.integers(-500, 500)),
)
def test_ptychodus_cuts_the_patch_that_was_reconstructed(tmp_path_factory, n, shape, y, x, origin):
    rec = make(
        object=np.ones(shape), coverage=np.ones(shape), probe=np.ones((1, n, n)),
        xcoords=[x], ycoords=[y], indices=[0], origin=origin,
    )  # fmt: skip
    path = save_product(tmp_path_factory.mktemp("p") / "product.h5", rec)
    with h5py.File(path) as file:
        np.testing.assert_allclose(lower_corner(file, 0), (y - n // 2, x - n // 2), atol=1e-6)


@pytest.mark.parametrize("n", [7, 8])
def test_a_bright_pixel_is_found_in_its_patch(tmp_path, n):
    image = np.zeros((20, 31), np.complex64)
    image[9, 11] = 1
    rec = make(object=image, probe=np.ones((1, n, n)))
    with h5py.File(save_product(tmp_path / "product.h5", rec)) as file:
        y, x = (round(v) for v in lower_corner(file, 0))
        patch = file["object"][0, y : y + n, x : x + n]
    # The position (x, y) = (10, 9) is under patch pixel [n//2, n//2]; (11, 9) is next to it.
    assert np.argwhere(patch).tolist() == [[n // 2, n // 2 + 1]]


def test_layout(tmp_path):
    rec = make(photon_energy_ev=8e3, detector_distance_m=2.0, nphotons=1e4, name="scan_7")
    path = save_product(
        tmp_path / "product.h5", rec, comments="c", exposure_time_s=0.1, losses=[3.0, 2.0]
    )
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
        del attributes["writer"]
        # what shows the object in silx
        assert attributes.pop("NX_class") == b"NXroot"
        assert attributes.pop("default") == b"entry"
        assert attributes == {
            "name": "scan_7",
            "comments": "c",
            "photon_energy_eV": 8e3,
            "detector_object_distance_m": 2.0,
            "exposure_time_s": 0.1,
            "probe_photon_count": 1e4,
            "mass_attenuation_m2_per_kg": 0.0,
            "tomography_angle_deg": 0.0,
        }
        np.testing.assert_array_equal(file["object"], rec.object[np.newaxis])
        assert file["object"].dtype == file["probe"].dtype == np.complex64
        assert file["probe"].shape == (1, 2, 8, 8)
        assert file["object_layer_spacing_m"].shape == (0,)
        np.testing.assert_array_equal(file["probe_position_indexes"], [3, 4, 7])
        np.testing.assert_allclose(file["probe_position_x_m"], np.array([110, 106, 112.25]) * 2e-8)
        np.testing.assert_allclose(file["probe_position_y_m"], np.array([-31, -33, -31.5]) * 2e-8)
        for name in ("probe", "object"):
            assert file[name].attrs["pixel_width_m"] == file[name].attrs["pixel_height_m"] == 2e-8
        np.testing.assert_array_equal(file["loss_epochs"], [1, 2])
        np.testing.assert_array_equal(file["loss_values"], [3.0, 2.0])


def test_the_probe_carries_the_photons_where_they_are_known(tmp_path):
    rec = make()
    with h5py.File(save_product(tmp_path / "1.h5", make(nphotons=1e6))) as file:
        assert np.sum(np.abs(file["probe"][()]) ** 2) == pytest.approx(1e6, rel=1e-5)
    with h5py.File(save_product(tmp_path / "2.h5", rec)) as file:
        np.testing.assert_array_equal(file["probe"][0], rec.probe)
        assert file.attrs["probe_photon_count"] == 0


def test_a_nominal_pixel_size_says_so(tmp_path):
    rec = make(pixel_size_m=None)
    with h5py.File(save_product(tmp_path / "1.h5", rec, comments="mine")) as file:
        assert file["object"].attrs["pixel_width_m"] == NOMINAL_PIXEL_SIZE_M
        assert file.attrs["comments"].startswith("mine\nPixel size unknown")
    with h5py.File(save_product(tmp_path / "2.h5", rec, nominal_pixel_size_m=1e-6)) as file:
        assert file["probe_position_x_m"][0] == pytest.approx(110e-6)
        assert "1e-06 m" in file.attrs["comments"]
    with h5py.File(save_product(tmp_path / "3.h5", make(), nominal_pixel_size_m=1.0)) as file:
        assert file["object"].attrs["pixel_width_m"] == 2e-8  # known: the nominal one is not used


@pytest.mark.parametrize(
    "wrong",
    [
        {"exposure_time_s": float("nan")},
        {"nominal_pixel_size_m": 0.0},
    ],
)
def test_a_number_that_cannot_be_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=" must be"):
        save_product(tmp_path / "product.h5", make(pixel_size_m=None), **wrong)
    assert not list(tmp_path.iterdir())


def test_equal_content_gives_equal_bytes_and_stays(tmp_path):
    first = save_product(tmp_path / "1.h5", make()).read_bytes()
    assert save_product(tmp_path / "2.h5", make()).read_bytes() == first
    with pytest.raises(OutputExistsError):
        save_product(tmp_path / "1.h5", make())
    save_product(tmp_path / "1.h5", make(origin=[0, 0]), overwrite=True)
    assert (tmp_path / "1.h5").read_bytes() != first


def test_the_place_on_the_stage(tmp_path):
    place = (3.1234e-3, -1.7e-3)
    with h5py.File(save_product(tmp_path / "1.h5", make(origin_m=place))) as file:
        x, y = file["probe_position_x_m"][()], file["probe_position_y_m"][()]
        # Its patch is where it would be without.
        np.testing.assert_allclose(lower_corner(file, 0), (9 - 4, 10 - 4), atol=1e-6)
    np.testing.assert_allclose(x - place[0], np.array([110, 106, 112.25]) * 2e-8, atol=1e-15)
    np.testing.assert_allclose(y - place[1], np.array([-31, -33, -31.5]) * 2e-8, atol=1e-15)


def test_electrons_are_written_by_their_wavelength(tmp_path):
    rec = make(photon_energy_ev=200e3, particle="electron")
    with h5py.File(save_product(tmp_path / "1.h5", rec)) as file:
        # ptychodus: wavelength = h c / photon energy. Of 200 kV it is 2.5079 pm.
        stated = file.attrs["photon_energy_eV"]
        assert file.attrs["electron_energy_eV"] == 200e3
        assert "wavelength" in file.attrs["comments"]
    assert 1.23984198e-6 / stated == pytest.approx(2.5079e-12, rel=3e-5)


def test_the_run_travels_with_the_product(tmp_path):
    run = {"command": "reconstruct", "configuration": {"epochs": 3}}
    with h5py.File(save_product(tmp_path / "1.h5", make(run=run))) as file:
        assert json.loads(file.attrs["run"]) == run

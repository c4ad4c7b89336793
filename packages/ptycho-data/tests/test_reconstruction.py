"""The result on its canvas, and its file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptycho_data._files import OutputExistsError
from ptycho_data._reconstruction import (
    Reconstruction,
    ReconstructionError,
    load_reconstruction,
    save_reconstruction,
)

FIELDS = ("object", "coverage", "xcoords", "ycoords", "indices", "probe", "origin")


def arrays(**changes: object) -> dict[str, object]:
    rng = np.random.default_rng(0)
    values: dict[str, object] = {
        "object": (rng.normal(size=(9, 12)) + 1j).astype(np.complex64),
        "coverage": np.ones((9, 12), np.float32),
        "xcoords": np.array([4.0, 5.25, 7.5]),
        "ycoords": np.array([4.0, 4.5, 4.75]),
        "indices": np.array([0, 2, 7]),
        "probe": np.ones((2, 8, 8), np.complex64),
        "origin": np.array([-3, 40]),
    }
    return values | changes


@pytest.mark.parametrize("pixel_size_m", [None, 1.25e-8])
def test_round_trip(tmp_path, pixel_size_m):
    rec = Reconstruction(**arrays(), pixel_size_m=pixel_size_m)
    path = save_reconstruction(tmp_path / "reconstruction.npz", rec)
    back = load_reconstruction(path)
    for name in FIELDS:
        assert getattr(back, name).dtype == getattr(rec, name).dtype
        np.testing.assert_array_equal(getattr(back, name), getattr(rec, name))
    assert back.pixel_size_m == pixel_size_m
    assert back.N == 8
    np.testing.assert_array_equal(back.positions[1], [5.25, 4.5])


def test_standard_errors_are_kept_with_the_pixels_that_have_none(tmp_path):
    phase = np.linspace(0, 1, 108).reshape(9, 12)
    phase[0] = np.nan
    rec = Reconstruction(**arrays(amplitude_error=np.full((9, 12), 0.25), phase_error=phase))
    back = load_reconstruction(save_reconstruction(tmp_path / "r.npz", rec))
    assert back.amplitude_error.dtype == back.phase_error.dtype == np.float32
    np.testing.assert_array_equal(back.amplitude_error, np.float32(0.25))
    np.testing.assert_array_equal(back.phase_error, phase.astype(np.float32))


def test_a_file_of_an_older_version_has_no_errors(tmp_path):
    np.savez(tmp_path / "old.npz", **arrays())
    back = load_reconstruction(tmp_path / "old.npz")
    assert (back.amplitude_error, back.phase_error) == (None, None)


def test_plain_numpy_opens_the_file(tmp_path):
    path = save_reconstruction(tmp_path / "r.npz", Reconstruction(**arrays()))
    with np.load(path, allow_pickle=False) as file:
        assert list(file) == list(FIELDS)


@given(y=st.integers(0, 8), x=st.integers(0, 11), x0=st.integers(-9, 9), y0=st.integers(-9, 9))
def test_a_bright_pixel_stays_where_it_was_in_the_object_grid(tmp_path_factory, y, x, x0, y0):
    canvas = np.zeros((9, 12), np.complex64)
    canvas[y, x] = 1
    # A patch centred on the bright pixel has it at [N//2, N//2]; its position says where.
    values = arrays(object=canvas, xcoords=[x], ycoords=[y], indices=[0], origin=[x0, y0])
    path = tmp_path_factory.mktemp("bright") / "r.npz"
    back = load_reconstruction(save_reconstruction(path, Reconstruction(**values)))
    column, row = (back.positions[0] + back.origin).astype(int)
    found_y, found_x = np.argwhere(back.object)[0]
    assert (found_x + x0, found_y + y0) == (column, row) == (x + x0, y + y0)


def test_equal_content_gives_equal_bytes_whatever_the_memory_order(tmp_path):
    one = Reconstruction(**arrays())
    two = Reconstruction(**arrays(object=np.asfortranarray(one.object)))
    first = save_reconstruction(tmp_path / "1.npz", one).read_bytes()
    assert save_reconstruction(tmp_path / "2.npz", two).read_bytes() == first


def test_wider_types_are_cast_down():
    rec = Reconstruction(**arrays(probe=np.ones((1, 4, 4), np.complex128), origin=[1, 2]))
    assert rec.probe.dtype == np.complex64
    assert rec.origin.dtype == np.int64


def test_no_pattern_at_all_is_a_reconstruction():
    assert Reconstruction(**arrays(xcoords=[], ycoords=[], indices=[])).positions.shape == (0, 2)


BROKEN = {
    "object": (np.ones((3, 9, 12)), np.full((9, 12), np.nan), np.zeros((0, 5))),
    "coverage": (np.ones((9, 11)), np.full((9, 12), -1.0), np.full((9, 12), 1j)),
    "xcoords": (np.ones((3, 1)), np.array([1, np.inf, 2]), np.array(["a", "b", "c"])),
    "ycoords": (np.ones(2), np.array([1, np.nan, 2])),
    "indices": (np.arange(4), np.array([0.5, 1, 2])),
    "probe": (np.ones((8, 8)), np.ones((1, 8, 7)), np.zeros((1, 8, 8)), np.full((1, 8, 8), np.inf)),
    "origin": (np.array([1, 2, 3]), np.array([0.5, 1.5])),
    "amplitude_error": (np.ones((9, 11)), np.full((9, 12), -1.0), np.full((9, 12), 1j)),
    "phase_error": (np.ones(3), np.full((9, 12), np.inf)),
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in BROKEN.items() for v in vs])
def test_a_broken_rule_is_named_in_memory_and_in_a_file(tmp_path, name, value):
    values = arrays(**{name: value})
    with pytest.raises(ReconstructionError, match=name):
        Reconstruction(**values)
    np.savez(tmp_path / "r.npz", **values)
    with pytest.raises(ReconstructionError, match=name) as caught:
        load_reconstruction(tmp_path / "r.npz")
    assert str(caught.value).startswith(f"{tmp_path / 'r.npz'}: ")
    assert "\n" not in str(caught.value)


def test_all_broken_rules_at_once():
    with pytest.raises(
        ReconstructionError, match=r"coverage must .*; indices must .*; origin must "
    ):
        Reconstruction(**arrays(coverage=np.ones(3), indices=[1], origin=[1]))


@pytest.mark.parametrize("size", [0.0, -1e-9, np.nan, np.inf])
def test_a_pixel_size_is_above_zero(size):
    with pytest.raises(ReconstructionError, match="pixel_size_m"):
        Reconstruction(**arrays(), pixel_size_m=size)


def test_a_file_with_the_wrong_kind_of_pixel_size(tmp_path):
    np.savez(tmp_path / "r.npz", **arrays(), pixel_size_m=np.array(["1 nm"]))
    with pytest.raises(ReconstructionError, match="pixel_size_m must be one number"):
        load_reconstruction(tmp_path / "r.npz")


def test_a_file_that_is_something_else(tmp_path):
    np.savez(tmp_path / "scan.npz", object=np.ones((2, 2)))
    with pytest.raises(ReconstructionError, match=r"scan.npz: not a reconstruction: .*coverage"):
        load_reconstruction(tmp_path / "scan.npz")
    (tmp_path / "text.npz").write_text("no zip at all")
    with pytest.raises(ReconstructionError, match=r"text\.npz: not a reconstruction"):
        load_reconstruction(tmp_path / "text.npz")
    with pytest.raises(FileNotFoundError) as caught:
        load_reconstruction(tmp_path / "missing.npz")
    assert isinstance(caught.value, ReconstructionError)


def test_pickled_members_are_never_opened(tmp_path):
    np.savez(tmp_path / "r.npz", **arrays(origin=np.array([None, None])))
    with pytest.raises(ReconstructionError, match="origin"):
        load_reconstruction(tmp_path / "r.npz")


def test_an_existing_file_stays(tmp_path):
    (tmp_path / "r.npz").touch()
    with pytest.raises(OutputExistsError):
        save_reconstruction(tmp_path / "r.npz", Reconstruction(**arrays()))
    save_reconstruction(tmp_path / "r.npz", Reconstruction(**arrays()), overwrite=True)
    assert load_reconstruction(tmp_path / "r.npz").N == 8


def test_experiment_place_and_run_are_kept(tmp_path):
    known = {
        "pixel_size_m": 5.7e-8,
        "origin_m": (3.1234e-3, -1.7e-3),
        "photon_energy_ev": 200e3,
        "detector_distance_m": 2.0,
        "detector_pixel_size_m": 75e-6,
        "particle": "electron",
        "nphotons": 1e5,
        "name": "scan_42",
        "run": {"command": "infer", "inputs": {"scan": {"sha256": "ab"}}},
    }
    save_reconstruction(tmp_path / "rec.npz", Reconstruction(**arrays(**known)))
    back = load_reconstruction(tmp_path / "rec.npz")
    assert {name: getattr(back, name) for name in known} == known

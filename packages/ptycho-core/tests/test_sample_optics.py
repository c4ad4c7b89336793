import numpy as np
import pytest
from attrs import evolve
from ptycho_config.errors import InvalidValueError
from ptycho_core import solve_scan
from ptycho_core.sample_optics import GEOMETRY, THIN, SampleOptics, check_optics
from ptycho_core.simulation import simulate_scan
from ptycho_core.simulation_optics import simulated_optics
from ptycho_core.simulation_parts import SimulationParts
from ptycho_data import load_reconstruction
from ptycho_data.units import wavelength

#: Metres: six depths of focus of pixels of 20 nm and photons of 10 keV.
THICKNESS = 6 * 4 * 20e-9**2 / wavelength(1e4)


def simulated(count=150, **asked):
    """Simulate a scan of patterns of 32 pixels, as ``ptycho simulate`` does."""
    parts = SimulationParts()
    optics = simulated_optics(parts, N=32, **asked)
    behind = ("random",) if optics.slices else ()
    probe = "speckle" if optics.near_field else "defocused"
    made = evolve(parts, stated=optics.stated).completed(
        behind=behind, probe_source=probe, N=optics.N, n_patterns=count
    )
    settings = {"near_field": optics.near_field, "slices": optics.slices, "border": optics.border}
    return made, simulate_scan(made, 1e6, **settings)


@pytest.fixture(scope="module")
def thick():
    return simulated(slices=2, slice_thickness_m=THICKNESS)[1]


@pytest.fixture(scope="module")
def image():
    return simulated(fresnel_number=0.1, count=16)[1]


def test_a_simulation_states_the_experiment_that_its_optics_belongs_to(image, thick):
    assert image.N == image.probe.shape[-1] == 32
    assert image.detector_pixel_size_m == 1e-6
    distance = 1e-6**2 / (wavelength(1e4) * 0.1)
    assert image.detector_distance_m == pytest.approx(distance)
    assert thick.pixel_size_m == 20e-9
    assert thick.object_guess.ndim == 2


def test_the_geometry_gives_the_fresnel_number_and_the_pixel(image):
    optics = SampleOptics.of({"near_field": GEOMETRY}, image)
    assert optics.near_field == pytest.approx(0.1)
    assert optics.pixel_size_m == pytest.approx(1e-6)
    cone = SampleOptics.of({"near_field": GEOMETRY, "source_distance_m": 0.1}, image)
    magnification = (0.1 + image.detector_distance_m) / 0.1
    assert cone.pixel_size_m == pytest.approx(1e-6 / magnification)
    assert cone.near_field == pytest.approx(0.1 / magnification)
    assert SampleOptics.of({}, image) == THIN


def test_slices_are_written_and_explain_the_patterns(thick, tmp_path):
    settings = {"slices": 2, "slice_thickness_m": THICKNESS, "slice_tilt_rad": [0.0, 0.0]}
    result = solve_scan(thick, output=tmp_path / "r", epochs=6, pictures=False, **settings)
    rec = load_reconstruction(tmp_path / "r")
    assert rec.slices.shape == (2, *rec.object.shape)
    np.testing.assert_allclose(rec.slices.prod(axis=0), rec.object, atol=1e-5)
    thin = solve_scan(thick, epochs=6)
    assert thin.reconstruction.slices is None
    assert result.verdict.r_factor < 0.8 * thin.verdict.r_factor


def test_a_near_field_result_has_the_pixel_of_the_image(image):
    result = solve_scan(image, epochs=8, near_field=GEOMETRY, update_probe=True)
    assert result.reconstruction.pixel_size_m == pytest.approx(1e-6)
    assert result.reconstruction.probe.shape == (1, 32, 32)
    assert "near-field" not in [caution.code for caution in result.cautions]
    far = solve_scan(image, epochs=8, update_probe=True)
    assert result.verdict.r_factor < 0.5 * far.verdict.r_factor


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("near_field", {"near_field": "close"}),
        ("source_distance_m", {"source_distance_m": 0.1}),
        ("slice_thickness_m", {"slices": 2}),
        ("slice_coupling", {"slice_coupling": 1.0}),
        ("refine_positions", {"slices": 2, "slice_thickness_m": 1e-6, "refine_positions": True}),
    ],
)
def test_settings_that_contradict_each_other_are_named(name, settings):
    with pytest.raises(InvalidValueError) as caught:
        check_optics(settings)
    assert caught.value.name == name


def test_a_choice_of_switches_is_for_thin_samples_far_away():
    with pytest.raises(InvalidValueError) as caught:
        check_optics({"near_field": 0.1}, auto=True)
    assert caught.value.name == "auto"


def test_what_the_scan_does_not_know_is_named(image):
    scan = evolve(image, photon_energy_ev=None)
    with pytest.raises(InvalidValueError) as caught:
        SampleOptics.of({"near_field": GEOMETRY}, scan)
    assert caught.value.name == "photon_energy_ev"

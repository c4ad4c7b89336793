import numpy as np
import pytest
import torch
from attrs import evolve
from ptycho_config import InvalidValueError
from ptycho_data import save_bundle
from ptycho_physics import Canvas
from ptycho_torch import Reconstructor
from ptycho_torch.reconstruction import reconstruct

BATCHES = np.array_split(np.arange(48), 7)

# Each patch takes the phase of what lies there already: that depends a little on the batches.
SETTLED = 0.03


@pytest.fixture
def bundle(untrained):
    return untrained()


@pytest.fixture
def whole(bundle, scan, inference, execution):
    return reconstruct(bundle, scan, inference(), execution()).reconstruction


def fed(live, scan, batches=BATCHES):
    for batch in batches:
        live.add(scan.diffraction[batch], scan.positions[batch])
    return live


def test_batch_by_batch_is_the_whole_scan(bundle, scan, whole):
    live = fed(Reconstructor(bundle, photons=scan.mean_photons()), scan)
    assert live.count == scan.n
    assert live.canvas == Canvas.covering(scan.positions, 64)
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)
    np.testing.assert_allclose(live.coverage, whole.coverage, atol=1e-4)


def test_the_canvas_grows_and_keeps_what_it_has(bundle, scan, whole):
    live = Reconstructor(bundle, photons=scan.mean_photons())
    order = np.argsort(-scan.xcoords)  # to the left: the origin moves
    for batch in np.array_split(order, 6):
        live.add(scan.diffraction[batch], scan.positions[batch])
        seen = Canvas.covering(scan.positions[order[: live.count]], 64)
        assert live.canvas == seen
        assert live.object.shape == live.coverage.shape == seen.shape
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)


def test_without_photons_the_scale_settles_with_the_batches(bundle, scan, whole):
    live = fed(Reconstructor(bundle), scan)
    assert live.photons == pytest.approx(scan.mean_photons(), rel=1e-6)
    lit = whole.coverage > 0.1 * whole.coverage.max()
    np.testing.assert_allclose(live.object[lit], whole.object[lit], atol=2 * SETTLED)
    brightness = np.linalg.norm(live.object[lit]) / np.linalg.norm(whole.object[lit])
    assert brightness == pytest.approx(1, abs=2e-3)


def test_the_misfit_is_that_of_the_object(bundle, scan):
    counts = scan.diffraction.copy()
    counts[:12] *= 2  # the first batch is not like the others
    brighter = evolve(scan, diffraction=counts)

    def misfit(photons):
        live = fed(Reconstructor(bundle, photons=photons), brighter, np.split(np.arange(48), 4))
        parts = live.misfit(live.tensors()[0], torch.from_numpy(counts), scan.positions)
        return float(parts[0] / parts[1])

    assert misfit(None) == pytest.approx(misfit(brighter.mean_photons()), rel=0.05)


def test_the_result_can_be_saved(bundle, scan, whole):
    live = Reconstructor(bundle, photons=scan.mean_photons())
    for batch in BATCHES:
        positions = scan.positions[batch]
        live.add(scan.diffraction[batch], positions)
        positions[:] = 0  # the caller's to use again
    rec = live.result(pixel_size_m=2e-8, origin_m=(1e-3, 0.0))
    assert (rec.pixel_size_m, rec.origin_m) == (2e-8, (1e-3, 0.0))
    np.testing.assert_allclose(rec.positions + rec.origin, scan.positions)
    np.testing.assert_allclose(rec.object, whole.object, atol=SETTLED)


def test_amplitudes_and_tensors_of_any_type_do_as_well(bundle, scan, whole):
    photons = scan.mean_photons()
    amplitude = evolve(scan, diffraction=np.sqrt(scan.diffraction), domain="amplitude")
    live = fed(Reconstructor(bundle, photons=photons, domain="amplitude"), amplitude)
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)
    unsigned = evolve(scan, diffraction=scan.diffraction.astype(np.uint16))
    live = fed(Reconstructor(bundle, photons=photons), unsigned)
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)
    live = Reconstructor(bundle, photons=photons)
    live.add(torch.from_numpy(scan.diffraction), scan.positions)
    np.testing.assert_allclose(live.object, whole.object, atol=SETTLED)


def test_amplitudes_of_any_unit_have_the_dose_of_the_training(bundle, scan, whole):
    amplitude = evolve(scan, diffraction=1e-3 * np.sqrt(scan.diffraction), domain="amplitude")
    live = fed(Reconstructor(bundle, domain="amplitude"), amplitude)
    lit = whole.coverage > 0.1 * whole.coverage.max()
    np.testing.assert_allclose(live.object[lit], whole.object[lit], atol=2 * SETTLED)


def test_arrays_that_torch_does_not_take_are_converted(bundle, scan):
    def start(patterns):
        live = Reconstructor(bundle)
        live.add(patterns, scan.positions[:4])
        return live.object

    few = scan.diffraction[:4]
    read_only = few[::-1].copy()[::-1]
    read_only.flags.writeable = False
    for same in (few.astype(">f4"), few.astype(np.longdouble), read_only):
        np.testing.assert_array_equal(start(same), start(few))


def test_what_bad_pixels_hold_does_not_matter(bundle, scan):
    bad = np.zeros((64, 64), dtype=bool)
    bad[30:33, 10:40] = True
    spoilt = scan.diffraction.copy()
    spoilt[:, bad] = np.nan
    clean, live = (Reconstructor(bundle, bad_pixels=bad) for _ in range(2))
    fed(clean, scan)
    fed(live, evolve(scan, diffraction=spoilt))
    np.testing.assert_allclose(live.object, clean.object, atol=SETTLED)


def test_a_bundle_is_taken_from_a_file_and_a_probe_from_the_caller(bundle, scan, tmp_path):
    path = save_bundle(tmp_path / "model.zip", bundle)
    live = Reconstructor(path, probe=3 * scan.probe)
    given = scan.probe / np.linalg.norm(scan.probe)
    np.testing.assert_allclose(live.model.probe.numpy(), given, atol=1e-6)


def spoilt(value):
    """Two patterns, of which the second has a pixel that cannot be."""
    patterns = np.ones((2, 64, 64))
    patterns[1, 3, 4] = value
    return patterns


@pytest.mark.parametrize(
    ("patterns", "positions", "name", "got"),
    [
        (np.ones((2, 32, 32)), np.zeros((2, 2)), "patterns", "(2, 32, 32)"),
        (np.ones((64, 64)), np.zeros((1, 2)), "patterns", "(64, 64)"),
        (np.ones((2, 64, 64)), np.zeros((3, 2)), "positions", "(3, 2)"),
        (np.ones((1, 64, 64)), np.array([[np.nan, 0]]), "positions", "NaN or infinity"),
        (np.zeros((1, 64, 64)), np.zeros((1, 2)), "patterns", "zero in every pattern"),
        (
            np.ones((2, 64, 64)),
            np.array([[0.0, 0], [1e9, 1e9]]),
            "positions",
            "one of them is wrong",
        ),
        (spoilt(-2), np.zeros((2, 2)), "patterns", "-2 in pattern 1"),
        (spoilt(np.nan), np.zeros((2, 2)), "patterns", "nan in pattern 1"),
        (spoilt(np.inf), np.zeros((2, 2)), "patterns", "inf in pattern 1"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(bundle, patterns, positions, name, got):
    with pytest.raises(InvalidValueError) as refused:
        Reconstructor(bundle).add(patterns, positions)
    assert refused.value.name == name
    assert got in str(refused.value)


def test_amplitudes_are_not_negative_either(bundle):
    live = Reconstructor(bundle, domain="amplitude", photons=1e5)
    with pytest.raises(ValueError, match="amplitude >= 0 and finite, got -2"):
        live.add(spoilt(-2), np.zeros((2, 2)))


def test_a_refused_batch_leaves_everything_as_it_was(untrained, scan):
    bundle = untrained({"gridsize": 2})
    live, untroubled = Reconstructor(bundle), Reconstructor(bundle)
    apart = scan.positions[:4] * np.array([[1], [1], [1], [1e9]])

    def refused():
        with pytest.raises(ValueError, match="positions must be at least the 4 of a group, got 3"):
            live.add(10 * scan.diffraction[:3], scan.positions[:3])
        with pytest.raises(ValueError, match="whether one of them is wrong"):
            live.add(10 * scan.diffraction[:4], apart)

    refused()
    live.add(scan.diffraction[:6], scan.positions[:6])
    refused()
    untroubled.add(scan.diffraction[:6], scan.positions[:6])
    assert live.count == 6
    np.testing.assert_array_equal(live.object, untroubled.object)


@pytest.mark.parametrize("photons", [None, 1e5])
def test_nothing_comes_of_an_empty_batch(untrained, scan, photons):
    live = Reconstructor(untrained({"gridsize": 2}), photons=photons)
    live.add(scan.diffraction[:0], scan.positions[:0])
    assert live.count == 0
    with pytest.raises(ValueError, match="patterns must be added before"):
        live.result()


def test_a_prediction_needs_a_scale(bundle, scan):
    counts = torch.from_numpy(scan.diffraction[:1, None])
    with pytest.raises(ValueError, match="photons must be a mean per pattern"):
        Reconstructor(bundle).predict(counts, scan.positions[:1, None])


def test_the_coverage_can_be_the_first_thing_asked_for(bundle):
    live = Reconstructor(bundle, photons=1e5)
    axis = np.arange(0, 1300, 40.0)
    positions = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    live.reserve(positions)
    for some in np.split(positions, len(axis)):  # more than the canvas keeps in tiles
        live.stitch(torch.ones(len(some), 64, 64, dtype=torch.complex64), some)
    assert live.coverage.shape == live.object.shape


def test_an_unknown_domain_is_refused(untrained):
    with pytest.raises(ValueError, match="domain must be one of counts, amplitude, got 'coun"):
        Reconstructor(untrained(), domain="count")


def test_a_probe_without_an_axis_of_modes_is_one_mode(scan, untrained):
    live, plain = Reconstructor(untrained(), probe=scan.probe[0]), Reconstructor(untrained())
    for each in (live, plain):
        each.add(scan.diffraction[:4], scan.positions[:4])
    np.testing.assert_array_equal(live.object, plain.object)


def test_what_does_not_fit_is_refused_by_name(scan, untrained):
    with pytest.raises(InvalidValueError) as refused:
        Reconstructor(untrained(), bad_pixels=np.zeros((3, 3), bool))
    assert (refused.value.name, refused.value.got) == ("bad_pixels", "(3, 3)")
    with pytest.raises(ValueError, match="patterns must be real numbers, got torch"):
        Reconstructor(untrained()).add(1j * scan.diffraction[:4], scan.positions[:4])

"""A first probe from the patterns, and the orientation of positions whose probe is unknown."""

import json
from pathlib import Path

import attrs
import numpy as np
import pytest
from ptycho_config.errors import InvalidValueError
from ptycho_core.analysis.verdict import Verdict
from ptycho_core.first_probe.curvature import (
    CentralPart,
    Trial,
    defocus_of,
    far_field_amplitude,
    unrefined,
)
from ptycho_core.first_probe.search import FirstProbe, find_first_probe, searched_probes
from ptycho_core.preparing.orientation import find_orientation, oriented, variant_name
from ptycho_core.preparing.quick_look import QuickLook, quick_look
from ptycho_core.solving.call import solve_scan
from ptycho_core.starting_probe import similarity
from ptycho_data import Scan
from ptycho_physics import defocused_probe, random_cells, simulate_counts, snake_scan

N, DIAMETER = 48, 22.0


def divergent_scan(diameter: float = DIAMETER, photons: float = 1e6, seed: int = 4) -> Scan:
    """Make a scan with a probe that diverges (or converges), in a detector with much margin."""
    truth = random_cells((84, 88), radius=(3, 9), seed=seed)
    probe = defocused_probe(N, diameter, aperture=0.5)
    positions = snake_scan(truth.shape, N, number=48, jitter=0.4, seed=seed + 1)
    return Scan(
        diffraction=simulate_counts(truth, probe, positions, photons, seed=seed + 2),
        xcoords=positions[:, 0],
        ycoords=positions[:, 1],
        probe=np.ones((1, N, N), np.complex64),
        domain="counts",
        object_guess=truth,
        probe_made=True,
    )


@pytest.fixture(scope="module")
def scan() -> Scan:
    """Return a scan with a diverging beam, whose energy and pixel are known."""
    return attrs.evolve(divergent_scan(), photon_energy_ev=8000.0, pixel_size_m=30e-9)


@pytest.fixture(scope="module")
def found(scan: Scan) -> FirstProbe:
    return find_first_probe(scan)


def test_the_probe_is_found(found: FirstProbe) -> None:
    assert not found.verdict.doubtful
    assert found.verdict.ratio is not None
    assert found.verdict.ratio < 1.3
    assert similarity(found.probe[:1], defocused_probe(N, DIAMETER, aperture=0.5)) > 0.95


def test_the_defocus_is_in_metres_where_energy_and_pixel_are_known(found: FirstProbe) -> None:
    assert found.diameter == pytest.approx(DIAMETER, rel=0.2)
    # defocused_probe: diameter = aperture * wavelength * z / pixel^2
    expected = DIAMETER / 0.5 * (30e-9) ** 2 / 1.5498e-10
    assert found.defocus_m == pytest.approx(expected, rel=0.2)


def test_what_the_patterns_cannot_tell_is_said(found: FirstProbe) -> None:
    assert any("twin" in line for line in found.undecided)
    assert {caution.code for caution in found.cautions} == {"found-probe"}
    assert found.record["r_over_noise"] == found.verdict.ratio


@pytest.mark.slow
def test_a_converging_beam_is_told_from_a_diverging_one() -> None:
    assert find_first_probe(divergent_scan(-DIAMETER)).diameter == pytest.approx(-DIAMETER, rel=0.2)


@pytest.mark.parametrize("diameter", [-30, -8, 14, 30])
def test_the_defocus_of_a_probe_is_measured(diameter: float) -> None:
    curvature, width = defocus_of(defocused_probe(64, diameter, aperture=0.5))
    assert curvature == pytest.approx(diameter / 0.5, rel=0.05)
    assert width == pytest.approx(diameter, rel=0.15)


def test_of_few_photons_the_curvature_alone_is_kept() -> None:
    few = divergent_scan(photons=300)
    part = CentralPart.of(few)
    plain = unrefined(part, Trial(diameter=DIAMETER / N))
    assert plain is not None
    assert plain.diameter * N == pytest.approx(DIAMETER, rel=0.25)
    many = CentralPart.of(divergent_scan())
    assert unrefined(many, Trial(diameter=DIAMETER / N)) is None


def test_bad_pixels_take_the_light_around_them(scan: Scan) -> None:
    clean = far_field_amplitude(scan)
    bad = np.zeros((N, N), bool)
    bad[:, N // 2 + 3] = True
    frames = np.where(bad, np.float32(4e9), np.asarray(scan.diffraction, np.float32))
    masked = far_field_amplitude(attrs.evolve(scan, diffraction=frames, bad_pixels=bad))
    assert np.array_equal(masked[~bad], clean[~bad])
    assert np.abs(masked - clean).max() < 0.5 * clean.max()
    assert masked[bad].any()


def test_the_middle_has_most_of_the_light_and_coarser_pixels(scan: Scan) -> None:
    part = CentralPart.of(scan)
    assert part.M == 32
    assert part.shrink == N / 32
    assert np.allclose(np.ptp(part.positions, axis=0) * part.shrink,
                       np.ptp(scan.positions, axis=0), rtol=0.6)  # fmt: skip


def test_dark_and_few_patterns_are_refused(scan: Scan) -> None:
    for wrong in (
        scan.select(np.arange(5)),
        attrs.evolve(scan, diffraction=np.zeros((scan.n, N, N), np.uint16)),
    ):
        with pytest.raises(InvalidValueError) as caught:
            find_first_probe(wrong)
        assert caught.value.name == "scan"


@pytest.mark.slow
@pytest.mark.parametrize("symmetry", range(8))
def test_the_pair_of_orientations_is_found_with_an_unknown_probe(scan: Scan, symmetry: int) -> None:
    inverse = next(s for s in range(8) if same(oriented(oriented(scan, s), symmetry), scan))
    found = find_orientation(oriented(scan, inverse))
    assert found.decided
    assert {found.symmetry, *found.undecided} == {symmetry, symmetry ^ 3}
    assert found.first_probe is not None
    assert not found.first_probe.verdict.doubtful
    assert variant_name(symmetry) in found.describe()


@pytest.mark.parametrize("symmetry", [0, 3, 5])
def test_a_known_probe_decides_between_all_eight(symmetry: int) -> None:
    scan = attrs.evolve(divergent_scan(), probe=defocused_probe(N, DIAMETER, aperture=0.5),
                        probe_made=False)  # fmt: skip
    inverse = next(s for s in range(8) if same(oriented(oriented(scan, s), symmetry), scan))
    found = find_orientation(oriented(scan, inverse), "given")
    assert (found.symmetry, found.decided, found.undecided) == (symmetry, True, [])
    assert len(found.table) == 8
    assert found.record["variant"] == variant_name(symmetry)


def test_the_noise_of_a_subtracted_background_does_not_hide_the_orientation() -> None:
    scan = divergent_scan(photons=3e4)
    lit = np.random.default_rng(1).poisson(scan.diffraction + 20.0)
    level = np.full((N, N), 20, np.float32)
    noisy = attrs.evolve(scan, diffraction=np.maximum(lit - 26.0, 0).astype(np.float32),
                         background=level, subtracted=level + 6)  # fmt: skip
    part = CentralPart.of(noisy)
    assert part.background is not None
    assert part.subtracted is not None
    assert part.background.shape == part.subtracted.shape == (part.M, part.M)
    known = attrs.evolve(noisy, probe=defocused_probe(N, DIAMETER, aperture=0.5))
    found = find_orientation(known, "given")
    assert (found.symmetry, found.decided) == (0, True)
    assert found.table[0].r_over_noise < 1.2
    plain = find_orientation(attrs.evolve(known, background=None, subtracted=None), "given")
    assert plain.table[0].r_over_noise > 1.5


def test_positions_that_fit_nothing_stay_as_they_are(scan: Scan) -> None:
    order = np.random.default_rng(0).permutation(scan.n)
    shuffled = attrs.evolve(scan, xcoords=scan.xcoords[order], ycoords=scan.ycoords[order],
                            probe=defocused_probe(N, DIAMETER, aperture=0.5))  # fmt: skip
    found = find_orientation(shuffled, "given")
    assert (found.symmetry, found.decided) == (0, False)


def same(one: Scan, other: Scan) -> bool:
    return bool(np.allclose(one.positions, other.positions))


def test_the_solver_starts_from_the_found_probe(scan: Scan, tmp_path: Path) -> None:
    result = solve_scan(scan, first_probe="auto", output=tmp_path / "r", epochs=20, progress=False)
    assert result.verdict.ratio is not None
    assert result.verdict.ratio < 1.5
    codes = {c.code for c in result.cautions}
    assert "found-probe" in codes
    assert "guessed-probe" not in codes
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert metrics["first_probe"]["source"] == "data"
    run = json.loads((tmp_path / "r" / "run.json").read_text())
    assert run["configuration"]["first_probe"] == "auto"


def test_a_first_probe_and_a_probe_file_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError) as caught:
        solve_scan(tmp_path / "scan.npz", first_probe="auto", probe_file=tmp_path / "p.npz")
    assert caught.value.name == "first_probe"


def test_guessed_probes_are_replaced_before_a_training(scan: Scan) -> None:
    known = attrs.evolve(scan, probe_made=False)
    few = scan.select(np.arange(6))
    better, found, cautions = searched_probes([known, scan, few])
    assert better[0] is known
    assert not better[1].probe_made
    np.testing.assert_array_equal(better[1].probe, found[0].probe)
    assert better[2] is few
    assert [c.code for c in cautions] == ["found-probe", "guessed-probe"]


@pytest.fixture(scope="module")
def flickering(scan: Scan) -> Scan:
    """Return the scan with a beam that loses light in the middle, and flickers."""
    rng = np.random.default_rng(3)
    light = np.where(np.arange(scan.n) > 24, 0.5, 1.0) * rng.uniform(0.8, 1.2, scan.n)
    counts = rng.binomial(scan.counts().astype(int), (light / 1.2)[:, None, None])
    return attrs.evolve(scan, diffraction=counts)


def test_light_that_varies_hides_neither_probe_nor_orientation(flickering: Scan) -> None:
    table = find_orientation(oriented(flickering, 1))
    assert table.decided
    assert table.symmetry in (1, 1 ^ 3)
    assert table.first_probe is not None
    assert not table.first_probe.verdict.doubtful
    assert abs(table.first_probe.diameter) == pytest.approx(DIAMETER, rel=0.2)


def test_a_quick_look_tells_of_light_that_varies(scan: Scan, flickering: Scan) -> None:
    probe = defocused_probe(N, DIAMETER, aperture=0.5)
    steady = quick_look(attrs.evolve(scan, probe=probe))
    assert steady.light_rms is None
    assert "light" not in steady.describe()
    varying = quick_look(attrs.evolve(flickering, probe=probe))
    assert 0.1 < varying.light_rms < 0.4  # the object takes a part of the step
    assert f"light +-{varying.light_rms:.0%}" in varying.describe()


def test_more_patterns_are_tried_where_each_tells_less(scan: Scan) -> None:
    part = CentralPart.of(scan, 16)
    assert len(part.counts) == min(scan.n, round(16 * (64 / part.M) ** 2))


@pytest.mark.parametrize(
    ("noise", "switches"), [(0.1, "--update-probe"), (0.05, "--auto"), (None, "--update-probe")]
)
def test_what_is_not_explained_is_left_to_auto(noise: float | None, switches: str) -> None:
    verdict = Verdict(r_factor=0.1, noise=noise)
    assert QuickLook(reconstruction=None, verdict=verdict, patterns=9).switches == switches

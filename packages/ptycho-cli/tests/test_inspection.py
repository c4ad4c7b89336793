import attrs
import numpy as np
import pytest
from ptycho_cli import inspection
from ptycho_data import Scan, stacks


def make(diffraction, *, step=2.0, domain="counts", nphotons=None):
    n, N = len(diffraction), diffraction.shape[-1]
    yy, xx = np.mgrid[:N, :N] - N // 2
    probe = ((xx**2 + yy**2) < (N / 4) ** 2).astype(np.complex64)
    side = int(np.ceil(np.sqrt(n)))
    index = np.arange(n)
    return Scan(
        diffraction=diffraction,
        xcoords=step * (index % side),
        ycoords=step * (index // side),
        probe=probe,
        domain=domain,
        nphotons=nphotons,
    )


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(5.0, (64, 32, 32)).astype(np.uint16)


def test_dose_of_counts(counts):
    light = inspection.dose(make(counts))
    totals = counts.sum(axis=(1, 2))
    assert light.mean == pytest.approx(totals.mean())
    assert (light.minimum, light.maximum) == (totals.min(), totals.max())
    assert light.median == pytest.approx(np.median(totals))


def test_dose_of_amplitudes_needs_a_scale(counts):
    amplitude = np.sqrt(counts).astype(np.float32)
    amplitude /= amplitude.max()
    assert inspection.dose(make(amplitude, domain="amplitude")) is None
    light = inspection.dose(make(amplitude, domain="amplitude"), nphotons=1e5)
    assert light.mean == pytest.approx(1e5)
    stated = inspection.dose(make(amplitude, domain="amplitude", nphotons=2e5), nphotons=1e5)
    assert stated.mean == pytest.approx(2e5)


def test_saturation_of_clipped_counts(counts):
    assert not inspection.saturation(make(counts)).suspected
    for limit in (900, 100):
        clipped = np.minimum(counts.astype(int) * 100, limit).astype(np.uint16)
        found = inspection.saturation(make(clipped))
        assert found.suspected
        assert found.largest == limit
        assert found.pixels == np.sum(clipped == limit)
        assert found.patterns == np.sum((clipped == limit).any(axis=(1, 2)))


def test_one_pixel_at_the_limit_of_its_type_is_enough(counts):
    counts[5, 3, 3] = 65535
    found = inspection.saturation(make(counts))
    assert (found.suspected, found.pixels, found.patterns) == (True, 1, 1)


def test_saturation_in_pieces_is_the_same(counts, monkeypatch):
    whole = inspection.saturation(make(counts))
    monkeypatch.setattr(stacks, "BLOCK_BYTES", 3 * 32 * 32 * 2)
    assert inspection.saturation(make(counts)) == whole


def test_probe_diameter_of_a_disk_is_exact():
    yy, xx = np.mgrid[:64, :64] - 32
    disk = (np.hypot(xx, yy) <= 12).astype(np.complex64)
    assert inspection.probe_diameter(disk[None]) == pytest.approx(
        2 * np.sqrt(disk.real.sum() / np.pi)
    )
    assert inspection.probe_diameter(3 * disk[None]) == inspection.probe_diameter(disk[None])


@pytest.mark.parametrize("step", [2.0, 4.0, 40.0])
def test_overlap(counts, step):
    scan = make(counts, step=step)
    seen = inspection.overlap(scan)
    assert seen.step == pytest.approx(step)
    assert seen.fraction == pytest.approx(max(0, 1 - step / seen.diameter))
    assert (seen.neighbours > 0) == (step < seen.diameter)


def test_one_pattern_overlaps_nothing(counts):
    assert inspection.overlap(make(counts[:1])) is None


def suggest(scan):
    return inspection.suggestions(
        scan, inspection.overlap(scan), inspection.dose(scan), inspection.saturation(scan)
    )


@pytest.fixture
def sized():
    """64 patterns of a size that networks take."""
    return np.random.default_rng(0).poisson(5.0, (64, 64, 64)).astype(np.uint16)


def test_suggestions_follow_the_overlap(sized):
    dense = suggest(make(sized, step=4.0))
    # A step holds about 16 patterns, whatever the size of a group.
    assert dense["options"] == {"gridsize": 2, "batch_size": 4, "neighbor_count": 7}
    single = {"gridsize": 1, "batch_size": 16}
    usual = suggest(make(sized, step=11.0))  # 66 %
    assert usual["options"] == single
    sparse = suggest(make(sized, step=20.0))
    assert sparse["options"] == single
    told = [
        any("overlap" in remark for remark in found["remarks"]) for found in (dense, usual, sparse)
    ]
    assert told == [False, False, True]
    assert suggest(make(sized[:30], step=4.0))["options"] == single


def test_suggestions_for_large_patterns():
    big = np.random.default_rng(0).poisson(1.0, (64, 256, 256)).astype(np.uint8)
    assert suggest(make(big, step=4.0))["options"]["batch_size"] == 2
    assert suggest(make(big, step=60.0))["options"]["batch_size"] == 8


@pytest.mark.parametrize(
    ("N", "ways"),
    [
        (32, "pad them with zeros to 64 x 64, so that pixel [16, 16]"),
        (100, "pad them with zeros to 128 x 128 or crop them to 64 x 64, so"),
        (512, "crop them to 256 x 256, so"),
    ],
)
def test_a_size_that_no_network_takes(N, ways):
    found = suggest(make(np.ones((4, N, N), np.float32)))
    assert (found["command"], found["options"]) == ("reconstruct", {})
    text = found["remarks"][0]
    assert f"64, 128 or 256 pixels, not of {N}: {ways}" in text
    assert "multiply xcoords and ycoords by M/" in found["remarks"][1]


@pytest.mark.parametrize("N", inspection.network_sizes())
def test_sizes_that_networks_take(N):
    found = suggest(make(np.ones((4, N, N), np.float32)))
    assert found["command"] == "train"
    assert not any("ptycho train" in remark for remark in found["remarks"])


def test_remarks_on_dose(counts):
    assert any("photons per pattern are few" in text for text in suggest(make(counts))["remarks"])
    bright = suggest(make((counts * 100).astype(np.uint16)))
    assert not any("few" in remark for remark in bright["remarks"])
    amplitude = np.sqrt(counts) / np.sqrt(counts.max())
    unknown = suggest(make(amplitude.astype(np.float32), domain="amplitude"))
    assert any("--nphotons" in remark for remark in unknown["remarks"])


def test_reports_are_plain_values(counts):
    for part in (inspection.overlap(make(counts)), inspection.saturation(make(counts))):
        assert all(type(value) in (int, float, bool) for value in attrs.asdict(part).values())


@pytest.mark.parametrize(
    ("count", "step", "word"),
    [(64, 40.0, "found none that do"), (64, 1e7, "must fit into"), (1, 4.0, "one pattern alone")],
)
def test_what_cannot_be_reconstructed_is_said_and_no_command(sized, count, step, word):
    found = suggest(make(sized[:count], step=step))
    assert (found["command"], found["options"]) == (None, {})
    assert any(word in problem for problem in found["problems"])
    assert not any("overlap by" in remark for remark in found["remarks"])
    assert suggest(make(sized, step=4.0))["problems"] == []

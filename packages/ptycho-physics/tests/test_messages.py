"""The wording of the messages that people meet most. Other tests check the type and the name."""

import numpy as np
import pytest
from ptycho_config.errors import PtychoError
from ptycho_physics import Canvas, defocused_probe, fermat_scan, simulate_counts, solve, synchronise
from ptycho_physics.metrics import compare, frc_of_halves
from ptycho_physics.objects import object_from_image
from ptycho_physics.probes import probe_from_array
from ptycho_physics.solver._stopping import Watch

COUNTS = np.ones((4, 8, 8), np.float32)
POSITIONS = np.arange(8.0).reshape(4, 2)
PROBE = np.ones((1, 8, 8), np.complex64)
FLAT = np.ones((20, 20), np.complex64)
CANVAS = Canvas(origin=(0, 0), shape=(20, 20))


def rising_r_factor():
    watch = Watch(tolerance=None, patience=3)
    watch.add(0.2)
    watch.add(0.7)


MESSAGES = [
    (
        lambda: solve(COUNTS[0], POSITIONS, PROBE),
        "counts must be an (n, N, N) array, got shape (8, 8)",
    ),
    (
        lambda: solve(0 * COUNTS, POSITIONS, PROBE),
        "counts must be of a finite mean > 0 per pattern, got a mean of 0; is this a dark scan?",
    ),
    (
        lambda: solve(COUNTS, POSITIONS[:3], PROBE),
        "positions must be a (4, 2) array, got shape (3, 2)",
    ),
    (
        lambda: solve(COUNTS, POSITIONS, PROBE[0]),
        "probe must be an (M, N, N) array with N = 8, that of the counts, got shape (8, 8)",
    ),
    (
        lambda: solve(COUNTS, POSITIONS, 0 * PROBE),
        "probe must be of power > 0, got a power of 0",
    ),
    (
        lambda: solve(COUNTS, POSITIONS, PROBE, modes=2),
        "modes must be the number of modes of the probe unless the probe is refined, got 2; "
        "set update_probe as well",
    ),
    (
        lambda: solve(COUNTS, POSITIONS, PROBE, initial=FLAT),
        "initial must be a (14, 14) array, the canvas that the positions cover, got shape (20, 20)",
    ),
    (
        rising_r_factor,
        "solver diverged in epoch 2: R-factor 0.7 after 0.2; raise relaxation or lower batch_size",
    ),
    (
        lambda: simulate_counts(FLAT, PROBE, np.array([[3.0, 10.0]]), 1e5, seed=0),
        "positions must be in [4, 16] along x for patches of 8 pixels on a canvas of 20 x 20 "
        "pixels, got 3 .. 3; enlarge the canvas",
    ),
    (
        lambda: simulate_counts(FLAT, PROBE, POSITIONS, 0.0, seed=0),
        "photons must be > 0 and finite, got 0",
    ),
    (
        lambda: probe_from_array(np.ones((4, 5))),
        "probe must be an (N, N) or (M, N, N) array, got shape (4, 5)",
    ),
    (
        lambda: defocused_probe(32, 40),
        "diameter must be between -32 and 32 pixels, got 40",
    ),
    (
        lambda: fermat_scan((20, 20), 8),
        "number or step must be given, one of the two, got number=None and step=None",
    ),
    (
        lambda: fermat_scan((20, 20), 64, number=5),
        "shape must be at least 64 pixels in x and in y for patches of 64 with a jitter of 0, "
        "got 20 x 20 pixels",
    ),
    (
        lambda: object_from_image(np.zeros((3, 3, 3))),
        "image must be a 2-D array of real grey values, got shape (3, 3, 3) of float64; "
        "convert colour to grey first",
    ),
    (
        lambda: compare(FLAT, FLAT[1:]),
        "reconstruction must be of the shape (19, 20) of reference, got shape (20, 20)",
    ),
    (
        lambda: frc_of_halves(FLAT, CANVAS, FLAT, CANVAS, margin=5),
        "area common to both halves must be at least 16 x 16 pixels inside a margin of 5, "
        "got 10 x 10",
    ),
    (
        lambda: synchronise(np.array([[0, 1]]), np.array([1.0 + 0j]), np.array([1.0, np.nan])),
        "images must be finite, got NaN or infinity in 1 of 2; "
        "look for bad pixels in their patterns",
    ),
]


@pytest.mark.parametrize(("call", "text"), MESSAGES)
def test_wording(call, text):
    with pytest.raises(PtychoError) as caught:
        call()
    assert str(caught.value) == text

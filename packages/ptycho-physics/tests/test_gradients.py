import numpy as np
import pytest
from ptycho_physics import _gradients as module
from ptycho_physics import (
    canvas_gradient,
    expected_counts,
    extract_patches,
    likelihood_gradient,
    normalise_probe,
    poisson_deviance,
    poisson_nll,
)

N = 8
PHOTONS = 900.0
LOSSES = {False: poisson_nll, True: poisson_deviance}


@pytest.fixture
def case(complex_normal, rng):
    """A canvas, a probe of two modes, positions, counts and a mask in double precision."""
    mask = np.zeros((N, N), dtype=bool)
    mask[1, 5] = True
    return {
        "canvas": complex_normal(15, 16),
        "probe": normalise_probe(complex_normal(2, N, N)),
        "positions": rng.uniform(4, 11, size=(5, 2)),
        "counts": rng.poisson(14, size=(5, N, N)).astype(np.float64),
        "mask": mask,
    }


def loss(case, *, deviance, background=0.0, **changes):
    c = case | changes
    patches = extract_patches(c["canvas"], c["positions"], c["counts"].shape[-1])
    rate = expected_counts(patches, c["probe"], c.get("photons", PHOTONS)) + background
    return LOSSES[deviance](rate, c["counts"] + background, c["mask"])


def slope(case, name, direction, **options):
    """Derivative of the summed loss along a direction, by central differences."""
    h = 1e-6
    ahead, behind = (
        loss(case, **options, **{name: case[name] + sign * h * direction}).sum() for sign in (1, -1)
    )
    return (ahead - behind) / (2 * h)


@pytest.mark.parametrize("deviance", [False, True])
@pytest.mark.parametrize("background", [0.0, 0.3])
@pytest.mark.parametrize("name", ["canvas", "probe"])
def test_gradient_is_that_of_finite_differences(case, complex_normal, deviance, background, name):
    found = canvas_gradient(
        *(case[k] for k in ("canvas", "positions", "probe", "counts")),
        PHOTONS,
        case["mask"],
        deviance=deviance,
        background=background,
        update_probe=True,
    )
    options = {"deviance": deviance, "background": background}
    np.testing.assert_allclose(found.loss, loss(case, **options), rtol=1e-10)
    gradient = found.object if name == "canvas" else found.probe
    for _ in range(3):
        direction = complex_normal(*gradient.shape)
        expected = slope(case, name, direction, **options)
        assert np.vdot(direction, gradient).real == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("deviance", [False, True])
def test_each_pattern_may_have_its_own_photons(case, complex_normal, deviance):
    photons = np.linspace(500.0, 900.0, 5)[:, None, None]
    patches = extract_patches(case["canvas"], case["positions"], N)
    data = (case["probe"], case["counts"], photons, case["mask"])
    found = likelihood_gradient(patches, *data, deviance=deviance)
    h, direction = 1e-6, complex_normal(*patches.shape)
    ahead, behind = (
        likelihood_gradient(patches + sign * h * direction, *data, deviance=deviance).loss.sum()
        for sign in (1, -1)
    )
    np.testing.assert_allclose(found.loss, loss(case, deviance=deviance, photons=photons))
    slope = np.vdot(direction, found.object).real
    assert slope == pytest.approx((ahead - behind) / (2 * h), rel=1e-5)


def test_odd_sizes_are_centred_too(complex_normal, rng):
    probe, patches = normalise_probe(complex_normal(1, 7, 7)), complex_normal(2, 7, 7)
    counts = rng.poisson(9, size=(2, 7, 7)).astype(np.float64)
    found = likelihood_gradient(patches, probe, counts, 500.0)
    expected = poisson_nll(expected_counts(patches, probe, 500.0), counts)
    np.testing.assert_allclose(found.loss, expected, rtol=1e-10)


def test_numpy_torch_and_autograd_agree(case, torch):
    names = ("canvas", "positions", "probe", "counts")
    first = canvas_gradient(*(case[k] for k in names), PHOTONS, case["mask"])
    there = {name: torch.from_numpy(value) for name, value in case.items()}
    second = canvas_gradient(*(there[k] for k in names), PHOTONS, there["mask"])
    canvas = there["canvas"].clone().requires_grad_()
    loss(there | {"canvas": canvas}, deviance=False).sum().backward()
    np.testing.assert_allclose(first.object, second.object.numpy(), rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(first.object, canvas.grad.numpy(), rtol=1e-10, atol=1e-9)


def test_pieces_do_not_change_the_gradient(case, monkeypatch):
    arguments = [case[k] for k in ("canvas", "positions", "probe", "counts")]
    whole = canvas_gradient(*arguments, PHOTONS, update_probe=True)
    monkeypatch.setattr(module, "PIXELS_AT_ONCE", 2 * N**2)
    pieces = canvas_gradient(*arguments, PHOTONS, update_probe=True)
    np.testing.assert_allclose(pieces.object, whole.object, rtol=1e-12)
    np.testing.assert_allclose(pieces.probe, whole.probe, rtol=1e-12)
    np.testing.assert_allclose(pieces.loss, whole.loss, rtol=1e-12)


def test_single_precision_stays_single(library, case):
    single = {np.dtype(complex): np.complex64, np.dtype(float): np.float32}
    arguments = [
        library.array(case[k].astype(single[case[k].dtype]) if k != "positions" else case[k])
        for k in ("canvas", "positions", "probe", "counts")
    ]
    found = canvas_gradient(*arguments, PHOTONS, update_probe=True)
    for values, dtype in (
        (found.object, np.complex64),
        (found.probe, np.complex64),
        (found.loss, np.float32),
    ):
        assert library.numpy(values).dtype == dtype


def test_where_darkness_is_predicted_the_gradient_is_zero_and_finite(library):
    patches = library.array(np.zeros((1, N, N), dtype=np.complex64))
    probe = library.array(normalise_probe(np.ones((1, N, N), dtype=np.complex64)))
    counts = library.array(np.ones((1, N, N), dtype=np.float32))
    found = likelihood_gradient(patches, probe, counts, 100.0)
    assert np.isfinite(library.numpy(found.loss)).all()
    np.testing.assert_array_equal(library.numpy(found.object), 0)


def test_arguments_are_not_written_to(case):
    before = {name: value.copy() for name, value in case.items()}
    canvas_gradient(
        *(case[k] for k in ("canvas", "positions", "probe", "counts")), PHOTONS, case["mask"]
    )
    for name, value in case.items():
        np.testing.assert_array_equal(value, before[name])

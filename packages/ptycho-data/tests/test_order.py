"""The order of the axes of a stack with as many patterns as pixels along a side."""

import numpy as np
import pytest
from ptycho_data import ScanFormatWarning, load_scan
from ptycho_data._contract import Layout
from ptycho_data._order import patterns_last, settle_order

A = 24
Y, X = np.indices((A, A)) - A // 2
R = np.hypot(Y, X)
RNG = np.random.default_rng(0)
NUMBER = np.arange(A)

LIGHT = {
    "middle": np.exp(-((R / 4) ** 2)),
    "broad": np.exp(-((R / 9) ** 2)),
    "beam stop": np.where(R < 4, 0, np.exp(-((R / 6) ** 2))),
    "ring": np.exp(-(((R - 8) / 2) ** 2)),
    "off the middle": np.exp(-(((Y - 3) / 3) ** 2) - ((X + 4) / 3) ** 2),
    "corners": np.fft.ifftshift(np.exp(-((R / 4) ** 2))),
    "background": 0.3 + np.exp(-((R / 4) ** 2)),
}
DOSES = {
    "even": np.ones(A),
    "drift": np.linspace(0.2, 2, A),
    "decay": np.exp(-NUMBER / 8),
    "some blank": np.where(RNG.random(A) < 0.2, 0, 1),
    "second half": np.where(NUMBER < A // 2, 0, 1),
    "thicker middle": 1 + 0.5 * np.cos(2 * np.pi * NUMBER / A),
}


def patterns(light="middle", doses="even", photons=100):
    rate = photons * LIGHT[light] * DOSES[doses][:, None, None]
    return RNG.poisson(rate).astype(np.uint32)


@pytest.mark.parametrize("light", LIGHT)
def test_wherever_the_light_is(light):
    stack = patterns(light)
    for values in (stack, stack.astype(np.float32), np.sqrt(stack / stack.max())):
        assert patterns_last(values) is False
        assert patterns_last(np.moveaxis(values, 0, 2)) is True


@pytest.mark.parametrize("doses", DOSES)
def test_whatever_the_dose(doses):
    stack = patterns(doses=doses)
    assert patterns_last(stack) is False
    assert patterns_last(np.moveaxis(stack, 0, 2)) is True


@pytest.mark.parametrize("doses", ["drift", "decay", "some blank", "thicker middle"])
def test_a_changing_dose_of_diffuse_light_turns_nothing(doses):
    diffuse = 100 + 5 * RNG.normal(size=(A, A)).cumsum(axis=0)
    stack = RNG.poisson(np.maximum(diffuse, 0) * DOSES[doses][:, None, None])
    assert not patterns_last(stack)


@pytest.mark.parametrize("where", [(5, 7), (slice(8, 11), slice(None)), (slice(None), 20)])
def test_marks_of_bad_pixels_do_not_outweigh_the_light(where):
    stack = patterns()
    stack[:, *where] = 2**32 - 1
    assert patterns_last(stack) is False
    assert patterns_last(np.moveaxis(stack, 0, 2)) is True


def test_a_stack_larger_than_the_rows_looked_at():
    y, x = np.indices((150, 150)) - 75
    stack = np.broadcast_to((100 * np.exp(-(y**2 + x**2) / 900)).astype(np.uint8), (150, 150, 150))
    assert patterns_last(stack) is False
    assert patterns_last(np.moveaxis(stack, 0, 2)) is True


@pytest.mark.parametrize("stack", [np.zeros((A, A, A)), RNG.poisson(40, (A, A, A)),
                                   np.full((A, A, A), np.nan)])  # fmt: skip
def test_even_light_does_not_tell(stack):
    assert patterns_last(stack) is None


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_is_turned_as_the_light_tells(tmp_path, contract_arrays, save, last):
    arrays = contract_arrays(n=A, N=A)
    good = arrays | {"diffraction": patterns()}
    turned = {key: np.moveaxis(good[key], 0, 2) for key in ("diffraction", "Y") if last}
    save(tmp_path / "scan.npz", **good | turned)
    order = r"\(N, N, n\)" if last else r"\(n, N, N\)"
    with pytest.warns(ScanFormatWarning, match=f"FORMAT-001: {A} patterns .* {order}"):
        scan = load_scan(tmp_path / "scan.npz")
    np.testing.assert_array_equal(scan.diffraction, good["diffraction"])
    np.testing.assert_array_equal(scan.patches, good["Y"])


def test_without_a_decision_the_contract_holds():
    layout = Layout(n=A, N=A, usable=frozenset({"diffraction", "Y"}), ambiguous=True)
    assert settle_order(layout, np.ones((A, A, A)))[0].transposed == frozenset()
    turned = settle_order(layout, np.moveaxis(patterns(), 0, 2))[0]
    assert turned.transposed == {"diffraction", "Y"}

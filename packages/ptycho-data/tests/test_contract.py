import numpy as np
import pytest
from ptycho_data._contract import check_layout, raster_advice, resolve_aliases
from ptycho_data._violations import Findings


@pytest.fixture
def layout_of(contract_arrays):
    def check(drop=(), n=12, N=8, **changes):
        arrays = contract_arrays(n=n, N=N) | changes
        findings = Findings("scan.npz")
        layout = check_layout({k: v for k, v in arrays.items() if k not in drop}, findings)
        return layout, {violation.key: str(violation) for violation in findings.violations}

    return check


def test_good_scan_has_no_violations(layout_of):
    layout, wrong = layout_of()
    assert wrong == {}
    assert (layout.n, layout.N, layout.ambiguous) == (12, 8, False)
    assert layout.transposed == frozenset()


def _c(*shape):
    return np.ones(shape, np.complex64)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("diffraction", np.ones((12, 8, 7)), "square patterns"),
        ("diffraction", np.ones((11, 8, 8)), "(12, N, N), one pattern per position"),
        ("diffraction", np.ones((13, 8, 8)), "(12, N, N), one pattern per position"),
        ("diffraction", np.ones((12, 64)), "(n, N, N)"),
        ("diffraction", np.ones((12, 8, 8), complex), "integer or float"),
        ("diffraction", np.ones((12, 8, 8), bool), "integer or float"),
        ("diffraction", np.ones((12, 0, 0)), "none of them 0"),
        ("xcoords", np.ones((12, 1)), "(n,) with n >= 1"),
        ("ycoords", np.ones(11), "(12,) like xcoords"),
        ("ycoords", np.array(["a"] * 12), "integer or float"),
        ("probeGuess", _c(16, 16), "(8, 8) or (M, 8, 8)"),
        ("probeGuess", _c(8, 8, 2), "(8, 8) or (M, 8, 8)"),
        ("probeGuess", _c(0, 8, 8), "(8, 8) or (M, 8, 8)"),
        ("probeGuess", np.ones((8, 8)), "complex"),
        ("objectGuess", _c(1, 50, 50), "(H, W)"),
        ("Y", np.ones((12, 8, 8)), "complex"),
        ("Y", _c(12, 8, 9), "of shape (12, 8, 8)"),
        ("Y", _c(12, 8, 8, 2), "of shape (12, 8, 8)"),
        ("xcoords_start", np.ones(3), "(12,)"),
        ("scan_index", np.ones(12, bool), "integer or float"),
        ("bad_pixels", np.ones((7, 8), bool), "(8, 8)"),
        ("background", np.ones((7, 8)), "(8, 8)"),
        ("subtracted", np.ones((8, 8), bool), "integer or float"),
        ("nphotons", np.ones(2), "a single value"),
        ("domain", np.array(3), "text"),
        ("_metadata", np.array(["a", "b"]), "a single value"),
    ],
)
def test_each_broken_rule_is_named(layout_of, key, value, expected):
    layout, wrong = layout_of(**{key: value})
    assert list(wrong) == [key]
    assert expected in wrong[key]
    assert key not in layout.usable


@pytest.mark.parametrize("key", ["diffraction", "xcoords", "ycoords", "probeGuess"])
def test_missing_required_key(layout_of, key):
    _, wrong = layout_of(drop=[key])
    assert list(wrong) == [key]
    assert "no such array" in wrong[key]


def test_all_violations_at_once(layout_of):
    _, wrong = layout_of(
        drop=["ycoords"], diffraction=np.ones((9, 8, 8)), probeGuess=np.ones((4, 4)), Y=np.ones(3)
    )
    assert set(wrong) == {"ycoords", "diffraction", "probeGuess", "Y"}


def test_patterns_last_is_recognised_by_the_number_of_positions(layout_of):
    layout, wrong = layout_of(diffraction=np.ones((8, 8, 12)), Y=_c(8, 8, 12))
    assert wrong == {}
    assert layout.transposed == {"diffraction", "Y"}
    assert layout.N == 8


def test_cube_is_ambiguous_and_keeps_the_contract(layout_of):
    layout, wrong = layout_of(n=8, N=8)
    assert wrong == {}
    assert layout.ambiguous
    assert not layout.transposed


@pytest.mark.parametrize("probe", [(8, 8), (3, 8, 8), (8, 8, 1), (1, 8, 8)])
def test_probe_shapes(layout_of, probe):
    assert layout_of(probeGuess=_c(*probe))[1] == {}


def test_aliases_and_unknown_keys():
    assert resolve_aliases(("diff3d", "xcoords", "junk")) == {
        "diffraction": "diff3d",
        "xcoords": "xcoords",
    }
    assert resolve_aliases(("diff3d", "diffraction"))["diffraction"] == "diffraction"


@pytest.mark.parametrize(
    ("shape", "n", "stack"),
    [
        ((3, 4, 8, 8), 12, (12, 8, 8)),
        ((8, 8, 3, 4), 12, (12, 8, 8)),
        ((4, 4, 8, 8), 16, (16, 8, 8)),
        ((8, 8, 4, 4), 16, (16, 8, 8)),
        ((8, 8, 4, 4), None, (64, 4, 4)),
        ((3, 4, 8, 7), None, (12, 8, 7)),
        ((2, 3, 4, 8, 8), 24, (24, 8, 8)),
    ],
)
def test_a_raster_is_told_the_shape_of_its_stack(shape, n, stack):
    assert str(stack) in raster_advice(shape, n)


def test_rasters_of_patterns_and_positions_are_refused_with_advice(layout_of):
    _, wrong = layout_of(diffraction=np.ones((3, 4, 8, 8)), xcoords=np.ones((3, 4)))
    assert "reshape" in wrong["diffraction"]
    assert "reshape" in wrong["xcoords"]
    assert raster_advice((12, 8)) == raster_advice((12, 0, 8, 8)) == ""

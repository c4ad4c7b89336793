import numpy as np
import pytest
from ptycho_config import ModelConfig, TrainingConfig
from ptycho_config.training import LOSS_WEIGHTS
from ptycho_core.losses import TERMS, Prediction, loss_weights, weighted_terms
from ptycho_physics import defocused_probe, expected_counts

N, PHOTONS = 32, 1e5


@pytest.fixture
def made():
    """Return what a model predicts that knows everything, with what is changed."""
    rng = np.random.default_rng(0)
    probe = defocused_probe(N)
    truth = np.exp(1j * rng.uniform(-1, 1, (3, 2, N, N))).astype(np.complex64)
    counts = expected_counts(truth, probe, np.float32(PHOTONS))

    def make(**changes):
        perfect = {
            "patches": truth,
            "photons": np.float32(PHOTONS),
            "counts": counts,
            "rate": counts,
            "truth": truth,
            "probe": probe,
            "bad_pixels": np.zeros((N, N), bool),
            "constant": lambda array: array,
        }
        return Prediction(**perfect | changes)

    return make


def term(name, made):
    return float(TERMS[name](made, np))


def test_each_term_has_a_weight_in_the_configuration_and_each_weight_a_term():
    assert [f"{name}_weight" for name in TERMS] == list(LOSS_WEIGHTS)
    assert set(LOSS_WEIGHTS.values()) == {"counts", "object", "truth"}


@pytest.mark.parametrize("name", ["nll", "mae", "realspace_mae"])
def test_what_is_right_costs_nothing(made, name):
    assert term(name, made()) == pytest.approx(0, abs=1e-5)


def test_terms_of_counts_do_not_depend_on_the_dose(made):
    for name in ("nll", "mae"):
        terms = [
            term(
                name,
                made(
                    photons=np.float32(gain * PHOTONS),
                    counts=gain * made().counts,
                    rate=1.2 * gain * made().counts,
                ),
            )
            for gain in (1e3, 1e4)
        ]
        assert terms[0] == pytest.approx(terms[1], rel=1e-2)


def test_bad_pixels_do_not_count(made):
    bad = np.zeros((N, N), bool)
    bad[N // 2, N // 2] = True
    rate = made().counts + 1e4 * bad
    for name in ("nll", "mae"):
        assert term(name, made(rate=rate)) > 0.01
        assert term(name, made(rate=rate, bad_pixels=bad)) == pytest.approx(0, abs=1e-5)


def test_a_gentle_likelihood_has_the_same_value(made):
    wrong = {"rate": 1.3 * made().counts}
    assert term("nll", made(**wrong, gentle=1.0)) == pytest.approx(term("nll", made(**wrong)))


def test_the_phase_of_a_patch_is_free(made):
    turned = made().truth * np.exp(0.7j).astype(np.complex64)
    assert term("realspace_mae", made(patches=turned)) == pytest.approx(0, abs=1e-5)
    assert term("realspace_mae", made(patches=0.9 * turned)) > 0.05
    assert term("realspace_mae", made(patches=0 * turned)) == pytest.approx(1)


def test_a_flat_object_has_no_variation(made):
    flat = np.ones_like(made().patches)
    assert term("realspace", made(patches=flat)) == 0
    assert term("realspace", made()) > 0.1


def test_terms_are_those_with_a_weight(made):
    config = TrainingConfig(mae_weight=3.0, realspace_weight=0.5)
    prediction = made(rate=1.1 * made().counts)
    terms = weighted_terms(config, prediction)
    assert list(terms) == ["nll", "mae", "realspace"]
    assert float(terms["mae"]) == pytest.approx(3 * term("mae", prediction), rel=1e-5)


def test_supervised_training_compares_with_the_truth_alone():
    model = ModelConfig(model_type="supervised")
    config = TrainingConfig(model=model, mae_weight=3.0)
    assert loss_weights(config) == {"realspace_mae": 1.0}

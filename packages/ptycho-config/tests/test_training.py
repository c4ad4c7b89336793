import pytest
from ptycho_config import ConfigError, ModelConfig, TrainingConfig, to_dict


def problems(**values):
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(**values)
    return caught.value.problems


def test_defaults_are_the_contract():
    values = to_dict(TrainingConfig())
    assert values.pop("model") == to_dict(ModelConfig())
    assert values == {
        "batch_size": 16,
        "nepochs": 50,
        "nll_weight": 1.0,
        "mae_weight": 0.0,
        "realspace_weight": 0.0,
        "realspace_mae_weight": 0.0,
        "nphotons": 1e9,
        "n_groups": None,
        "n_subsample": None,
        "subsample_seed": None,
        "neighbor_count": 4,
        "enable_oversampling": False,
        "neighbor_pool_size": None,
        "positions_provided": True,
        "probe_trainable": False,
        "synthetic_batches": False,
        "average_weights": False,
        "positions_trainable": False,
        "intensity_scale_trainable": True,
        "sequential_sampling": False,
        "seed": 0,
        "domain": None,
        "backend": "pytorch",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("nepochs", 0),
        ("mae_weight", -1),
        ("nphotons", 0),
        ("n_groups", 0),
        ("n_subsample", 0),
        ("subsample_seed", -1),
        ("subsample_seed", 2**32),
        ("seed", None),
        ("neighbor_count", 0),
        ("backend", "two words"),
        ("domain", "intensity"),
    ],
)
def test_bad_value_names_field_rule_and_value(field, value):
    (problem,) = problems(**{field: value})
    assert problem.startswith(f"{field} must be ")
    assert problem.endswith(f", got {value!r}")


def test_some_loss_must_count():
    (problem,) = problems(nll_weight=0)
    assert problem.startswith("nll_weight must be > 0")
    assert TrainingConfig(nll_weight=0, mae_weight=1).mae_weight == 1


@pytest.mark.parametrize(("gridsize", "needed"), [(2, 3), (3, 8), (5, 24)])
def test_groups_need_neighbours(gridsize, needed):
    model = ModelConfig(gridsize=gridsize)
    (problem,) = problems(model=model, neighbor_count=needed - 1)
    assert problem.startswith(f"neighbor_count must be >= {needed} for gridsize {gridsize}")
    assert problem.endswith(f", got {needed - 1}")
    TrainingConfig(model=model, neighbor_count=needed)


@pytest.mark.parametrize("option", ["probe_trainable", "positions_trainable"])
@pytest.mark.parametrize(
    "values",
    [
        {"model": ModelConfig(model_type="supervised")},
        {"nll_weight": 0.0, "realspace_mae_weight": 1.0},
        {"model": ModelConfig(object_big=False)},
    ],
)
def test_only_counts_refine_probe_and_positions(option, values):
    if option == "probe_trainable" and values == {"model": ModelConfig(object_big=False)}:
        TrainingConfig(probe_trainable=True, **values)
        return
    (problem,) = problems(**{option: True}, **values)
    assert problem.startswith(f"{option} must be false unless")


def test_oversampling_needs_groups():
    (problem,) = problems(enable_oversampling=True)
    assert problem.startswith("enable_oversampling")
    assert "gridsize > 1" in problem


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"neighbor_pool_size": 3}, "neighbor_pool_size"),
        ({"neighbor_count": 3}, "neighbor_count"),
    ],
)
def test_oversampling_pool_fills_a_group(values, field):
    (problem,) = problems(model=ModelConfig(gridsize=2), enable_oversampling=True, **values)
    assert problem.startswith(f"{field} must be >= 4 for oversampling")


def test_pool_without_oversampling_would_be_ignored():
    (problem,) = problems(model=ModelConfig(gridsize=2), neighbor_pool_size=8)
    assert problem.startswith("neighbor_pool_size must be none unless enable_oversampling")


def test_rules_between_fields_wait_for_valid_fields():
    (problem,) = problems(model=ModelConfig(gridsize=3), neighbor_count="many")
    assert problem == "neighbor_count must be an integer >= 1, got 'many'"


@pytest.mark.parametrize("model", [None, 64, {"N": 64}])
def test_model_must_be_a_model(model):
    assert problems(model=model) == (f"model must be a ModelConfig, got {model!r}",)


@pytest.mark.parametrize(
    ("model_type", "weights", "counts", "truth"),
    [
        ("pinn", {}, True, False),
        ("pinn", {"nll_weight": 0, "mae_weight": 1}, True, False),
        ("pinn", {"nll_weight": 0, "realspace_mae_weight": 1}, False, True),
        ("pinn", {"nll_weight": 0, "realspace_weight": 1}, False, False),
        ("supervised", {}, False, True),
    ],
)
def test_what_the_losses_compare(model_type, weights, counts, truth):
    config = TrainingConfig(model=ModelConfig(model_type=model_type), **weights)
    assert (config.counts_decide, config.needs_truth) == (counts, truth)


def test_a_dose_that_was_asked_for_is_told_from_one_that_is_there():
    usual, other = (TrainingConfig(**v) for v in ({}, {"nphotons": 1e6}))
    assert usual.asked_photons({}) is None
    assert other.asked_photons({}) == 1e6
    for config in (usual, other):
        for origin in ("override", "execution", "command line", "config file"):
            assert config.asked_photons({"nphotons": {"origin": origin}}) == config.nphotons
        for origin in ("data", "command default", "default"):
            assert config.asked_photons({"nphotons": {"origin": origin}}) is None


def test_batches_are_synthetic_in_the_middle_of_long_trainings():
    def epochs(**settings):
        config = TrainingConfig(synthetic_batches=True, **settings)
        return [epoch for epoch in range(config.nepochs) if config.uses_synthetic_batches(epoch)]

    assert epochs(nepochs=50) == list(range(10, 40))
    assert epochs(nepochs=100) == list(range(20, 80))
    assert epochs(nepochs=12) == []
    assert epochs(nepochs=50, probe_trainable=True) == []
    assert epochs(nepochs=50, model=ModelConfig(model_type="supervised")) == []
    assert not TrainingConfig(nepochs=50).uses_synthetic_batches(20)

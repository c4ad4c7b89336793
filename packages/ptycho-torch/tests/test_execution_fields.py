"""Every execution field changes what runs: one proof per field, and no field without one."""

import warnings

import attrs
import numpy as np
import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from ptycho_config import InvalidValueError, PyTorchExecutionConfig, Scheduler
from ptycho_core.groups import prepare
from ptycho_core.stopping import Patience
from ptycho_core.tracking.base import Tracker
from ptycho_torch import fitting
from ptycho_torch.bundles import bundle_of
from ptycho_torch.callbacks import EarlyStopping, EpochDisplay
from ptycho_torch.data import ScanDataModule
from ptycho_torch.model import PtychoModel
from ptycho_torch.module import PtychoModule
from ptycho_torch.reconstruction import reconstruct
from torch.optim import lr_scheduler

ABSENT = "mps" if torch.cuda.is_available() else "cuda"  # an accelerator that is not here
PROOFS = {}


def proves(*fields):
    """Register a test as the proof that these fields do something."""

    def register(function):
        PROOFS.update(dict.fromkeys(fields, function.__name__))
        return function

    return register


def test_every_field_has_a_proof():
    assert set(PROOFS) == {field.name for field in attrs.fields(PyTorchExecutionConfig)}


@pytest.fixture(autouse=True)
def torch_as_it_was():
    """Trainers set torch's own switches."""
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def trainer(training, tmp_path):
    """Make the trainer that `train` would use."""

    def make(**fields):
        execution = PyTorchExecutionConfig(**{"logger_backend": "none", **fields})
        patience = Patience(execution.early_stop_patience, execution.checkpoint_mode, 1e-3)
        made = fitting.make_trainer(
            tmp_path, training(), execution, "train_loss", patience, Tracker(), validated=False
        )
        return made[0]

    return make


@pytest.fixture
def loader(scan, training):
    """Make the loader of training batches that `train` would use."""

    def make(**fields):
        part = prepare(scan, training(n_groups=8), split=False)[0]
        module = ScanDataModule(
            part, None, batch_size=4, seed=0, execution=PyTorchExecutionConfig(**fields)
        )
        return module.train_dataloader()

    return make


class Steps(fitting.LossHistory):
    """Looks at the gradients that every step was made with."""

    seen = None

    def on_train_batch_end(self, trainer, module, *_):
        grads = [p.grad for p in module.parameters() if p.grad is not None]
        Steps.seen["largest"].append(max(float(grad.abs().max()) for grad in grads))
        Steps.seen["norm"].append(float(torch.stack([g.norm() for g in grads]).norm()))
        Steps.seen["trainer"] = trainer


@pytest.fixture
def trained(train, scan, training, monkeypatch):
    """Train for real, briefly; what the steps were, and the result."""
    monkeypatch.setattr(fitting, "LossHistory", Steps)

    def run(nepochs=1, n_groups=8, batch_size=4, **fields):
        Steps.seen = {"largest": [], "norm": [], "trainer": None}
        config = training(nepochs=nepochs, n_groups=n_groups, batch_size=batch_size)
        execution = PyTorchExecutionConfig(**{"logger_backend": "none", **fields})
        result = train(scan, config, execution, overwrite=True)
        return result, Steps.seen, train.folder

    return run


@pytest.fixture
def reconstructed(scan, training, inference):
    """Reconstruct for real, with an untrained network."""
    config = training({"architecture": "cnn"})
    model = PtychoModel(config.model, scan.probe)
    for layer in (model.network.amplitude.head, model.network.phase.head):
        torch.nn.init.xavier_uniform_(layer.weight)  # or it would do nothing, untrained
    bundle = bundle_of(
        model,
        config,
        photons=scan.mean_photons(),
        domain="counts",
        history={},
        overrides_applied={},
    )
    few = scan.select(np.arange(10))

    def run(progress=None, **fields):
        execution = PyTorchExecutionConfig(**fields)
        return reconstruct(bundle, few, inference(), execution, progress=progress).reconstruction

    return run


@proves("accelerator")
def test_accelerator(trainer, reconstructed):
    assert isinstance(trainer(accelerator="cpu").accelerator, CPUAccelerator)
    for run in (trainer, reconstructed):
        with pytest.raises(InvalidValueError) as refused:
            run(accelerator=ABSENT)
        assert refused.value.name == "accelerator"


@proves("devices", "num_nodes")
def test_devices_and_nodes(trainer):
    assert trainer().world_size == 1
    assert trainer(devices=2).world_size == 2
    many = trainer(devices=2, num_nodes=3)
    assert (many.num_devices, many.num_nodes, many.world_size) == (2, 3, 6)


@proves("strategy")
def test_strategy(trainer):
    assert isinstance(trainer().strategy, SingleDeviceStrategy)
    assert isinstance(trainer(strategy="ddp").strategy, DDPStrategy)
    with pytest.raises(ValueError, match="strategy 'telepathy'"):
        trainer(strategy="telepathy")


@proves("precision")
def test_precision(trained, reconstructed):
    # The first step of an untrained network, whose heads are zero, is the same in any precision.
    full, half = (trained(nepochs=3, precision=p)[0].history for p in ("32-true", "bf16-mixed"))
    assert full["train_loss"] != half["train_loss"]
    np.testing.assert_allclose(half["train_loss"], full["train_loss"], rtol=0.05)
    full, half = (reconstructed(precision=p).object for p in ("32-true", "bf16-mixed"))
    assert (full != half).any()
    np.testing.assert_allclose(half, full, atol=0.2)


@proves("deterministic")
@pytest.mark.parametrize(
    ("value", "enabled", "warn_only"),
    [(True, True, False), (False, False, False), ("warn", True, True)],
)
def test_deterministic(trainer, value, enabled, warn_only):
    trainer(deterministic=value)
    assert torch.are_deterministic_algorithms_enabled() is enabled
    assert torch.is_deterministic_algorithms_warn_only_enabled() is warn_only


@proves("gradient_clip_val", "gradient_clip_algorithm")
def test_gradients_are_clipped_by_norm_or_by_value(trained):
    limit = 1e-4
    free = trained()[1]
    assert min(free["largest"]) > limit
    by_norm = trained(gradient_clip_val=limit)[1]
    assert max(by_norm["norm"]) <= limit * 1.001
    by_value = trained(gradient_clip_val=limit, gradient_clip_algorithm="value")[1]
    assert max(by_value["largest"]) <= limit * 1.001
    assert min(by_value["norm"]) > 2 * limit


@proves("accum_steps")
@pytest.mark.parametrize(("accum_steps", "steps"), [(1, 4), (2, 2), (4, 1)])
def test_accumulated_batches_make_fewer_steps(trained, accum_steps, steps):
    _, seen, _ = trained(n_groups=8, batch_size=2, accum_steps=accum_steps)
    assert len(seen["norm"]) == 4
    assert seen["trainer"].global_step == steps


@proves("num_workers", "pin_memory", "persistent_workers", "prefetch_factor")
def test_loading(loader):
    fields = {
        "num_workers": 2,
        "pin_memory": True,
        "persistent_workers": True,
        "prefetch_factor": 3,
    }
    assert {name: getattr(loader(**fields), name) for name in fields} == fields
    usual = {
        "num_workers": 0,
        "pin_memory": False,
        "persistent_workers": False,
        "prefetch_factor": None,
    }
    assert {name: getattr(loader(), name) for name in fields} == usual


def test_workers_load_the_same_batches(loader):
    with warnings.catch_warnings():
        # Python 3.12 on warns of forking with threads; loading starts none.
        warnings.simplefilter("ignore", DeprecationWarning)
        alone, helped = (list(loader(num_workers=number)) for number in (0, 1))
    assert len(alone) == len(helped) == 2
    for one, other in zip(alone, helped, strict=True):
        assert torch.equal(one["counts"], other["counts"])


@proves("learning_rate")
def test_learning_rate(trained):
    for rate in (1e-3, 3e-4):
        result, _, _ = trained(learning_rate=rate, scheduler="ReduceLROnPlateau")
        assert result.history["learning_rate"] == [rate]


SCHEDULES = {
    Scheduler.DEFAULT: lr_scheduler.LambdaLR,  # what the network recommends: a warm-up
    Scheduler.WARMUP_COSINE: lr_scheduler.LambdaLR,
    Scheduler.EXPONENTIAL: lr_scheduler.LambdaLR,
    Scheduler.MULTI_STAGE: lr_scheduler.LambdaLR,
    Scheduler.ADAPTIVE: lr_scheduler.ReduceLROnPlateau,
    Scheduler.REDUCE_LR_ON_PLATEAU: lr_scheduler.ReduceLROnPlateau,
}


@proves("scheduler")
@pytest.mark.parametrize("name", list(Scheduler))
def test_scheduler(scan, training, trainer, name):
    execution = PyTorchExecutionConfig(scheduler=name, learning_rate=1e-3)
    config = training()
    module = PtychoModule(PtychoModel(config.model, scan.probe), config, execution, "val_loss")
    module.trainer = trainer(scheduler=name)
    module.trainer.fit_loop._combined_loader = None
    chosen = module.configure_optimizers()["lr_scheduler"]
    assert type(chosen["scheduler"]) is SCHEDULES[name]
    watched = {Scheduler.ADAPTIVE: "train_loss", Scheduler.REDUCE_LR_ON_PLATEAU: "val_loss"}
    assert chosen.get("monitor") == watched.get(name)


@proves("enable_progress_bar")
def test_progress_bar(trainer):
    def bars(**fields):
        return [c for c in trainer(**fields).callbacks if isinstance(c, EpochDisplay | ProgressBar)]

    for shown in (True, False):
        (ours,) = bars(enable_progress_bar=shown)
        assert ours.progress.shown == shown


@proves("enable_checkpointing")
def test_checkpoints_are_written_or_not(trained):
    assert not (trained(enable_checkpointing=False)[2] / "checkpoints").exists()
    assert (trained(enable_checkpointing=True)[2] / "checkpoints" / "last.ckpt").is_file()


@proves("checkpoint_save_top_k")
@pytest.mark.parametrize(("top_k", "kept"), [(-1, 3), (0, 0), (1, 1), (2, 2)])
def test_checkpoints_kept(trained, top_k, kept):
    _, _, folder = trained(nepochs=3, checkpoint_save_top_k=top_k)
    assert len(list((folder / "checkpoints").glob("best-*.ckpt"))) == kept


@proves("checkpoint_monitor_metric", "checkpoint_mode")
@pytest.mark.parametrize("metric", ["train_loss", "val_loss"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_monitored_value_decides_which_is_best(trained, metric, mode):
    result, seen, _ = trained(
        nepochs=2,
        n_groups=48,
        batch_size=16,
        checkpoint_monitor_metric=metric,
        checkpoint_mode=mode,
    )
    losses = result.history[metric]
    best = seen["trainer"].checkpoint_callback
    assert best.epochs.kept[0][0] == pytest.approx({"min": min, "max": max}[mode](losses))
    (stopping,) = [c for c in seen["trainer"].callbacks if isinstance(c, EarlyStopping)]
    assert (stopping.monitor, stopping.patience.mode) == (metric, mode)


@proves("early_stop_patience")
@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (2, 3), (100, 4)])
def test_training_stops_when_nothing_improves(trained, patience, epochs):
    # Losses fall, so waiting for larger ones is in vain from the first epoch on.
    result, _, _ = trained(nepochs=4, checkpoint_mode="max", early_stop_patience=patience)
    assert result.epochs == epochs


@proves("logger_backend")
def test_losses_are_written_where_asked(trained):
    def written(name):
        folder = trained(logger_backend=name)[2] / "logs"
        return [path.name for path in folder.iterdir()] if folder.exists() else []

    assert written("none") == []
    assert written("csv") == ["metrics.csv"]


@proves("inference_batch_size")
def test_groups_per_step(reconstructed):
    heard = []
    for size in (4, 10, None):
        reconstructed(lambda done, _: heard.append(done), inference_batch_size=size)
    assert heard == [4, 8, 10, 10, 10]


@proves("middle_trim")
def test_middle_trim_keeps_the_rim_out(reconstructed):
    whole, centre = (reconstructed(middle_trim=side).coverage for side in (0, 20))
    assert (whole[:20] > 0).any()
    assert (centre[:20] == 0).all()  # 22 of 64 pixels on every side
    assert (centre > 0).any()


@proves("pad_eval")
def test_padding_shows_the_network_one_shape(reconstructed, monkeypatch):
    shapes = []
    original = PtychoModel.diffraction_to_obj

    def watched(self, x, *more):
        shapes.append(x.shape[0])
        return original(self, x, *more)

    monkeypatch.setattr(PtychoModel, "diffraction_to_obj", watched)
    plain = reconstructed(inference_batch_size=4, pad_eval=False).object
    padded = reconstructed(inference_batch_size=4, pad_eval=True).object
    assert shapes == [4, 4, 2, 4, 4, 4]
    np.testing.assert_allclose(padded, plain, atol=2e-3)

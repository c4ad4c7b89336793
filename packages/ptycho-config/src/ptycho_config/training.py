"""Configuration of training: losses, selection of patterns, refinement."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from ptycho_config._gather import GATHER_RULES
from ptycho_config.checks import Rule, validate
from ptycho_config.model import ModelConfig
from ptycho_config.options import SEED_LIMIT, about, documented
from ptycho_config.run_files import without_files
from ptycho_config.types import Domain

LOSS_TERM = "ptycho loss term"
"""Metadata key that marks the weight of a loss term (`ptycho_core.losses`). Its value is what the
term compares: ``counts``, the ``truth``, or only the ``object`` with itself."""

SYNTHETIC_EPOCHS = (0.2, 0.8)
FIRST_SYNTHETIC_EPOCH = 10
"""Fractions of the epochs between which batches are simulated, and the earliest epoch: at first the
reconstructions are too poor for this, and the last epochs use only measured data."""


def _some_loss(config: "TrainingConfig") -> str | None:
    if any(getattr(config, name) > 0 for name in LOSS_WEIGHTS):
        return None
    first, *others = LOSS_WEIGHTS
    return f"{first} must be > 0, or another loss weight ({', '.join(others)}), got 0"


def _counts_refine_probe(config: "TrainingConfig") -> str | None:
    if not config.probe_trainable or config.counts_decide:
        return None
    return (
        "probe_trainable must be false unless a loss compares counts "
        f"({' or '.join(_weights_of('counts'))} > 0 and model_type pinn), got true"
    )


def _overlap_refines_positions(config: "TrainingConfig") -> str | None:
    merged = config.model.object_big and config.counts_decide
    if not config.positions_trainable or merged:
        return None
    return (
        "positions_trainable must be false unless overlapping patches are held against counts "
        f"(object_big true, model_type pinn and {' or '.join(_weights_of('counts'))} > 0), got true"
    )


def _oversampling_grouped(config: "TrainingConfig") -> str | None:
    if not config.enable_oversampling or config.model.gridsize > 1:
        return None
    return "enable_oversampling must be false unless gridsize > 1, got true with gridsize 1"


def _pool_used(config: "TrainingConfig") -> str | None:
    if config.neighbor_pool_size is None or config.enable_oversampling:
        return None
    return (
        "neighbor_pool_size must be none unless enable_oversampling is true, "
        f"got {config.neighbor_pool_size}"
    )


def _pool_fills_group(config: "TrainingConfig") -> str | None:
    channels = config.model.channels
    if not config.enable_oversampling or channels == 1:
        return None
    pool = config.neighbor_pool_size
    name = "neighbor_count" if pool is None else "neighbor_pool_size"
    size = config.neighbor_count if pool is None else pool
    if size >= channels:
        return None
    return (
        f"{name} must be >= {channels} for oversampling with gridsize {config.model.gridsize} "
        f"(gridsize**2 patterns per group), got {size}"
    )


@without_files
@documented
@attrs.frozen(kw_only=True)
class TrainingConfig:
    """A training run: its model, losses and selection of patterns.

    Raises
    ------
    ConfigError
        With every violation, each naming field, rule and received value.
    """

    GROUP: ClassVar[str] = "Training"

    model: ModelConfig = attrs.field(factory=ModelConfig)
    batch_size: int = attrs.field(
        default=16,
        metadata=about("Groups of patterns per batch, that is, per training step.", minimum=1),
    )
    nepochs: int = attrs.field(
        default=50,
        metadata=about(
            "Number of epochs (passes over all training groups).", minimum=1, maximum=1_000_000
        ),
    )
    nll_weight: float = attrs.field(
        default=1.0,
        metadata=about(
            "Weight of the Poisson negative log-likelihood of the measured counts in the loss.",
            minimum=0,
        )
        | {LOSS_TERM: "counts"},
    )
    mae_weight: float = attrs.field(
        default=0.0,
        metadata=about(
            "Weight of the mean absolute error of the diffraction amplitudes in the loss; "
            "for data without an absolute count scale.",
            minimum=0,
        )
        | {LOSS_TERM: "counts"},
    )
    realspace_weight: float = attrs.field(
        default=0.0,
        metadata=about(
            "Weight of the total-variation regularisation of the object in the loss.", minimum=0
        )
        | {LOSS_TERM: "object"},
    )
    realspace_mae_weight: float = attrs.field(
        default=0.0,
        metadata=about(
            "Weight of the mean absolute error against the ground-truth object in the loss; "
            "the scan must contain the ground truth.",
            minimum=0,
        )
        | {LOSS_TERM: "truth"},
    )
    nphotons: float = attrs.field(
        default=1e9,
        metadata=about(
            "Mean photons per pattern; sets the absolute scale of data in the amplitude domain. "
            "A value in the data file overrides the default, a value given here overrides both.",
            above=0,
        ),
    )
    n_groups: int | None = attrs.field(
        default=None,
        metadata=about(
            "Groups of patterns to train on, per scan.",
            minimum=1,
            none_means="all",
            example=512,
        ),
    )
    n_subsample: int | None = attrs.field(
        default=None,
        metadata=about(
            "Random subset of this many patterns, drawn before grouping.",
            minimum=1,
            none_means="all",
            example=2048,
        ),
    )
    subsample_seed: int | None = attrs.field(
        default=None,
        metadata=about(
            "Random seed for the selection of patterns and groups.",
            minimum=0,
            maximum=SEED_LIMIT,
            none_means="the value of seed",
            example=1,
        ),
    )
    neighbor_count: int = attrs.field(
        default=4,
        metadata=about(
            "Number of nearest neighbours from which a group is formed; at least gridsize**2 - 1 "
            "if gridsize > 1. If not given, it is raised to gridsize**2 where that is larger.",
            minimum=1,
        ),
    )
    enable_oversampling: bool = attrs.field(
        default=False,
        metadata=about(
            "Form more groups than there are patterns, from different combinations of "
            "neighbours; requires gridsize > 1.",
        ),
    )
    neighbor_pool_size: int | None = attrs.field(
        default=None,
        metadata=about(
            "Number of nearest neighbours that oversampling combines; at least gridsize**2.",
            minimum=1,
            none_means="the value of neighbor_count",
            example=8,
        ),
    )
    positions_provided: bool = attrs.field(
        default=True,
        metadata=about(
            "Use the measured scan positions of the file instead of the nominal ones.",
            legacy="positions.provided",
        ),
    )
    probe_trainable: bool = attrs.field(
        default=False,
        metadata=about("Refine the probe together with the network.", legacy="probe.trainable"),
    )
    positions_trainable: bool = attrs.field(
        default=False,
        metadata=about(
            "Refine the scan positions together with the network, by at most 4 pixels.",
            legacy=None,
        ),
    )
    synthetic_batches: bool = attrs.field(
        default=False,
        metadata=about(
            "Data augmentation: in the middle part of training, every other batch holds simulated "
            "patterns of mirrored or rotated reconstructions. For models used on other samples.",
            legacy=None,
        ),
    )
    average_weights: bool = attrs.field(
        default=False,
        metadata=about(
            "Use a running average of the weights that favours later steps: more robust on "
            "measured samples outside the training set, slightly less accurate on the training "
            "scan.",
            legacy=None,
        ),
    )
    intensity_scale_trainable: bool = attrs.field(
        default=True,
        metadata=about(
            "Refine the scale factor between model intensity and counts during training.",
            legacy="intensity_scale.trainable",
        ),
    )
    sequential_sampling: bool = attrs.field(
        default=False,
        metadata=about("Select the first groups in scan order instead of a random subset."),
    )
    seed: int = attrs.field(
        default=0,
        metadata=about(
            "Random seed of the initial weights and of the order of batches.",
            minimum=0,
            maximum=SEED_LIMIT,
            legacy=None,
        ),
    )
    domain: Domain | None = attrs.field(
        default=None,
        metadata=about(
            "Type of the patterns: detector counts, or amplitudes (square root of intensity).",
            none_means="stated in the file, otherwise inferred from the dtype",
            example="counts",
            legacy=None,
        ),
    )
    backend: str = attrs.field(
        default="pytorch",
        metadata=about(
            "Backend that trains the network: pytorch, tensorflow, or another installed backend.",
            legacy=None,
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Check all fields and the rules between them."""
        validate(self, _RULES)

    def asked_photons(self, overrides: Mapping[str, Any]) -> float | None:
        """Return ``nphotons`` if it was set explicitly: it then takes precedence over the file.

        Parameters
        ----------
        overrides : mapping
            Origins of the values: `Resolved.overrides_applied`. Without an entry, any value other
            than the default counts as set explicitly.
        """
        entry = overrides.get("nphotons")
        if entry is not None:
            asked = entry.get("origin") not in ("data", "command default", "default")
        else:
            asked = self.nphotons != attrs.fields(TrainingConfig).nphotons.default
        return self.nphotons if asked else None

    @property
    def counts_decide(self) -> bool:
        """Whether a loss compares counts, without which the intensity scale is undetermined."""
        pinn = self.model.model_type == "pinn"
        return pinn and any(getattr(self, name) > 0 for name in _weights_of("counts"))

    @property
    def needs_truth(self) -> bool:
        """Whether a loss compares object patches with those of the ground truth."""
        supervised = self.model.model_type == "supervised"
        return supervised or any(getattr(self, name) > 0 for name in _weights_of("truth"))

    def uses_synthetic_batches(self, epoch: int) -> bool:
        """Whether batches are simulated in an epoch, counted from 0.

        Never in supervised training, nor while probe or positions, from which patterns are
        simulated, are being refined.
        """
        refined = self.probe_trainable or self.positions_trainable
        if not self.synthetic_batches or refined or self.model.model_type == "supervised":
            return False
        first, last = (round(part * self.nepochs) for part in SYNTHETIC_EPOCHS)
        return max(first, FIRST_SYNTHETIC_EPOCH) <= epoch < last


LOSS_WEIGHTS: Mapping[str, str] = MappingProxyType(
    {
        field.name: field.metadata[LOSS_TERM]
        for field in attrs.fields(TrainingConfig)
        if LOSS_TERM in field.metadata
    }
)
"""Fields with the weight of a loss term, and what that term compares."""


def _weights_of(compared: str) -> list[str]:
    return [name for name, what in LOSS_WEIGHTS.items() if what == compared]


_RULES: tuple[Rule, ...] = (
    *GATHER_RULES,
    (tuple(LOSS_WEIGHTS), _some_loss),
    (("probe_trainable", "model", *LOSS_WEIGHTS), _counts_refine_probe),
    (("positions_trainable", "model", *LOSS_WEIGHTS), _overlap_refines_positions),
    (("enable_oversampling", "model"), _oversampling_grouped),
    (("enable_oversampling", "neighbor_pool_size"), _pool_used),
    (("enable_oversampling", "neighbor_pool_size", "neighbor_count", "model"), _pool_fills_group),
)

"""Inference: bundle, scan, selection of patterns, outputs."""

from pathlib import Path
from typing import ClassVar

import attrs

from ptycho_config._gather import GATHER_RULES, SEED_LIMIT
from ptycho_config.checks import as_optional_path, as_path, validate
from ptycho_config.model import ModelConfig
from ptycho_config.options import about, documented
from ptycho_config.types import Backend, Domain


@documented
@attrs.frozen(kw_only=True)
class InferenceConfig:
    """A reconstruction by a trained bundle.

    Raises
    ------
    ConfigError
        With every violation, each naming field, rule and received value.
    """

    GROUP: ClassVar[str] = "Inference"

    model: ModelConfig = attrs.field(factory=ModelConfig)
    model_path: Path = attrs.field(
        converter=as_path,
        metadata=about(
            "Trained bundle: the file, or the folder that holds it.", example="training_outputs"
        ),
    )
    test_data_file: Path = attrs.field(
        converter=as_path,
        metadata=about("Scan to reconstruct.", legacy="test_data_file_path", example="scan.npz"),
    )
    n_groups: int | None = attrs.field(
        default=None,
        metadata=about(
            "Groups of patterns to reconstruct from.",
            minimum=1,
            none_means="every pattern once",
            example=512,
        ),
    )
    n_subsample: int | None = attrs.field(
        default=None,
        metadata=about(
            "Patterns to keep, drawn at random before grouping.",
            minimum=1,
            none_means="all",
            example=2048,
        ),
    )
    subsample_seed: int | None = attrs.field(
        default=None,
        metadata=about(
            "Seed for drawing patterns and groups; the same seed draws the same ones.",
            minimum=0,
            maximum=SEED_LIMIT,
            none_means="0",
            example=1,
        ),
    )
    neighbor_count: int = attrs.field(
        default=4,
        metadata=about(
            "Nearest positions that the members of a group are drawn from; at least "
            "gridsize**2 - 1 when gridsize > 1. Not given, it grows to gridsize**2 with gridsize.",
            minimum=1,
        ),
    )
    debug: bool = attrs.field(
        default=False,
        metadata=about("Log the details of every stage."),
    )
    domain: Domain | None = attrs.field(
        default=None,
        metadata=about(
            "What the patterns are: detector counts, or amplitudes (square root of intensity).",
            none_means="what the file states, else told from its number type",
            example="counts",
            legacy=None,
        ),
    )
    probe_file: Path | None = attrs.field(
        default=None,
        converter=as_optional_path,
        metadata=about(
            "NPZ file with an array 'probe' or 'probeGuess' to use instead of the scan's probe.",
            none_means="the probe of the scan",
            example="probe.npz",
            legacy=None,
        ),
    )
    output_dir: Path = attrs.field(
        default=Path("inference_outputs"),
        converter=as_path,
        metadata=about(
            "Folder for the reconstruction, pictures and metrics.", legacy="output_prefix"
        ),
    )
    backend: Backend = attrs.field(
        default="tensorflow",
        metadata=about("Framework that runs the network.", legacy=None),
    )

    def __attrs_post_init__(self) -> None:
        """Check all fields and the rules between them."""
        validate(self, GATHER_RULES)

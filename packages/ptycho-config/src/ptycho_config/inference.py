"""Configuration of inference: selection of patterns, and backend."""

from typing import ClassVar

import attrs

from ptycho_config._gather import GATHER_RULES
from ptycho_config.checks import validate
from ptycho_config.model import ModelConfig
from ptycho_config.options import SEED_LIMIT, about, documented
from ptycho_config.run_files import without_files
from ptycho_config.types import Domain


@without_files
@documented
@attrs.frozen(kw_only=True)
class InferenceConfig:
    """A reconstruction with a trained bundle.

    Raises
    ------
    ConfigError
        With every violation, each naming field, rule and received value.
    """

    GROUP: ClassVar[str] = "Inference"

    model: ModelConfig = attrs.field(factory=ModelConfig)
    n_groups: int | None = attrs.field(
        default=None,
        metadata=about(
            "Groups of patterns to use for the reconstruction.",
            minimum=1,
            none_means="every pattern once",
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
            none_means="0",
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
    debug: bool = attrs.field(
        default=False,
        metadata=about("Log the details of every stage."),
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
            "Backend that runs the network: pytorch, tensorflow, or another installed backend.",
            legacy=None,
        ),
    )

    def __attrs_post_init__(self) -> None:
        """Check all fields and the rules between them."""
        validate(self, GATHER_RULES)

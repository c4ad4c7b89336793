"""Names of earlier versions of this package that went elsewhere; see docs/migration.md."""

from ptycho_config.moved import MovedNames

__all__ = ["MOVED"]

_SAMPLING = (
    "covering_groups",
    "inference_groups",
    "inference_steps",
    "split_validation",
    "training_groups",
    "with_photons",
    "with_positions",
)

MOVED = MovedNames(
    renamed={
        **{f"ptycho_data.selection.{name}": f"ptycho_core.sampling.{name}" for name in _SAMPLING},
        "ptycho_data.selection.ScanGroups": "ptycho_core.groups.ScanGroups",
        "ptycho_data.batches.spatial_batches": "ptycho_core.batches.spatial_batches",
    },
    gone={},
)

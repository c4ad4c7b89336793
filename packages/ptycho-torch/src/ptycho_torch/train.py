"""Train a network on a scan: ``python -m ptycho_torch.train --train_data_file SCAN ...``.

For existing scripts: their flags, and their defaults (network ``cnn``, learning rate 0.001, CPU).
It trains as ``ptycho train`` does, and replaces an existing bundle.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ptycho_config import Layer, ModelConfig, PyTorchExecutionConfig, RunFiles, TrainingConfig
from ptycho_core.training.run import TrainingRun

from ptycho_torch.config_factory import legacy_defaults
from ptycho_torch.entry import Parser, run

__all__ = ["cli_main", "main", "parser"]

log = logging.getLogger(__name__)


def parser() -> Parser:
    """Return the parser of the command line."""
    return Parser(
        "ptycho_torch.train",
        __doc__,
        (RunFiles, TrainingConfig, ModelConfig, PyTorchExecutionConfig),
        skip=("model_path", "backend"),
        required=("train_data_file", "output_dir"),
    )


def work(options: dict[str, Any]) -> None:
    """Train with the settings that were given."""
    training = TrainingRun(
        layers=[legacy_defaults(), Layer("command line", options)],
        scans=[options["train_data_file"]],
        output=Path(options["output_dir"]),
        overwrite=True,  # as existing scripts expect: a second run replaces the first
    )
    training.check()
    result = training.run()
    log.info("%s: %d epochs in %.1f s", result.path, result.epochs, result.seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(work, parser(), argv)


cli_main = main


class _CallableModule(ModuleType):
    """A callable module: ``ptycho_torch.train(scan, ...)``."""

    def __call__(self, *scans: Any, **settings: Any) -> Any:
        """Call `ptycho_core.train` with this backend as the default."""
        import ptycho_core

        return ptycho_core.train(*scans, **{"backend": "pytorch", **settings})


sys.modules[__name__].__class__ = _CallableModule


if __name__ == "__main__":
    sys.exit(main())

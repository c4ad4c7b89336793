"""Reconstruct a scan: ``python -m ptycho_torch.inference --model_path DIR --test_data SCAN ...``.

For existing scripts: their flags, and the CPU where no device is named. It reconstructs as
``ptycho infer`` does, and replaces results that are there.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptycho_config import InferenceConfig, Layer, PyTorchExecutionConfig, RunFiles
from ptycho_core.reconstruction.run import ReconstructionRun

from ptycho_torch._moved import MOVED
from ptycho_torch.config_factory import BACKEND, legacy_defaults
from ptycho_torch.entry import Parser, run

__all__ = ["cli_main", "main", "parser"]

log = logging.getLogger(__name__)


def parser() -> Parser:
    """Return the parser of the command line."""
    return Parser(
        "ptycho_torch.inference",
        __doc__,
        (RunFiles, InferenceConfig, PyTorchExecutionConfig),
        skip=("train_data_file", "backend"),
        required=("model_path", "test_data_file", "output_dir"),
    )


def work(options: dict[str, Any]) -> None:
    """Reconstruct with the settings that were given."""
    # The module that was started names the backend: a bundle of another one does not.
    given = Layer("command line", {**options, "backend": BACKEND})
    run_ = ReconstructionRun(
        layers=[legacy_defaults(training=False), given],
        model=options["model_path"],
        scan=options["test_data_file"],
        output=Path(options["output_dir"]),
        overwrite=True,
    )
    run_.check()
    log.info("%s: R-factor %.4f", run_.output, run_.run().r_factor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(work, parser(), argv)


cli_main = main
__getattr__ = MOVED.in_module(__name__)


if __name__ == "__main__":
    sys.exit(main())

"""Train a network on a scan: ``python -m ptycho_torch.train --train_data_file SCAN ...``.

The flags of existing scripts, and their network, `cnn`; `ptycho train` offers every setting and
uses `unrolled` by default.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ptycho_config import Scheduler
from ptycho_data import load_scan

from ptycho_torch.config_factory import create_training_payload
from ptycho_torch.entry import Deprecated, Parser, make_parser, run

log = logging.getLogger(__name__)


def parser() -> Parser:
    """Return the parser of the command line."""
    result = make_parser("ptycho_torch.train", __doc__)
    add = result.add_argument
    add("--train_data_file", required=True, help="scan to train on")
    add("--test_data_file", help="scan to validate on (default: a part of the training scan)")
    add("--output_dir", required=True, help="folder for the bundle and the checkpoints")
    add("--max_epochs", dest="nepochs", type=int, help="passes over the data")
    add("--gridsize", type=int, help="side of a group; a group has gridsize**2 patterns")
    add("--batch_size", type=int, help="groups per training step")
    add("--deterministic", action=argparse.BooleanOptionalAction, help="bit-identical results")
    add("--learning-rate", type=float, help="step size of the optimiser")
    add("--scheduler", choices=[str(name) for name in Scheduler], help="learning-rate schedule")
    add("--accumulate-grad-batches", dest="accum_steps", type=int, help="batches per step")
    add("--enable-checkpointing", action="store_true", help="save checkpoints")
    add("--disable-checkpointing", dest="enable_checkpointing", action="store_false")
    add("--checkpoint-save-top-k", type=int, help="best checkpoints to keep")
    add("--checkpoint-monitor", dest="checkpoint_monitor_metric", help="loss that decides")
    add("--checkpoint-mode", choices=["min", "max"], help="which value of it is best")
    add("--early-stop-patience", type=int, help="epochs without improvement before stopping")
    add("--logger", dest="logger_backend", help="csv, tensorboard, mlflow or none")
    add("--disable_mlflow", action=Deprecated, nargs=0, help="deprecated: use --logger none")
    return result


def work(options: dict[str, Any]) -> None:
    """Train with the settings that were given."""
    scan, output = options.pop("train_data_file"), options.pop("output_dir")
    payload = create_training_payload(scan, output, None, options, origin="command line")
    from ptycho_torch.training import train  # imports PyTorch: only for valid settings

    test = payload.files.test_data_file
    result = train(
        load_scan(scan),
        payload.config,
        payload.execution,
        output=Path(output),
        test_scan=None if test is None else load_scan(test),
        overrides_applied=payload.overrides_applied,
        overwrite=True,  # as existing scripts expect: a second run replaces the first
    )
    log.info("%s: %d epochs in %.1f s", result.bundle_path, result.epochs, result.seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(work, parser(), argv)


class _CallableModule(ModuleType):
    """A callable module: ``ptycho_torch.train(scan, ...)``."""

    def __call__(self, *scans: Any, **settings: Any) -> Any:
        """Call `ptycho_core.train` with this backend as the default."""
        import ptycho_core

        return ptycho_core.train(*scans, **{"backend": "pytorch", **settings})


sys.modules[__name__].__class__ = _CallableModule


if __name__ == "__main__":
    sys.exit(main())

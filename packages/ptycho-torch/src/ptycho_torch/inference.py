"""Reconstruct a scan: ``python -m ptycho_torch.inference --model_path DIR --test_data SCAN ...``.

The flags of existing scripts; `ptycho infer` offers every setting.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ptycho_config import Layer, resolve_inference
from ptycho_data import load_bundle, load_scan, write_results

from ptycho_torch.entry import make_parser, run

log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    result = make_parser("ptycho_torch.inference", __doc__)
    add = result.add_argument
    add("--model_path", required=True, help="bundle, or the folder that holds it")
    add("--test_data", dest="test_data_file", required=True, help="scan to reconstruct")
    add("--output_dir", required=True, help="folder for the object and its pictures")
    add("--inference-batch-size", type=int, help="groups per step")
    return result


def work(options: dict[str, Any]) -> None:
    """Reconstruct with the settings that were given."""
    from ptycho_torch.reconstruction import reconstruct

    bundle = load_bundle(options["model_path"])
    usual = {"backend": "pytorch", "neighbor_count": bundle.config["neighbor_count"]}
    resolved = resolve_inference(
        [
            Layer("command line", options),
            Layer("bundle", bundle.config, options["model_path"]),
            Layer("command default", usual),
        ]
    )
    scan = load_scan(resolved.config.test_data_file)
    result = reconstruct(bundle, scan, resolved.config, resolved.execution)
    folder = Path(resolved.config.output_dir)
    metrics = {"r_factor": result.r_factor, "patterns_per_second": result.patterns_per_second}
    write_results(folder, result.reconstruction, metrics=metrics, overwrite=True)
    log.info("%s: R-factor %.4f", folder, result.r_factor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(work, parser(), argv)


if __name__ == "__main__":
    sys.exit(main())

"""Reconstruct a scan: ``python -m ptycho_torch.inference --model_path DIR --test_data SCAN ...``.

The flags of existing scripts; `ptycho infer` offers every setting.
"""

import logging
import sys
from collections.abc import Sequence
from typing import Any

from ptycho_data import load_bundle, load_scan, write_results

from ptycho_torch.config_factory import create_inference_payload
from ptycho_torch.entry import Parser, make_parser, run

log = logging.getLogger(__name__)


def parser() -> Parser:
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
    model, scan_file = options.pop("model_path"), options.pop("test_data_file")
    output = options.pop("output_dir")
    payload = create_inference_payload(
        model, scan_file, output, None, options, origin="command line"
    )
    from ptycho_torch.reconstruction import reconstruct  # loads PyTorch: not for mistakes

    result = reconstruct(
        load_bundle(model), load_scan(scan_file), payload.config, payload.execution
    )
    metrics = {"r_factor": result.r_factor, "patterns_per_second": result.patterns_per_second}
    write_results(output, result.reconstruction, metrics=metrics, overwrite=True)
    log.info("%s: R-factor %.4f", output, result.r_factor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return run(work, parser(), argv)


if __name__ == "__main__":
    sys.exit(main())

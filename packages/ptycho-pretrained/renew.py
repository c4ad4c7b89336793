"""Put another trained model into the package, and its facts into the card.

    python packages/ptycho-pretrained/renew.py MODEL

The bundle is written anew, with ``SHA256SUMS``; in ``card.md`` the table of facts is replaced. What
else the card says of the model has to be written by hand.
"""

import argparse
import sys
from pathlib import Path

from ptycho_data import BUNDLE_NAME, Bundle, load_bundle, save_bundle
from ptycho_data._files import file_sha256

FOLDER = Path(__file__).parent / "src" / "ptycho_pretrained" / "universal"
START, END = "<!-- facts -->", "<!-- end of facts -->"
LARGEST = 4_000_000
"""Bytes of the bundle: every installation downloads it."""


def facts(bundle: Bundle, file: Path) -> str:
    """Return the table of a card: what identifies the bundle."""
    model = bundle.training_config.model
    numbers = sum(array.size for array in bundle.weights.values())
    versions = ", ".join(f"{name} {text}" for name, text in sorted(bundle.versions.items()))
    rows = {
        "network": f"{model.architecture}, n_filters_scale {model.n_filters_scale}, "
        f"joint_stages {str(model.joint_stages).lower()}, {numbers} weights",
        "made with": f"{bundle.backend}; {versions}",
        "created": bundle.created,
        "size": f"{file.stat().st_size} bytes",
        "SHA-256 of the bundle": f"`{file_sha256(file)}`",
        "SHA-256 of the weights": f"`{bundle.identity['weights_sha256']}`",
    }
    lines = [f"| {name} | {text} |" for name, text in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def renew(model: Path) -> str:
    """Replace the bundle and the table of facts; return the table."""
    bundle = load_bundle(model)
    size = sum(array.nbytes for array in bundle.weights.values())
    if size > LARGEST:
        raise SystemExit(f"the weights must have at most {LARGEST} bytes, got {size}")
    file = save_bundle(FOLDER, bundle, overwrite=True)
    card = FOLDER / "card.md"
    before, _, rest = card.read_text("utf-8").partition(START)
    after = rest.partition(END)[2]
    table = facts(bundle, file)
    card.write_text(f"{before}{START}\n{table}\n{END}{after}", "utf-8")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help=f"{BUNDLE_NAME}, or its folder")
    sys.stdout.write(renew(parser.parse_args().model) + "\n")

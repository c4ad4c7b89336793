"""Train the network for any scan, on scenes that are made up on the fly.

    python benchmarks/pretrain.py -o OUT [--steps 12000] [--seed 0] [--from MODEL] [--device cpu]

Every scene is another probe, sample, set of positions, dose and detector, simulated with its truth;
`pretraining` says which there are. OUT keeps the state after every 200 steps, from which the same
command goes on, and at the end the bundle and `validation.md`: the distance from the truth, in
contrasts of the object, of the solver's estimate that the network starts from and of the network,
for scenes that it was not trained on. ``--from`` starts from the weights of a model, and the bundle
keeps what identifies it. The result is the same bits on the same machine.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import numpy as np
import torch
from pretraining.training import MODEL, Pretraining, identity
from ptycho_config import TrainingConfig
from ptycho_data import load_bundle, save_bundle
from ptycho_physics import defocused_probe
from ptycho_torch.bundles import bundle_of
from ptycho_torch.model import PtychoModel

VALIDATED = 60
"""Number of validation scenes."""

CLASSES = {"below 2e4": (0, 2e4), "2e4 to 2e5": (2e4, 2e5), "above 2e5": (2e5, np.inf)}
"""Doses of the rows of the table, photons per pattern."""


Distances = list[tuple[float, float, float]]
"""Dose, distance of the estimate and of the network, of each validation scene."""


def by_dose(distances: Distances) -> dict[str, np.ndarray]:
    """Return the distances (k, 3) of each class of doses."""
    rows = np.array(distances)
    return {n: rows[(rows[:, 0] >= a) & (rows[:, 0] < b)] for n, (a, b) in CLASSES.items()}


def table(distances: Distances) -> str:
    """Lay the distances out, by dose."""
    lines = ["| photons per pattern | scenes | estimate | network |", "|---|---|---|---|"]
    for name, some in by_dose(distances).items():
        _, before, after = some.mean(axis=0)
        lines.append(f"| {name} | {len(some)} | {before:.3f} | {after:.3f} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Train, validate and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="start", type=Path, help="bundle to start from")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given.output.mkdir(parents=True, exist_ok=True)
    device = torch.device(given.device)
    start = load_bundle(given.start) if given.start else None
    training = Pretraining(given.output / "state.pt", given.steps, given.seed, device, start)
    started = time.process_time()
    training.run()
    logging.info("trained in %.0f CPU s", time.process_time() - started)
    found = table(training.validate(VALIDATED))
    (given.output / "validation.md").write_text(found, "utf-8")
    print(found)
    model = PtychoModel(MODEL, defocused_probe(MODEL.N))
    model.network.load_state_dict(training.mean.cpu().state_dict())
    config = TrainingConfig(model=MODEL, backend="pytorch", seed=given.seed)
    record = {"photons": 1e5, "domain": "counts", "history": {}, "overrides_applied": {}}
    record["start"] = identity(start)
    save_bundle(given.output / "wts.h5.zip", bundle_of(model, config, **record))
    return 0


if __name__ == "__main__":
    sys.exit(main())

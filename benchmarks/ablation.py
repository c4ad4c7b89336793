"""What each ingredient of the universal network is worth: short trainings without one of them.

    python benchmarks/ablation.py -o OUT [--steps 400] [--seed 0] [--only "whole recipe"]

All trainings have the same number of updates and the same seed, and far fewer updates than
`pretrain.py`. The table has the mean distance from the truth for the validation scenes of
`pretrain.py`, in contrasts of the object, by dose; the first row is the solver's estimate that the
network starts from. OUT keeps the state of each training, from which the same command goes on,
`ablation.md` and `ablation.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from attrs import evolve
from pretrain import CLASSES, VALIDATED, Distances, by_dose
from pretraining.scenes import Kinds, Scene, make_scene
from pretraining.training import MODEL, Pretraining, SceneBatch
from ptycho_physics import defocused_probe, expected_counts, random_cells
from torch import Tensor


class Whole(Pretraining):
    """The recipe of the universal network."""


class Separate(Pretraining):
    """Stages that do not average neighbouring patches between them."""

    model = evolve(MODEL, joint_stages=False)


class OneScene(Pretraining):
    """One scene after the other, each for several updates."""

    scenes = 1


class PatchesAlone(Pretraining):
    """A loss of single patches, not of the object that they make together."""

    def loss(self, batch: SceneBatch, patches: Tensor) -> Tensor:
        """Return the distance of single patches from the truth."""
        return batch.losses(patches)[0]


class FromCounts(Pretraining):
    """A loss of predicted and measured counts: the truth is not used."""

    def loss(self, batch: SceneBatch, patches: Tensor) -> Tensor:
        """Return the R-factor of each pattern with its patch."""
        rate = expected_counts(patches[:, 0], batch.probe, batch.photons)
        scale = batch.photons**0.5 * 2 / batch.x.shape[-1]
        good = ~batch.bad_pixels
        measured = (batch.x[:, 0] * scale)[:, good]
        predicted = (rate + 1e-3).sqrt()[:, good]
        return (predicted - measured).abs().sum() / measured.sum()


class NoLight(Pretraining):
    """A network that does not see how many patterns light a pixel."""

    def seen(self, batch: SceneBatch) -> SceneBatch:
        """Return the batch without the light of the scan."""
        return evolve(batch, light=torch.zeros_like(batch.light))


class FewKinds(Pretraining):
    """Zone plates out of focus and cells alone."""

    def scene(self, seed: int) -> Scene:
        """Return a scene of these kinds."""
        return make_scene(seed, kinds=Kinds(probe=_zone_plate, sample=_cells))


class Faultless(Pretraining):
    """Perfect measurements."""

    def scene(self, seed: int) -> Scene:
        """Return a scene without faults."""
        return make_scene(seed, kinds=Kinds(faults=False))


def _zone_plate(rng: np.random.Generator, N: int) -> np.ndarray:
    return defocused_probe(N, rng.uniform(10, 40) * rng.choice([-1, 1]))


def _cells(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return random_cells(shape, seed=int(rng.integers(2**30)))


VARIANTS: dict[str, type[Pretraining]] = {
    "whole recipe": Whole,
    "stages not joint": Separate,
    "light of the scan not shown": NoLight,
    "loss of single patches": PatchesAlone,
    "loss of the counts, without truth": FromCounts,
    "one scene at a time": OneScene,
    "zone plates and cells only": FewKinds,
    "no faults of the measurement": Faultless,
}


def means(distances: Distances, column: int) -> list[float]:
    """Return the mean distance of the estimate (1) or the network (2) by dose, and of all."""
    parts = [*by_dose(distances).values(), np.array(distances)]
    return [float(part[:, column].mean()) for part in parts]


def table(found: dict[str, Distances]) -> str:
    """Lay the mean distances out."""
    lines = [f"| training | {' | '.join(CLASSES)} | all |", f"|---{'|---' * len(CLASSES)}|---|"]
    rows = {"none: the estimate": means(next(iter(found.values())), 1)}
    rows |= {name: means(distances, 2) for name, distances in found.items()}
    for name, figures in rows.items():
        lines.append(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")
    return "\n".join([*lines, ""])


def main() -> int:
    """Train and validate each variant, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", choices=list(VARIANTS))
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    found: dict[str, Distances] = {}
    for name in given.only or VARIANTS:
        started = time.process_time()
        file = given.output / f"{name.replace(' ', '_').replace(',', '')}.pt"
        training = VARIANTS[name](file, given.steps, given.seed, torch.device(given.device))
        training.run()
        found[name] = training.validate(VALIDATED)
        print(f"{name}: {time.process_time() - started:.0f} CPU s", flush=True)
        (given.output / "ablation.json").write_text(json.dumps(found, indent=1), "utf-8")
        (given.output / "ablation.md").write_text(table(found), "utf-8")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``ptycho demo``: simulate, train, reconstruct, evaluate, on a laptop, in minutes."""

from pathlib import Path
from typing import Any

import click
from ptycho_config import Layer
from ptycho_core.analysis.evaluation import EVALUATION_FILES, evaluate
from ptycho_core.backends import require
from ptycho_core.outputs import RECONSTRUCTION_FILES, TRAINING_FILES, output_folder
from ptycho_core.reconstruction.run import ReconstructionRun
from ptycho_core.simulation import simulate_scan
from ptycho_core.simulation_parts import SimulationParts
from ptycho_core.training.run import TrainingRun
from ptycho_data import PICTURE_FILES, load_scan, save_scan

from ptycho_cli.commands.infer import run_inference
from ptycho_cli.commands.train import run_training
from ptycho_cli.console import current_state, note, progress, say
from ptycho_cli.layers import refusals_as_usage
from ptycho_cli.sections import Command, section
from ptycho_cli.values import PATH, SEED, Whole

__all__ = ["demo"]

N = 64
SIZE = 176
PATTERNS = 320
PHOTONS = 1e6
#: A narrow network, so that the demo ends within minutes.
SETTINGS: dict[str, Any] = {"n_filters_scale": 1}


def _simulate(path: Path, seed: int, *, overwrite: bool) -> None:
    parts = SimulationParts().completed(object_size=SIZE, N=N, n_patterns=PATTERNS, seed=seed)
    save_scan(path, simulate_scan(parts, PHOTONS, seed), overwrite=overwrite)


def _layers(**given: Any) -> list[Layer]:
    layers = [Layer("command line", given)]
    if current_state().verbosity < 0:
        layers.append(Layer("execution", {"enable_progress_bar": False}))
    return layers


@click.command(cls=Command)
@section("Demo")(
    "-o",
    "--output-dir",
    "output",
    type=PATH,
    default=Path("demo"),
    show_default=True,
    help="Folder to write to.",
)
@section("Demo")("--overwrite", is_flag=True, help="Replace an earlier demo.")
@section("Demo")(
    "--nepochs",
    type=Whole(1, 1_000_000),
    default=36,
    show_default=True,
    help="Passes over the scan while training.",
)
@section("Demo")(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "gpu", "cuda", "tpu", "mps"]),
    default="auto",
    show_default=True,
    help="Kind of device to run on.",
)
@section("Demo")(
    "--backend",
    default="pytorch",
    metavar="NAME",
    show_default=True,
    help="Backend that trains the network.",
)
@section("Demo")(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    help="Seed of all random numbers.",
)
def demo(
    output: Path, overwrite: bool, nepochs: int, accelerator: str, backend: str, seed: int
) -> None:
    """Simulate a small scan, train a network on it, reconstruct it, and print the quality.

    Every step is a separate command, which is shown as you would type it.
    """
    with refusals_as_usage():
        require(backend)
    scan, model, result = output / "scan.npz", output / "model", output / "result"
    for folder, names in (
        (output, ("scan.npz", *EVALUATION_FILES)),
        (model, TRAINING_FILES),
        (result, RECONSTRUCTION_FILES),
    ):
        output_folder(folder, names, overwrite=overwrite)
    note(f"1/4 ptycho simulate -o {scan} --size {SIZE} --n-patterns {PATTERNS}")
    _simulate(scan, seed, overwrite=overwrite)
    flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in SETTINGS.items())
    note(f"2/4 ptycho train {scan} -o {model} --nepochs {nepochs} {flags}")
    settings = {
        **SETTINGS,
        "nepochs": nepochs,
        "accelerator": accelerator,
        "backend": backend,
        "seed": seed,
    }
    layers = _layers(**settings, train_data_file=scan, output_dir=model)
    run_training(TrainingRun(layers=layers, scans=[scan], output=model, overwrite=overwrite))
    note(f"3/4 ptycho infer {model} {scan} -o {result}")
    files = {"model_path": model, "test_data_file": scan, "output_dir": result}
    run_inference(
        ReconstructionRun(
            layers=_layers(accelerator=accelerator, **files),
            model=model,
            scan=scan,
            output=result,
            overwrite=overwrite,
            progress=progress,
        )
    )
    note(f"4/4 ptycho evaluate {result} {scan} -o {output}")
    _evaluate(output, scan, result, overwrite=overwrite)


def _evaluate(output: Path, scan: Path, result: Path, *, overwrite: bool) -> None:
    evaluation = evaluate(result, load_scan(scan))
    evaluation.save(output, overwrite=overwrite)
    say("quality against the object that was simulated")
    say(*evaluation.table().splitlines())
    say("pictures")
    for path in (*(result / name for name in PICTURE_FILES), output / EVALUATION_FILES[1]):
        say(f"  {path}")

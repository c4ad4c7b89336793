"""From the command line, a file, the data and the command to one configuration."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click
from attrs import frozen
from ptycho_config import (
    ConfigError,
    InferenceConfig,
    Layer,
    ModelConfig,
    PyTorchExecutionConfig,
    Resolved,
    TrainingConfig,
    load_config_file,
)
from ptycho_config.errors import InvalidValueError
from ptycho_core import backends
from ptycho_core.centring import warn_if_corner_centred
from ptycho_data import Bundle, Scan, load_scan

from ptycho_cli.console import current_state, note
from ptycho_cli.options import given_values

__all__ = [
    "INFERENCE_DEFAULTS",
    "INFERENCE_ONLY",
    "TRAINING_DEFAULTS",
    "TRAINING_ONLY",
    "Sources",
    "check_settings",
    "credited",
    "gather",
    "hush_helpers",
    "of_bundle",
    "read_scan",
    "say_configuration",
]

#: What ``ptycho train`` and ``ptycho infer`` take where nothing else decides.
TRAINING_DEFAULTS: Mapping[str, object] = {
    "backend": "pytorch",
    "architecture": "unrolled",
    "accelerator": "auto",
    # The recipe that trains well; the classes keep the defaults that scripts rely on.
    "learning_rate": 2e-3,
    "gradient_clip_val": 1.0,
}
INFERENCE_DEFAULTS: Mapping[str, object] = {"accelerator": "auto"}

#: Execution settings that mean nothing in a reconstruction; and in training.
TRAINING_ONLY = (
    "persistent_workers",
    "enable_progress_bar",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "accum_steps",
    "learning_rate",
    "scheduler",
    "enable_checkpointing",
    "checkpoint_save_top_k",
    "checkpoint_monitor_metric",
    "checkpoint_mode",
    "early_stop_patience",
    "logger_backend",
)
INFERENCE_ONLY = ("inference_batch_size", "middle_trim", "pad_eval")


def hush_helpers() -> None:
    """Let only the first of several processes of a command say what it does.

    Lightning starts the others with the same command line, and tells each its number.
    """
    names = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
    number = next((os.environ[name] for name in names if os.environ.get(name)), "0")
    if number != "0":
        current_state().verbosity = -1


@frozen
class Sources:
    """The layers of a command, before and after the data are known.

    Attributes
    ----------
    layers
        Sources of settings, in any order.
    from_bundle
        Settings whose command default is that of the bundle.
    """

    layers: tuple[Layer, ...]
    from_bundle: tuple[str, ...] = ()

    def adding(self, origin: str, values: Mapping[str, Any], source: str = "") -> "Sources":
        """Return the same sources and one more."""
        return attrs.evolve(self, layers=(*self.layers, Layer(origin, values, source)))


def gather(
    ctx: click.Context,
    config_class: type[TrainingConfig] | type[InferenceConfig],
    config_file: Path | None,
    fixed: Mapping[str, object],
    defaults: Mapping[str, object],
) -> Sources:
    """Collect what the command line, a configuration file and the command say.

    Parameters
    ----------
    ctx
        Context of the running command.
    config_class
        Whose fields the command has as options, with those of the model and of the execution.
    config_file
        Value of ``--config``.
    fixed
        Fields given as arguments: input files and the output folder.
    defaults
        The command's own defaults.
    """
    hush_helpers()
    given = given_values(ctx, config_class, ModelConfig, PyTorchExecutionConfig)
    layers = [
        Layer("command line", {**given, **fixed}),
        Layer("command default", dict(defaults)),
    ]
    if current_state().verbosity < 0:
        layers.append(Layer("execution", {"enable_progress_bar": False}))
    if config_file is not None:
        layers.append(load_config_file(config_file))
    return Sources(tuple(layers))


def check_settings(name: str, work: str, *settings: Any) -> None:
    """Let a backend refuse settings, as wrong usage: see `ptycho_core.backends.check_settings`."""
    try:
        backends.check_settings(name, work, *settings)
    except InvalidValueError as error:
        raise click.UsageError(str(error)) from error


def of_bundle(sources: Sources, bundle: Bundle, path: Path) -> Sources:
    """Add what a bundle says: its model, and as defaults its backend and its neighbours.

    Grouping as in training, and the framework that trained, unless something else is asked for.
    """
    usual: dict[str, object] = {"backend": bundle.backend}
    if "neighbor_count" in bundle.config:
        usual["neighbor_count"] = bundle.config["neighbor_count"]
    with_model = sources.adding("bundle", bundle.config, str(path))
    return attrs.evolve(with_model.adding("command default", usual), from_bundle=tuple(usual))


def credited(resolved: Resolved[Any], sources: Sources) -> Resolved[Any]:
    """Name the bundle as the origin of the defaults that it gave.

    They rank as defaults of the command, below a configuration file; but the command did not
    choose them.
    """
    audit = {
        name: {**entry, "origin": "bundle"}
        if name in sources.from_bundle and entry["origin"] == "command default"
        else entry
        for name, entry in resolved.overrides_applied.items()
    }
    return attrs.evolve(resolved, overrides_applied=audit)


def read_scan(path: Path, config: TrainingConfig | InferenceConfig) -> Scan:
    """Read a scan in the domain that the configuration asks for.

    A probe file takes the place of the scan's probe, which it need not have; whether there is one
    is told before anything is read. Patterns that seem to have zero frequency in the corner are
    warned of.

    Raises
    ------
    FileNotFoundError
        There is no such probe file.
    ScanFormatError
        The scan breaks the contract, or that file has no probe of its size.
    """
    probe_file = config.probe_file
    if probe_file is not None and not probe_file.is_file():
        found = "found a folder" if probe_file.is_dir() else "no such file"
        msg = f"{probe_file}: {found}; name an NPZ with `probe` or `probeGuess`"
        raise FileNotFoundError(msg)
    scan = load_scan(path, domain=config.domain, probe_file=probe_file)
    warn_if_corner_centred(scan, path)
    return scan


def check_size(resolved: Resolved[Any], scan: Scan, path: Path) -> None:
    """Refuse a configured N that is not the scan's.

    Raises
    ------
    ConfigError
        Saying who asked for the other N.
    """
    N = resolved.config.model.N
    if scan.N != N:
        origin = resolved.origins["N"]
        where = "of the bundle " if origin == "bundle" else f"({origin}) "
        problem = (
            f"N {where}is {N}, but {path} has patterns of {scan.N} x {scan.N}; "
            "use a scan and a model of one size"
        )
        raise ConfigError(problem)


def say_configuration(
    resolve: Callable[[Sequence[Layer]], Resolved[Any]], sources: Sources
) -> Resolved[Any]:
    """Resolve the layers and log which settings are not at their default, and why."""
    resolved = credited(resolve(sources.layers), sources)
    for name in resolved.unused:
        note(f"setting {name!r} is of another command: not used here")
    for line in resolved.summary():
        note(line)
    return resolved

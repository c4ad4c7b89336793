"""Merge settings from several sources and record the origin of each value."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import attrs

from ptycho_config.convert import (
    CONFIG_CLASSES,
    assemble,
    classes_of,
    field_names,
    flatten,
    to_dict,
    unknown_key,
)
from ptycho_config.errors import ConfigError, describe
from ptycho_config.execution import PyTorchExecutionConfig
from ptycho_config.inference import InferenceConfig
from ptycho_config.model import LARGEST_GRIDSIZE, ModelConfig
from ptycho_config.options import option_specs, plain_value
from ptycho_config.plain_text import shortened
from ptycho_config.run_files import RunFiles
from ptycho_config.training import TrainingConfig

C = TypeVar("C", TrainingConfig, InferenceConfig)

#: Sources of values, the highest first.
ORIGINS = (
    "override",
    "execution",
    "command line",
    "config file",
    "bundle",
    "data",
    "command default",
    "default",
)
# These may contain settings of several commands: those of another command are not an error.
_SHARED_ORIGINS = ("config file", "bundle", "data")


def _known_origin(_: object, __: object, origin: str) -> None:
    if origin not in ORIGINS:
        raise ConfigError(f"origin must be one of {', '.join(ORIGINS)}, got {describe(origin)}")


@attrs.frozen
class Layer:
    """Settings from one source.

    Attributes
    ----------
    origin : str
        One of `ORIGINS`.
    values : mapping
        Field name to value, flat; ``model`` and ``execution`` may also be tables or configuration
        objects, all of whose fields then count as given. Only values that the source really
        gave; None is a value.
    source : str
        Name of the source in errors, for example a file name.
    """

    origin: str = attrs.field(validator=_known_origin)
    values: Mapping[str, Any]
    source: str = ""

    def __str__(self) -> str:
        """Name the layer: ``config file scan.toml``."""
        return f"{self.origin} {self.source}".rstrip()


@attrs.frozen(kw_only=True)
class Resolved(Generic[C]):
    """A resolved configuration and the origins of its values.

    Attributes
    ----------
    config : TrainingConfig or InferenceConfig
        What to compute.
    execution : PyTorchExecutionConfig
        How to run it.
    overrides_applied : dict
        Field name to ``{"value": ..., "origin": ...}`` for every setting that is not from the
        defaults; serialisable as JSON.
    files : RunFiles
        Input files and output folder named by the sources.
    file_origins : dict
        Name of each file setting to its origin.
    unused : tuple of str
        Settings of other commands in a shared source, which this one does not use.
    """

    config: C
    execution: PyTorchExecutionConfig
    overrides_applied: dict[str, dict[str, Any]]
    files: RunFiles = attrs.field(factory=RunFiles)
    file_origins: dict[str, str] = attrs.field(factory=dict)
    unused: tuple[str, ...] = ()

    @property
    def origins(self) -> dict[str, str]:
        """Origin of every field, model, execution and files included."""
        names = field_names((*classes_of(type(self.config)), PyTorchExecutionConfig, RunFiles))
        recorded = {name: entry["origin"] for name, entry in self.overrides_applied.items()}
        recorded |= self.file_origins
        return {name: recorded.get(name, "default") for name in names}

    def summary(self) -> list[str]:
        """Return one line per source with the settings that are not at their default.

        A bundle has all settings of its model, of which those at their default are omitted.
        """
        usual = {s.name: s.default for cls in CONFIG_CLASSES for s in option_specs(cls)}
        by_origin: dict[str, list[str]] = {}
        for name, entry in self.overrides_applied.items():
            if entry["origin"] != "bundle" or entry["value"] != usual[name]:
                value = shortened(str(entry["value"]))
                by_origin.setdefault(entry["origin"], []).append(f"{name}={value}")
        return [
            f"settings from {origin}: {', '.join(texts)}" for origin, texts in by_origin.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain values for a configuration file or JSON.

        Of the files, only those that a source named.
        """
        files = {name: value for name, value in to_dict(self.files).items() if value is not None}
        return {**to_dict(self.config), "execution": to_dict(self.execution), **files}

    def at_rate(self, recommended: float) -> "Resolved[C]":
        """Return a copy with the network's learning rate if no source gave one.

        Parameters
        ----------
        recommended : float
            Learning rate that the network recommends; its origin is recorded as ``network``.
        """
        if self.execution.learning_rate is not None:
            return self
        entry = {"value": recommended, "origin": "network"}
        return attrs.evolve(
            self,
            execution=self.execution.at_rate(recommended),
            overrides_applied={**self.overrides_applied, "learning_rate": entry},
        )


def resolve_training(layers: Iterable[Layer]) -> Resolved[TrainingConfig]:
    """Resolve the configuration of a training run.

    Parameters
    ----------
    layers : iterable of Layer
        Sources in any order: `ORIGINS` defines their precedence, field by field. Of two layers with
        the same origin the later one takes precedence.

    Returns
    -------
    Resolved[TrainingConfig]

    Raises
    ------
    ConfigError
        With the violations of all layers and of the result; each says where the value came from.

    Examples
    --------
    >>> given = Layer(origin="command line", values={"nepochs": 5})
    >>> found = resolve_training([given])
    >>> found.config.nepochs, found.origins["nepochs"]
    (5, 'command line')
    """
    return _resolve(TrainingConfig, layers)


def resolve_inference(layers: Iterable[Layer]) -> Resolved[InferenceConfig]:
    """Resolve the configuration of a reconstruction.

    Parameters
    ----------
    layers : iterable of Layer
        As for `resolve_training`. A layer of origin ``bundle`` may hold the whole configuration
        of its training, of which only the model is used; it cannot be overridden.

    Returns
    -------
    Resolved[InferenceConfig]

    Raises
    ------
    ConfigError
        As `resolve_training`, and if another source contradicts the model of the bundle.

    Examples
    --------
    >>> resolve_inference([Layer(origin="command line", values={"n_groups": 64})]).config.n_groups
    64
    """
    return _resolve(InferenceConfig, layers)


def _resolve(cls: type[C], layers: Iterable[Layer]) -> Resolved[C]:
    chosen: dict[str, tuple[Any, Layer]] = {}
    problems: list[str] = []
    unused: dict[str, None] = {}
    layers = sorted(layers, key=lambda layer: -ORIGINS.index(layer.origin))
    for layer in layers:
        values, more, foreign = _read(cls, layer)
        problems += more
        unused.update(dict.fromkeys(foreign))
        chosen.update({name: (value, layer) for name, value in values.items()})
    _widen_neighbourhood(chosen)
    flat = {name: value for name, (value, _) in chosen.items()}
    config, config_problems = assemble(cls, flat)
    if cls is InferenceConfig:
        problems += _another_model(flat, chosen, layers)
    execution, execution_problems = assemble(PyTorchExecutionConfig, flat)
    files, file_problems = assemble(RunFiles, flat)
    for problem in config_problems + execution_problems + file_problems:
        field = problem.partition(" ")[0]
        problems.append(f"{problem} ({chosen[field][1]})" if field in chosen else problem)
    if problems or config is None or execution is None or files is None:
        raise ConfigError(*problems)
    return Resolved(
        config=config,
        execution=execution,
        overrides_applied=_audit(chosen, (config, config.model, execution)),
        files=files,
        file_origins={n: entry["origin"] for n, entry in _audit(chosen, (files,)).items()},
        unused=tuple(unused),
    )


def _another_model(
    flat: Mapping[str, Any], chosen: Mapping[str, tuple[Any, Layer]], layers: Iterable[Layer]
) -> Iterator[str]:
    """Find settings that contradict the model of the bundle."""
    model, _ = assemble(ModelConfig, flat)
    if model is None:
        return
    values = to_dict(model)
    for bundle in (layer for layer in layers if layer.origin == "bundle"):
        for name, trained in _read(InferenceConfig, bundle)[0].items():
            if chosen[name][1].origin != "bundle" and values[name] != trained:
                found = f"got {describe(values[name])} ({chosen[name][1]})"
                yield f"{name} must be that of the bundle, {describe(trained)}, {found}"


def _widen_neighbourhood(chosen: dict[str, tuple[Any, Layer]]) -> None:
    """Increase the default ``neighbor_count`` for large groups.

    The default of ``neighbor_count`` fills groups up to gridsize 2; without this, a larger gridsize
    alone would be an error.
    """
    gridsize = chosen["gridsize"][0] if "gridsize" in chosen else None
    given = "neighbor_count" in chosen
    if not given and type(gridsize) is int and 2 < gridsize <= LARGEST_GRIDSIZE:
        count = gridsize**2
        layer = Layer("command default", {"neighbor_count": count}, f"for gridsize {gridsize}")
        chosen["neighbor_count"] = count, layer


def _read(cls: type, layer: Layer) -> tuple[dict[str, Any], list[str], list[str]]:
    """Split a layer into values, problems and settings of other commands."""
    of_bundle = cls is InferenceConfig and layer.origin == "bundle"
    classes = (ModelConfig,) if of_bundle else (*classes_of(cls), PyTorchExecutionConfig, RunFiles)
    values = layer.values
    if of_bundle and isinstance(values, Mapping) and "model" in values:
        values = {"model": values["model"]}
    flat = flatten(values, classes)
    problems, foreign = list(flat.problems), flat.foreign
    if layer.origin not in _SHARED_ORIGINS:
        problems += [unknown_key(name, flat.known) for name in foreign]
    return flat.values, [f"{text} ({layer})" for text in problems], [] if of_bundle else foreign


def _audit(
    chosen: Mapping[str, tuple[Any, Layer]], configs: tuple[Any, ...]
) -> dict[str, dict[str, Any]]:
    """Record value, as used, and origin of every field that is not a default."""
    audit: dict[str, dict[str, Any]] = {}
    for config in configs:
        for name in field_names([type(config)]):
            if name in chosen and chosen[name][1].origin != "default":
                value = plain_value(getattr(config, name))
                audit[name] = {"value": value, "origin": chosen[name][1].origin}
    return audit

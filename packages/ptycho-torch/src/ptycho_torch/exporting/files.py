"""A trained network as a file of ONNX or of ``torch.export``."""

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import evolve
from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_config.install import SOURCE, install_command
from ptycho_core.bundles import network_of
from ptycho_data import Bundle, atomic_path
from torch import Tensor

from ptycho_torch.bundles import model_from
from ptycho_torch.exporting.network import MEASURED, START, SinglePatterns
from ptycho_torch.networks import NETWORKS

__all__ = ["KINDS", "example_inputs", "export", "single_patterns"]

KINDS = ("onnx", "pt2")
"""Kinds of files: ONNX for other programs, and ``torch.export`` for PyTorch."""

PER_PATTERN = ("counts", *START)
"""Inputs with one entry for each pattern of a batch, whose size is free."""

OUTPUTS = ("object_real", "object_imag")

OPSET = 18
"""Version of the operators of ONNX."""


def export(
    bundle: Bundle,
    path: Path,
    kind: str,
    *,
    N: int | None = None,
    modes: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the network of a bundle, for single patterns, with the probe among its inputs.

    Parameters
    ----------
    bundle
        Trained model, of either backend.
    path
        File to write.
    kind
        One of `KINDS`.
    N
        Pixels of the patterns. Default: those of the training.
    modes
        Number of probe modes. Default: those of the bundle's probe.
    overwrite
        Replace an existing file.

    Returns
    -------
    dict
        ``inputs`` and ``outputs``: name to shape, where ``batch`` is any number of patterns.

    Raises
    ------
    InvalidValueError
        The network takes patterns of one size only, another one than N; or it computes with complex
        numbers, and cannot become ONNX.
    MissingPackageError
        A package that writes ONNX is not installed.
    OutputExistsError
        The file exists, and `overwrite` is not set.
    """
    if kind not in KINDS:
        raise InvalidValueError("kind", f"one of {', '.join(KINDS)}", repr(kind))
    if kind == "onnx":
        _require_onnx()
    network = single_patterns(bundle, N=N, modes=modes)
    inputs = example_inputs(network, modes or len(bundle.probe))
    data = _onnx(network, inputs) if kind == "onnx" else _pt2(network, inputs)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)
    named = zip(network.inputs, inputs, strict=True)
    shapes = {name: _shape(name, value) for name, value in named}
    return {"inputs": shapes, "outputs": dict.fromkeys(OUTPUTS, shapes["counts"])}


def single_patterns(
    bundle: Bundle, *, N: int | None = None, modes: int | None = None
) -> SinglePatterns:
    """Return the network of a bundle as it is exported; parameters as of `export`."""
    trained = bundle.training_config.model
    N = trained.N if N is None else N
    kind = network_of(bundle, NETWORKS)
    if trained.N != N and not kind.any_size:
        rule = f"{trained.N}, the size that the bundle was trained for"
        raise InvalidValueError("N", rule, f"{N}")
    if trained.gridsize > 1 and not kind.any_size:
        rule = "1: patterns are exported one by one"
        raise InvalidValueError("gridsize of the bundle", rule, f"{trained.gridsize}")
    alone = evolve(trained, N=N, gridsize=1, joint_stages=False)
    config = bundle.config | {"model": bundle.config["model"] | {"gridsize": 1}}
    config["model"]["joint_stages"] = False
    probe = np.ones((modes or len(bundle.probe), N, N), np.complex64)
    model = model_from(evolve(bundle, config=config), probe)
    model.requires_grad_(False)
    return SinglePatterns(model.network, alone).eval()


def example_inputs(network: SinglePatterns, modes: int, batch: int = 2) -> tuple[Tensor, ...]:
    """Return inputs of the right shapes, with which a network is traced."""
    N = network.N
    generator = torch.Generator().manual_seed(0)

    def some(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator)

    counts, probe = 10 * some(batch, N, N), (some(modes, N, N), some(modes, N, N))
    bad = torch.zeros((N, N), dtype=torch.bool)
    measured = (counts, counts.sum(dim=(1, 2)).mean(), *probe, bad)
    if not network.network.starts_from_scan:
        return measured
    return (*measured, 1 + some(batch, N, N), some(batch, N, N), some(batch, N, N))


def _shape(name: str, value: Tensor) -> tuple[int | str, ...]:
    shape = tuple(value.shape)
    return ("batch", *shape[1:]) if name in PER_PATTERN else shape


def _program(network: SinglePatterns, inputs: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=2**20)
    axes = [{0: batch} if name in PER_PATTERN else None for name in network.inputs]
    start = axes[len(MEASURED) :]
    dynamic = (*axes[: len(MEASURED)], *([tuple(start)] if start else []))
    with torch.no_grad():
        return torch.export.export(network, inputs, dynamic_shapes=dynamic)


def _pt2(network: SinglePatterns, inputs: tuple[Tensor, ...]) -> bytes:
    stream = io.BytesIO()
    torch.export.save(_program(network, inputs), stream)
    return stream.getvalue()


def _onnx(network: SinglePatterns, inputs: tuple[Tensor, ...]) -> bytes:
    # they tell that torchvision is not installed, and what stays as it was
    for name in ("onnx_ir", "onnxscript", "torch.onnx"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own future
        try:
            made = torch.onnx.export(
                _program(network, inputs),
                dynamo=True,
                input_names=list(network.inputs),
                output_names=list(OUTPUTS),
                opset_version=OPSET,
                verbose=False,
            )
        except Exception as error:
            if network.real_valued:
                raise
            rule = "one without complex numbers (guided, unrolled) for onnx"
            got = type(network.network).__name__
            raise InvalidValueError("architecture", rule, got, "use --to pt2") from error
    assert made is not None  # noqa: S101 - only for older exporters
    data: bytes = made.model_proto.SerializeToString()
    return data


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        command = install_command("ptycho-torch[export]")
        msg = f"ONNX files need the package {error.name}; install it {SOURCE}: {command}"
        raise MissingPackageError(msg) from error

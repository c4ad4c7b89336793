"""The trained model as one file, ``wts.h5.zip``, that both backends write and read.

A plain ZIP, uncompressed, of

``manifest.json``
    format and its version, the backend that trained, the models on offer, package versions, time
    of creation, SHA-256 and size of every other member;
``config.json``
    ``{"config": ..., "overrides_applied": ...}``, the resolved configuration, and ``start``: the
    model that a fine-tuned one started from;
``scaling.json``
    the statistics frozen at training (input scale, intensity scale, domain, photons);
``probe.npy``
    complex64 (M, N, N), modes first, as at the end of training;
``weights.safetensors``
    named arrays in the layout below;
``history.json``
    name of a loss to its values, one per epoch.

Layout of the weights
---------------------
Names are dotted paths (``encoder.0.conv.weight``), the same in both backends. Arrays are C
ordered, in the axis order of PyTorch, whatever the backend that trained:

- convolution ``weight`` (out, in, kh, kw), with ``in`` per group where grouped; depthwise
  (channels, 1, kh, kw); transposed convolution (in, out, kh, kw);
- linear ``weight`` (out, in);
- ``bias``, norm ``weight`` and ``bias``, running statistics: (channels,);
- a learned scalar has shape ().

A backend whose own order differs (Keras keeps kernels as (kh, kw, in, out) and (in, out))
transposes on saving and loading. Which names exist for which architecture is the backends' matter,
and so is the complaint about an architecture unknown there: ``config.json`` names it.

Equal content gives equal bytes: members in a fixed order and with a fixed time, JSON with sorted
keys, tensors sorted by their format. Loading reads JSON, NPY and safetensors and never unpickles.
"""

import datetime
import hashlib
import io
import math
import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from attrs import Attribute, Factory, field, frozen
from ptycho_config import TrainingConfig, from_dict
from ptycho_config.errors import InvalidValueError, MissingPackageError
from ptycho_config.install import SOURCE, install_command

from ptycho_data._bundle_content import (
    check_finite,
    check_overrides,
    check_probe_values,
    check_scaling,
    check_start,
    read_history,
)
from ptycho_data._bundle_file import (
    BUNDLE_NAME,
    MANIFEST,
    BundleError,
    Members,
    check_bundle,
    make_manifest,
    open_members,
    parse_json,
    read_manifest,
    read_member,
)
from ptycho_data._files import atomic_path, json_bytes, write_npy, zip_member
from ptycho_data._sets import MODEL_SET, result_set
from ptycho_data._untrusted import HeaderError, read_header
from ptycho_data.display import Displayed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BUNDLE_NAME",
    "Bundle",
    "BundleError",
    "check_bundle",
    "decode_history",
    "decode_probe",
    "decode_weights",
    "encode_probe",
    "encode_weights",
    "load_bundle",
    "refuse_nonfinite",
    "save_bundle",
]


def refuse_nonfinite(where: str, value: object) -> None:
    """Refuse NaN and inf: JSON has none, and a setting must come back as it was.

    Raises
    ------
    InvalidValueError
        Naming the place, as a dotted path that begins with `where`.
    """
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        raise InvalidValueError(where, "finite to be saved", f"{value}")
    if isinstance(value, Mapping):
        for key, item in value.items():
            refuse_nonfinite(f"{where}.{key}", item)
    elif isinstance(value, list | tuple | np.ndarray):
        for index, item in enumerate(value):
            refuse_nonfinite(f"{where}[{index}]", item)


def encode_probe(probe: npt.NDArray[np.complex64]) -> bytes:
    """Write the probe as NPY."""
    stream = io.BytesIO()
    write_npy(stream, probe)
    return stream.getvalue()


def decode_probe(members: Members, data: bytes) -> npt.NDArray[np.complex64]:
    """Read the NPY; its stated shape is held against the bytes before anything is allocated.

    Raises
    ------
    BundleError
        Not NPY, not complex64, or not as many bytes as the shape says.
    """
    try:
        header = read_header(io.BytesIO(data))
    except HeaderError as error:
        raise BundleError(members.path, f"member 'probe.npy' is not NPY ({error})") from error
    payload = memoryview(data)[header.size :]
    if header.dtype.newbyteorder("=") != np.complex64 or header.nbytes != len(payload):
        got = f"{header.describe()} in {len(payload)} bytes"
        raise BundleError(members.path, f"member 'probe.npy' must be complex64, got {got}")
    flat = np.frombuffer(payload, header.dtype).astype(np.complex64)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def encode_weights(weights: dict[str, npt.NDArray[Any]]) -> bytes:
    """Write named arrays as safetensors."""
    data: bytes = _safetensors().save(weights)
    return data


def decode_weights(members: Members, data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Read named arrays from safetensors.

    Raises
    ------
    BundleError
        The bytes are something else.
    """
    safetensors = _safetensors()
    try:
        return dict(safetensors.load(data))
    except Exception as error:  # its error type comes from an extension; all mean the same here
        problem = f"member 'weights.safetensors' cannot be read ({error})"
        raise BundleError(members.path, problem) from error


def decode_history(members: Members, table: Mapping[str, Any]) -> dict[str, list[float]]:
    """Read lists of numbers, with null for NaN.

    Raises
    ------
    BundleError
        There is something else in them.
    """
    try:
        return read_history(table)
    except InvalidValueError as error:
        problem = f"member 'history.json' must hold lists of numbers ({error})"
        raise BundleError(members.path, problem) from error


def _safetensors() -> Any:
    """Import late: a scan is read, checked and grouped without it."""
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"bundles need the package safetensors; install it {SOURCE}: "
            + install_command("ptycho-data[bundle]")
        ) from error
    return safetensors.numpy


_WEIGHT_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_BACKEND_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")  # of whichever package registered it


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _plain_weights(weights: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[Any]]:
    """C order and the machine's byte order; asarray, not ascontiguousarray: scalars keep ()."""
    arrays = {name: np.asarray(value, order="C") for name, value in weights.items()}
    return {name: a.astype(a.dtype.newbyteorder("="), copy=False) for name, a in arrays.items()}


def _check_probe(_: object, __: "Attribute[Any]", probe: npt.NDArray[np.complex64]) -> None:
    if probe.ndim != 3 or probe.shape[1] != probe.shape[2] or probe.size == 0:
        raise InvalidValueError("Bundle.probe", "of shape (M, N, N)", f"{probe.shape}")
    check_probe_values("Bundle.probe", probe)


def _check_weights(_: object, __: "Attribute[Any]", weights: dict[str, npt.NDArray[Any]]) -> None:
    for name, value in weights.items():
        if not _WEIGHT_NAME.fullmatch(name):
            raise InvalidValueError("Bundle.weights", "named by dotted words", repr(name))
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise InvalidValueError(f"Bundle.weights[{name!r}]", "real numbers", f"{value.dtype}")
        check_finite(f"Bundle.weights[{name!r}]", value)


def _check_scaling(_: object, __: "Attribute[Any]", scaling: object) -> None:
    check_scaling(scaling)


def _check_overrides(_: object, __: "Attribute[Any]", overrides: object) -> None:
    check_overrides(overrides)


def _check_start(_: object, __: "Attribute[Any]", start: object) -> None:
    check_start(start)


def _check_backend(_: object, __: "Attribute[Any]", backend: str) -> None:
    if not isinstance(backend, str) or not _BACKEND_NAME.fullmatch(backend):
        raise InvalidValueError("Bundle.backend", "a name", repr(backend))


def _as_probe(probe: npt.ArrayLike) -> npt.NDArray[np.complex64]:
    return np.asarray(probe).astype(np.complex64, copy=False)


@frozen(kw_only=True, eq=False, repr=False)
class Bundle(Displayed):
    """A trained model with all that is needed to use it.

    Parameters
    ----------
    config
        The resolved configuration, JSON-able.
    overrides_applied
        Field to value and origin, for every field that is not at its default.
    scaling
        Frozen scaling statistics, JSON-able.
    probe
        complex64 (M, N, N), modes first; wider complex types are cast.
    weights
        Dotted name to array, in the layout of this module.
    history
        Name of a loss to its values per epoch; NaN for a value that was not measured.
    backend
        Name of the backend that trained, such as ``"pytorch"``.
    versions
        Package name to version.
    created
        Time of creation, ISO 8601, UTC.
    start
        The `identity` of the model whose weights the training started from; empty if from random
        ones.

    Raises
    ------
    InvalidValueError
        A field breaks one of these rules.
    """

    config: dict[str, Any]
    scaling: dict[str, Any] = field(validator=_check_scaling)
    probe: npt.NDArray[np.complex64] = field(converter=_as_probe, validator=_check_probe)
    weights: dict[str, npt.NDArray[Any]] = field(converter=_plain_weights, validator=_check_weights)
    backend: str = field(validator=_check_backend)
    overrides_applied: dict[str, Any] = field(factory=dict, validator=_check_overrides)
    history: dict[str, list[float]] = Factory(dict)
    versions: dict[str, str] = Factory(dict)
    created: str = Factory(_now)
    start: dict[str, Any] = field(factory=dict, validator=_check_start)

    def _facts(self) -> dict[str, str]:
        model = self.config.get("model", {})
        modes, side = len(self.probe), self.probe.shape[-1]
        numbers = sum(values.size for values in self.weights.values())
        epochs = max(map(len, self.history.values()), default=0)
        return {
            "network": f"{model.get('architecture', '')}, {numbers} weights",
            "patterns": f"{side} x {side}, gridsize {model.get('gridsize', '')}",
            "probe": f"{modes} mode{'s' * (modes > 1)}",
            "trained": f"{epochs} epochs with {self.backend}",
            "started from": self.start_text,
            "created": self.created,
        }

    def plot(self) -> "Figure":
        """Draw the probe and the losses.

        Raises
        ------
        MissingPackageError
            matplotlib is not installed.
        """
        from ptycho_data.plots import plot_model

        return plot_model(self.probe, self.history)

    @cached_property
    def training_config(self) -> TrainingConfig:
        """The configuration `config`, parsed and checked once.

        Names of settings that older versions wrote are replaced without a warning.

        Raises
        ------
        ConfigError
            If it breaks the rules of this version.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return from_dict(TrainingConfig, self.config)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What identifies the model: the hash of its weights, and when and with what it was made.

        The hash is that of the member ``weights.safetensors``.
        """
        return {
            "weights_sha256": hashlib.sha256(encode_weights(self.weights)).hexdigest(),
            "backend": self.backend,
            "created": self.created,
        }

    @property
    def start_text(self) -> str:
        """The model that the training started from, for people; empty if there was none."""
        if not self.start:
            return ""
        name = self.start.get("name") or "a model in memory"
        return f"{name}, weights {self.start['weights_sha256'][:12]}"

    def statistic(self, name: str) -> float:
        """Return a number of `scaling`.

        Raises
        ------
        InvalidValueError
            The bundle does not state it.
        """
        if name not in self.scaling:
            raise InvalidValueError(
                f"Bundle.scaling.{name}", "in the bundle", "none", "train again"
            )
        return float(self.scaling[name])


def save_bundle(path: str | os.PathLike[str], bundle: Bundle, overwrite: bool = False) -> Path:
    """Write a bundle, atomically.

    Parameters
    ----------
    path
        A file name that ends in ``.zip``, or a folder, which gets ``wts.h5.zip`` and a manifest.
    bundle
        The content.
    overwrite
        Replace an existing file.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    MissingPackageError
        safetensors is not installed.
    InvalidValueError
        `config`, `overrides_applied` or `scaling` hold NaN or inf.
    TypeError
        They hold something that has no form in JSON.
    OutputExistsError, OSError
        As :func:`ptycho_data.atomic_path`, for a folder :func:`ptycho_data.result_set`.
    """
    target = Path(path)
    contents = _encode(bundle)
    if target.is_dir() or target.suffix != ".zip":
        size = sum(len(data) for data in contents.values())
        with result_set(target, MODEL_SET, overwrite=overwrite, size=size) as place:
            _write(place / BUNDLE_NAME, contents, bundle, overwrite=False)
        return target / BUNDLE_NAME
    return _write(target, contents, bundle, overwrite=overwrite)


def _write(target: Path, contents: Mapping[str, bytes], bundle: Bundle, *, overwrite: bool) -> Path:
    manifest = make_manifest(
        contents, backend=bundle.backend, versions=bundle.versions, created=bundle.created
    )
    with (
        atomic_path(target, overwrite=overwrite) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
    ):
        # Stored, not deflated: weights hardly shrink, and compressors differ between machines.
        archive.writestr(zip_member(MANIFEST), json_bytes(manifest, sort_keys=True))
        for name, data in contents.items():
            archive.writestr(zip_member(name), data)
    return target


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle; each member is interpreted only after its size and hash were found right.

    Parameters
    ----------
    path
        The file, the folder that holds it as ``wts.h5.zip``, or a folder of its unpacked members.

    Returns
    -------
    Bundle

    Raises
    ------
    BundleError
        As :func:`check_bundle`, or a member does not hold what it should.
    MissingPackageError
        safetensors is not installed.
    """
    with open_members(path) as members:
        manifest = read_manifest(members)

        def data(name: str) -> bytes:
            return read_member(members, manifest, name)

        def table(name: str) -> dict[str, Any]:
            return parse_json(members, name, data(name))

        config = table("config.json")
        for key in ("config", "overrides_applied"):
            if not isinstance(config.get(key), dict):
                raise BundleError(members.path, f"member 'config.json' lacks the table {key!r}")
        try:
            return Bundle(
                config=config["config"],
                overrides_applied=config["overrides_applied"],
                scaling=table("scaling.json"),
                probe=decode_probe(members, data("probe.npy")),
                weights=decode_weights(members, data("weights.safetensors")),
                history=decode_history(members, table("history.json")),
                backend=manifest["backend"],
                versions={str(k): str(v) for k, v in manifest["versions"].items()},
                created=manifest["created"],
                start=config.get("start", {}),
            )
        except BundleError:
            raise
        except ValueError as error:
            raise BundleError(members.path, str(error)) from error


def _encode(bundle: Bundle) -> dict[str, bytes]:
    tables = {"config": bundle.config, "overrides_applied": bundle.overrides_applied}
    if bundle.start:
        tables["start"] = bundle.start
    refuse_nonfinite("Bundle", {**tables, "scaling": bundle.scaling})
    return {
        "config.json": json_bytes(tables, sort_keys=True),
        "history.json": json_bytes(bundle.history, sort_keys=True),
        "probe.npy": encode_probe(bundle.probe),
        "scaling.json": json_bytes(bundle.scaling, sort_keys=True),
        "weights.safetensors": encode_weights(bundle.weights),
    }

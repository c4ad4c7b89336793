"""The checkpoint of a run of the solver: its state, and what it is a state of."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from ptycho_config.errors import InvalidValueError
from ptycho_data import Scan, jsonable
from ptycho_physics import State

from ptycho_core.checkpoints import check_whole
from ptycho_core.resuming import check_resumed, scan_fingerprint
from ptycho_core.state_files import read_state, write_state

__all__ = ["SolverCheckpoint", "solver_identity"]

_ARRAYS = {"canvas": np.complex64, "probe": np.complex64, "positions": np.float64}
_NUMBERS = ("r_factors", "batches", "misfit", "total")
#: Arrays that not every run has, in the file with this prefix.
_GROUPS = ("more", "best")
#: Settings that may change when a run is resumed.
_FREE = ("epochs", "tolerance", "patience")


def solver_identity(
    scan: Scan,
    settings: Mapping[str, Any],
    initial: NDArray[np.complex64] | None = None,
    probe: NDArray[np.complex64] | None = None,
) -> dict[str, Any]:
    """Return what a run that is resumed must have in common with its checkpoint, as plain values.

    Parameters
    ----------
    scan
        As it is solved, but with the probe of its file.
    settings
        Of the solver and of its start.
    initial
        Object to start from.
    probe
        Probe to start from, if it is not that of the scan.
    """
    kept = {name: value for name, value in settings.items() if name not in _FREE}
    return {
        **dict(jsonable(kept)),
        "scan": scan_fingerprint(scan),
        "probe": _hash(scan.probe if probe is None else probe),
        "initial object": None if initial is None else _hash(initial),
    }


def _members(arrays: Mapping[str, NDArray[Any]], group: str) -> dict[str, NDArray[Any]]:
    begin = f"{group}."
    return {name[len(begin) :]: array for name, array in arrays.items() if name.startswith(begin)}


def _hash(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


@frozen(kw_only=True)
class SolverCheckpoint:
    """The checkpoint file of a run.

    Attributes
    ----------
    path : Path
    identity : dict
        From `solver_identity`.
    """

    path: Path
    identity: Mapping[str, Any]

    def write(self, state: State) -> None:
        """Save a state in place of the one before, atomically.

        Raises
        ------
        OSError
            Naming the file, if the disk is full, among others.
        """
        about = {name: getattr(state, name) for name in _NUMBERS} | {"identity": self.identity}
        about["generator"], about["held_out"] = dict(state.generator), dict(state.held_out)
        arrays = {name: getattr(state, name) for name in _ARRAYS}
        for group in _GROUPS:
            arrays |= {f"{group}.{name}": values for name, values in getattr(state, group).items()}
        write_state(self.path, arrays, about)

    def read(self) -> State:
        """Read the state back.

        Raises
        ------
        InvalidValueError
            If the file is damaged, no checkpoint of the solver, or that of another run: it then
            names what differs.
        """
        advice = "start again with --overwrite (overwrite=True)"
        try:
            check_whole(self.path)
        except InvalidValueError as error:
            raise InvalidValueError(error.name, error.rule, error.got, advice) from None
        try:
            arrays, about = read_state(self.path)
            groups = {group: _members(arrays, group) for group in _GROUPS}
            state = State(
                **{name: arrays[name].astype(dtype) for name, dtype in _ARRAYS.items()},
                more=groups["more"],
                best=groups["best"],
                held_out={
                    name: [float(value) for value in values]
                    for name, values in dict(about.get("held_out", {})).items()
                },
                r_factors=[float(value) for value in about["r_factors"]],
                batches=int(about["batches"]),
                misfit=float(about["misfit"]),
                total=float(about["total"]),
                generator=about["generator"],
            )
            np.random.default_rng(0).bit_generator.state = state.generator
            if not (state.batches == 0 or (state.batches > 0 and state.total > 0)):
                raise ValueError
            identity = dict(about["identity"])
        except (LookupError, OSError, TypeError, ValueError, OverflowError) as error:
            rule = "a checkpoint of the solver"
            raise InvalidValueError(str(self.path), rule, "another file", advice) from error
        check_resumed(self.path, identity, self.identity)
        return state

    def remove(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)

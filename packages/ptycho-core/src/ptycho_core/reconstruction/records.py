"""The record of a reconstruction: the settings that were asked for, and what came of them."""

from collections.abc import Mapping
from typing import Any

from ptycho_config import InferenceConfig, Resolved, option_specs

from ptycho_core.reconstruction.work import Extras
from ptycho_core.record import ASKED, Stopwatch, run_record
from ptycho_core.results import InferenceResult

__all__ = ["asked_settings", "inference_record", "is_from_the_user"]

#: Figures of merit and probes that the record of a run repeats, which travels with the results.
RECORDED = (
    "r_factor",
    "r_factor_network",
    "r_over_noise",
    "stopped",
    "first_probe",
    "probe_refinement",
)

#: Origins of settings that the caller chose, not the bundle.
_FROM_THE_USER = ("override", "execution", "command line", "config file")

#: Settings that change the result; the other ones of the execution say how it is computed.
_OF_THE_RESULT = {spec.name for spec in option_specs(InferenceConfig)} - {"debug"}
_OF_THE_RESULT |= {"precision", "middle_trim", "pad_eval"}


def is_from_the_user(origin: str) -> bool:
    """Whether the caller chose a setting of this origin, not the bundle."""
    return origin in _FROM_THE_USER


def asked_settings(resolved: Resolved[InferenceConfig]) -> dict[str, Any]:
    """Return the settings that the caller chose and that change the result."""
    return {
        name: entry["value"]
        for name, entry in resolved.overrides_applied.items()
        if name in _OF_THE_RESULT and is_from_the_user(entry["origin"])
    }


def inference_record(
    result: InferenceResult,
    resolved: Resolved[InferenceConfig],
    *,
    inputs: Mapping[str, Mapping[str, Any]],
    asked: Mapping[str, Any],
    reading: Mapping[str, Any],
    scan_index: int | None,
    extras: Extras,
    clock: Stopwatch,
) -> dict[str, Any]:
    """Return the content of ``run.json``.

    Parameters
    ----------
    result, resolved
        The reconstruction with its metrics, and its settings.
    asked
        The settings that were asked for, without those at their default.
    extras
        Optional steps that were asked for.
    inputs, reading, clock
        As for `ptycho_core.record.run_record`.
    scan_index
        Which scan of its file it is.
    """
    failed = extras.refine > 0 and "r_factor_network" not in result.metrics
    return run_record(
        "infer",
        inputs=inputs,
        clock=clock,
        configuration=resolved.to_dict(),
        overrides=resolved.overrides_applied,
        reading=reading,
        cautions=result.cautions,
        **{ASKED: asked},
        scan_index=scan_index,
        backend=result.backend,
        patterns=len(result.reconstruction.indices),
        patterns_per_second=result.patterns_per_second,
        backend_timings_s=result.timings,
        refinement={
            "steps": extras.refine,
            "probe": extras.probe_after,
            "positions": extras.refine_positions,
            **({"failed": True} if failed else {}),
        },
        **{name: value for name, value in result.metrics.items() if name in RECORDED},
    )

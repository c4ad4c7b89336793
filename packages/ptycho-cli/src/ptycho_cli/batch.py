"""Commands that work on many scans in one process: their options, reports and exit code."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen
from ptycho_config.errors import PtychoError
from ptycho_config.paths import expanded
from ptycho_core.batch import NOT_REFINED, Finished, Job, Outcome, State, plan_jobs, run_jobs
from ptycho_core.exit_codes import OK, worst_code
from ptycho_core.formatting import counted, format_number, table
from ptycho_core.progress.base import Progress
from ptycho_data import BundleError, NoSpaceError, jsonable

from ptycho_cli.console import log, note, progress, say, tell
from ptycho_cli.layers import refusals_as_usage
from ptycho_cli.results import fail_if_above
from ptycho_cli.sections import section

if TYPE_CHECKING:  # imports SciPy, which refusing an existing folder does not need
    from ptycho_core.results import InferenceResult
    from ptycho_core.solving.results import SolverResult

__all__ = ["Batch", "batch_options", "finished", "json_option", "metric"]

TITLE = "Many scans"

Columns = Mapping[str, Callable[[Outcome], str]]


def metric(name: str) -> Callable[[Outcome], str]:
    """Return a function that writes a figure of merit, for a column of the table."""

    def write(outcome: Outcome) -> str:
        value = outcome.metrics.get(name)
        return "" if value is None else format_number(value)

    return write


def _rate(outcome: Outcome) -> str:
    rate = outcome.finished.patterns_per_second
    return "" if rate is None else format_number(rate)


#: Columns of reconstructions.
FIT: Columns = {"R over noise": metric("r_over_noise"), "patterns/s": _rate}

#: ``--json``, of commands that print a line for each scan.
json_option = section("Output")(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one line of JSON for each scan on standard output, and nothing else there.",
)


def finished(result: "SolverResult | InferenceResult", refine: int = 0) -> Finished:
    """Return the figures of merit of a reconstruction, and whether its refinement failed.

    The first of several processes refines, judges and tells; the others have done their share.
    """
    first = result.main_process
    failed = first and refine and "r_factor_network" not in result.metrics
    return Finished(
        metrics=result.metrics,
        patterns=len(result.reconstruction.indices),
        patterns_per_second=result.patterns_per_second,
        problem=NOT_REFINED if failed else "",
        main_process=first,
    )


def batch_options(callback: Any) -> Any:
    """Add the options of `Batch.of`; the callback receives them among its ``**more``."""
    options = (
        section(TITLE)(
            "--name",
            metavar="PATTERN",
            help="Name of each output below the output folder, of {stem}, {name}, {parent} (of the "
            "scan's file) and {number}.  [default: {stem} for several scans]",
        ),
        section(TITLE)(
            "--skip-done",
            is_flag=True,
            help="Skip scans whose results are there and were made of the same inputs with the "
            "same settings.",
        ),
        section(TITLE)(
            "--keep-going", is_flag=True, help="Go on with the next scan after one has failed."
        ),
        json_option,
    )
    for option in reversed(options):
        callback = option(callback)
    return callback


@frozen(kw_only=True)
class Batch:
    """The scans of a command.

    Attributes
    ----------
    jobs : list of Job
    single : bool
        Whether it is one scan whose output is the one named: errors and summary are those of a
        command on one scan.
    skip_done, keep_going, as_json : bool
        The options.
    """

    jobs: list[Job]
    single: bool = True
    skip_done: bool = False
    keep_going: bool = False
    as_json: bool = False

    @classmethod
    def of(
        cls, scans: Sequence[Path], output: Path, options: Mapping[str, Any], *, suffix: str = ""
    ) -> "Batch":
        """Plan the jobs; scans and names that cannot work are wrong usage.

        Parameters
        ----------
        scans, output, suffix
            As for `ptycho_core.batch.plan_jobs`.
        options
            Values of `batch_options`.
        """
        try:
            jobs = plan_jobs(scans, output, options["name"], suffix=suffix)
        except PtychoError as error:
            raise click.UsageError(str(error)) from error
        flags = {key: options[key] for key in ("skip_done", "keep_going", "as_json")}
        single = len(jobs) == 1 and jobs[0].output == expanded(output)
        return cls(jobs=jobs, single=single, **flags)

    def check(self, check: Callable[[Job], None]) -> None:
        """Check every output before any work, unless scans may be skipped or may fail."""
        if not (self.skip_done or self.keep_going):
            with self.refusals():
                for job in self.jobs:
                    try:
                        check(job)
                    except FileExistsError:
                        if not self.single:
                            tell("--skip-done skips scans whose results are there")
                        raise

    def refusals(self) -> AbstractContextManager[None]:
        """Return a context that turns refusals into usage errors, if there is one scan only."""
        return refusals_as_usage() if self.single else nullcontext()

    def progress(self, job: Job) -> Progress:
        """Progress display of one job, labelled with its place in the batch."""
        place = self._place(job)
        return lambda total, label: progress(total, f"{place}{label}")

    def tell(self, job: Job, *lines: str) -> None:
        """Print lines about one job: on standard output unless that is for JSON or a table."""
        for line in lines:
            if self.single and not self.as_json:
                say(line)
            else:
                note(f"{self._place(job)}{line}")

    def _place(self, job: Job) -> str:
        if self.single:
            return ""
        return f"{self.jobs.index(job) + 1}/{len(self.jobs)} {job.name}: "

    def run(
        self,
        work: Callable[[Job], Finished],
        *,
        done: Callable[[Job], Finished | None] | None = None,
        fail_above: float | None = None,
        columns: Columns = FIT,
    ) -> None:
        """Work on all scans, report each, print the table, and end the command.

        Parameters
        ----------
        work
            Does one job.
        done
            Returns what is there of one that is done already, for ``--skip-done``.
        fail_above
            Largest R-factor over that of photon noise that counts as good.
        columns
            What the table says of each scan, besides its state and seconds.

        Raises
        ------
        click.exceptions.Exit
            With the worst exit code, unless it is 0.
        """

        def judge(finished: Finished) -> None:
            if finished.main_process:
                fail_if_above(finished.metrics, fail_above)

        def report(outcome: Outcome, error: BaseException | None) -> None:
            if isinstance(error, click.ClickException):  # wrong usage concerns all scans
                raise error
            self._report(outcome, error)

        outcomes = run_jobs(
            self.jobs,
            work,
            skip_done=done if self.skip_done else None,
            judge=judge,
            keep_going=self.keep_going,
            fatal=(NoSpaceError, BundleError, click.ClickException),
            on_done=report,
        )
        code = worst_code(outcome.code for outcome in outcomes)
        if not self.single and all(outcome.finished.main_process for outcome in outcomes):
            self._close(outcomes, columns)
        if code != OK:
            raise click.exceptions.Exit(code)

    def _report(self, outcome: Outcome, error: BaseException | None) -> None:
        if not outcome.finished.main_process:
            return
        if self.as_json:
            say(json.dumps(jsonable(outcome.to_dict())))
        if self.single:
            if error is not None:
                raise error
        elif outcome.state in (State.FAILED, State.BELOW_QUALITY):
            log.error("%s%s", self._place(outcome.job), outcome.reason, exc_info=error)
        if outcome.state is State.SKIPPED:
            self.tell(outcome.job, f"{outcome.job.output}: {outcome.reason}")

    def _close(self, outcomes: Sequence[Outcome], columns: Columns) -> None:
        """Print the table, and what became of the rest."""
        show = note if self.as_json else say
        head = ("scan", "state", *columns, "seconds")
        rows = [_row(outcome, columns) for outcome in outcomes]
        for line in table([head, *rows], 0).splitlines():
            show(line)
        counts = [
            f"{number} {state}"
            for state in State
            if (number := sum(outcome.state is state for outcome in outcomes))
        ]
        if rest := len(self.jobs) - len(outcomes):
            counts.append(f"{rest} not begun")
        seconds = sum(outcome.seconds for outcome in outcomes)
        show(f"{counted(len(self.jobs), 'scan')}: {', '.join(counts)}, in {seconds:.1f} s")
        for outcome in outcomes:
            if outcome.state in (State.FAILED, State.BELOW_QUALITY):
                show(f"{outcome.job.name}: {outcome.reason}")
        if outcomes and outcomes[-1].state is State.INTERRUPTED:
            tell("interrupted; the same command with --skip-done goes on")
        elif rest and not self.keep_going:
            tell("ended by the first failure; --keep-going goes on to the next scan")


def _row(outcome: Outcome, columns: Columns) -> tuple[str, ...]:
    texts = (write(outcome) for write in columns.values())
    return (outcome.job.name, outcome.state.value, *texts, f"{outcome.seconds:.1f}")

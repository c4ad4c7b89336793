"""The command line of a command that is submitted: its scans, and what all of its tasks share."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from attrs import frozen
from ptycho_config.errors import PtychoError
from ptycho_core.batch import Job, plan_jobs

from ptycho_cli.model_argument import first_is_model

__all__ = ["SCANS", "Submitted", "read_command"]

#: Commands that can be submitted, and the parameter that holds their scans.
SCANS: Mapping[str, str] = {
    "infer": "scans",
    "prepare": "raw",
    "reconstruct": "scans",
    "train": "scans",
}
#: What submitting decides itself.
_OURS = ("output", "name", "skip_done", "keep_going", "as_json", "overwrite", "dry_run", "resume")


@frozen(kw_only=True)
class Submitted:
    """A command on many scans.

    Attributes
    ----------
    command : str
        Its name.
    arguments : tuple of str
        Its arguments without the scans.
    jobs : list of Job
        The scans and their outputs.
    pattern : str
        For the names of the outputs.
    """

    command: str
    arguments: tuple[str, ...]
    jobs: list[Job]
    pattern: str = "{stem}"

    def line(self, jobs: Sequence[Job]) -> list[str]:
        """Return the arguments of `ptycho` for some of the scans, one for a training."""
        scans = [str(job.scan.absolute()) for job in jobs]
        words = [self.command, *self.arguments, *scans, "-o"]
        if self.command == "train":
            (job,) = jobs
            resume = ["--resume"] if (job.output / "checkpoints").is_dir() else []
            return [*words, str(job.output), *resume]
        names = [job.name.replace("{", "{{").replace("}", "}}") for job in jobs]
        name = names[0] if len(jobs) == 1 else self.pattern  # a number is that among all scans
        each = ["--each"] if self.command == "prepare" else []
        rest = ["--name", name, *each, "--skip-done", "--keep-going", "--json"]
        return [*words, str(jobs[0].output.parent), *rest]


def read_command(
    group: click.Group, words: Sequence[str], output: Path, name: str | None
) -> Submitted:
    """Check the command line of a command, and plan its jobs.

    Parameters
    ----------
    group
        The commands.
    words
        Name of the command and its arguments.
    output
        Folder that the results go to, each below it.
    name
        Pattern for the names of the results, see `ptycho_core.batch.plan_jobs`.

    Raises
    ------
    click.UsageError
        The command cannot be submitted, does not exist, or would not accept its arguments.
    """
    command, *arguments = words
    if command not in SCANS:
        msg = f"{command} cannot be submitted; one of {', '.join(SCANS)} can"
        raise click.UsageError(msg)
    here = click.get_current_context()
    found = group.get_command(here, command)
    assert found is not None  # noqa: S101 - it is in the table
    extra = ["--each"] if command == "prepare" else []
    everything = [*arguments, *extra, "-o", str(output)]
    with found.make_context(command, everything, parent=here.parent) as ctx:
        _refuse_ours(ctx, arguments)
        given, rest = _split(found, ctx, arguments, SCANS[command])
    suffix = ".npz" if command == "prepare" else ""
    pattern = "{stem}" if name is None else name
    try:
        jobs = plan_jobs(given, output.absolute(), pattern, suffix=suffix)
    except PtychoError as error:
        raise click.UsageError(str(error)) from error
    return Submitted(command=command, arguments=tuple(rest), jobs=jobs, pattern=pattern)


def _refuse_ours(ctx: click.Context, arguments: Sequence[str]) -> None:
    words = [word.partition("=")[0] for word in arguments]
    for param in ctx.command.params:
        if param.name in _OURS and set(param.opts) & set(words):
            msg = f"{param.opts[-1]} is an option of submit, or decided by it; leave it out"
            raise click.UsageError(msg)


def _split(
    command: click.Command, ctx: click.Context, arguments: Sequence[str], name: str
) -> tuple[list[str], list[str]]:
    """Return the scans and the other arguments."""
    words = command.make_parser(ctx).parse_args(list(arguments))[0]
    # with one argument it is MODEL that click has found, and nothing for SCAN
    scans = words[name] if isinstance(words[name], tuple | list) else ()
    if command.name == "infer" and not first_is_model(ctx.params["bundle"], ctx.params[name]):
        scans = (words["bundle"], *scans)
    options = [p for p in command.params if isinstance(p, click.Option)]
    valued = {
        o for p in options if not (p.is_flag or p.count) for o in (*p.opts, *p.secondary_opts)
    }
    waiting, rest, before = list(scans), [], ""
    for word in arguments:
        if word in waiting and before not in valued:
            waiting.remove(word)
        elif word != "--":  # scans, which may begin with a dash, are passed on as whole paths
            rest.append(word)
        before = word
    return list(scans), rest

import json
import os

import pytest
from ptycho_config.errors import InvalidValueError, MissingFileError, PtychoError
from ptycho_core.batch import Finished, Job, State, plan_jobs, run_jobs
from ptycho_core.exit_codes import EXIT_CODES, BelowQualityError, code_of, worst_code
from ptycho_data import NoSpaceError, OutputExistsError


@pytest.fixture
def folder(tmp_path):
    """Some scans by name, in two folders."""
    for name in ("a/scan_10.npz", "a/scan_2.npz", "b/scan_2.npz", "b/[x].npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def outputs(jobs):
    return [job.output.name for job in jobs]


def test_one_scan_has_the_output_itself(folder):
    (job,) = plan_jobs([folder / "a/scan_2.npz"], folder / "out")
    assert job == Job(name="scan_2", inputs=(folder / "a/scan_2.npz",), output=folder / "out")
    (job,) = plan_jobs([folder / "b/[x].npz"], folder / "out")  # no pattern: the file exists
    assert job.output == folder / "out"


def test_several_have_theirs_below_it_in_natural_order(folder):
    jobs = plan_jobs([str(folder / "a/*.npz")], folder / "out")
    assert outputs(jobs) == ["scan_2", "scan_10"]
    assert {job.output.parent for job in jobs} == {folder / "out"}
    by_hand = plan_jobs([folder / "a/scan_10.npz", folder / "a/scan_2.npz"], folder / "out")
    assert by_hand == jobs
    assert outputs(plan_jobs([str(folder / "b/s*.npz")], folder / "out")) == ["scan_2"]


def test_names_by_pattern(folder):
    every = [str(folder / "**/*_*.npz")]
    named = plan_jobs(every, folder / "out", "{parent}-{stem}-{number:03d}", suffix=".npz")
    assert outputs(named) == ["a-scan_2-001.npz", "a-scan_10-002.npz", "b-scan_2-003.npz"]
    (one,) = plan_jobs([folder / "a/scan_2.npz"], folder / "out", "2026-{stem}")
    assert one.output.name == "2026-scan_2"
    (one,) = plan_jobs([folder / "a/scan_2.npz"], folder / "out", "{name}")
    assert one.output == folder / "out" / "scan_2.npz"


def test_outputs_of_one_name_and_scans_named_twice_are_refused(folder):
    with pytest.raises(InvalidValueError, match=r"'scan_2' for .*; give --name"):
        plan_jobs([folder / "a/scan_2.npz", folder / "b/scan_2.npz"], folder / "out")
    os.link(folder / "a/scan_2.npz", folder / "a/link.npz")
    for other in ("scan_2.npz", "link.npz"):
        with pytest.raises(InvalidValueError, match="must be different files"):
            plan_jobs([folder / "a/scan_2.npz", folder / "a" / other], folder / "out")


@pytest.mark.parametrize(
    "pattern",
    ["", "..", "{number}/{stem}", "{stem.__class__}", "{stem!r}", "{0}", "{other}", "{", "a\0b",
     "{number:999999999}", "{stem:d}", "{stem:{number}}", ".ptycho-{stem}"],
)  # fmt: skip
def test_patterns_that_make_no_names_are_refused(folder, pattern):
    with pytest.raises(InvalidValueError) as caught:
        plan_jobs([str(folder / "a/*.npz")], folder / "out", pattern)
    assert caught.value.name == "name"


def test_missing_scans_are_refused(folder):
    for text in ("gone.npz", "*.h5"):
        with pytest.raises(MissingFileError, match=r"no such file|matches no file"):
            plan_jobs([folder / "a/scan_2.npz", str(folder / text)], folder / "out")


def jobs_called(folder, *names):
    return [Job(name=name, inputs=(folder / name,), output=folder / name) for name in names]


def work_that(**ends):
    """Work that raises what is given for the name of a job."""

    def work(job):
        if job.name in ends:
            raise ends[job.name]
        return Finished(metrics={"r_factor": 0.1, "curve": [1, 2]}, patterns=5)

    return work


def states(outcomes):
    return [(outcome.state, outcome.code) for outcome in outcomes]


def test_a_failure_ends_the_batch_unless_it_is_to_go_on(tmp_path):
    jobs = jobs_called(tmp_path, "a", "b", "c")
    work = work_that(b=PtychoError("broken"))
    told = []
    assert states(run_jobs(jobs, work)) == [(State.DONE, 0), (State.FAILED, 1)]
    going = run_jobs(jobs, work, keep_going=True, on_done=lambda *both: told.append(both))
    assert states(going) == [(State.DONE, 0), (State.FAILED, 1), (State.DONE, 0)]
    assert [outcome for outcome, _ in told] == going
    assert [str(error) for _, error in told] == ["None", "broken", "None"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), NoSpaceError("out", "disk full")])
def test_an_interruption_and_a_full_disk_end_it(tmp_path, error):
    outcomes = run_jobs(jobs_called(tmp_path, "a", "b"), work_that(a=error), keep_going=True)
    assert len(outcomes) == 1
    assert outcomes[0].code == code_of(error)


def test_what_is_done_is_skipped(tmp_path):
    jobs = jobs_called(tmp_path, "a", "b", "c")

    def done(job):
        if job.name == "c":
            raise OutputExistsError(job.output)
        return Finished(metrics={"r_factor": 0.3}) if job.name == "a" else None

    def judge(finished):
        if finished.metrics["r_factor"] > 0.2:
            raise BelowQualityError("R-factor", "at most 0.2", str(finished.metrics["r_factor"]))

    outcomes = run_jobs(jobs, work_that(), skip_done=done)
    assert states(outcomes) == [(State.SKIPPED, 0), (State.DONE, 0), (State.FAILED, 3)]
    judged = run_jobs(jobs[:2], work_that(), skip_done=done, judge=judge)
    assert states(judged) == [(State.BELOW_QUALITY, 4), (State.DONE, 0)]


def test_quality_does_not_end_it(tmp_path):
    def judge(finished):
        raise BelowQualityError("R-factor", "at most 0", str(finished.metrics["r_factor"]))

    outcomes = run_jobs(jobs_called(tmp_path, "a", "b"), work_that(), judge=judge)
    assert states(outcomes) == [(State.BELOW_QUALITY, 4)] * 2
    assert outcomes[0].reason == "R-factor must be at most 0, got 0.1"


def test_outcomes_are_small_and_plain(tmp_path):
    (outcome,) = run_jobs(jobs_called(tmp_path, "a"), work_that())
    line = json.loads(json.dumps(outcome.to_dict()))
    assert line["metrics"] == {"r_factor": 0.1}
    assert (line["state"], line["code"], line["patterns"]) == ("done", 0, 5)


def test_defects_are_told_as_such(tmp_path):
    (outcome,) = run_jobs(jobs_called(tmp_path, "a"), work_that(a=KeyError("x")))
    assert outcome.reason == "internal error: KeyError: 'x'"


def test_the_code_of_a_batch_is_its_worst():
    order = [130, 2, 1, 3, 4, 0]
    assert sorted(EXIT_CODES) == sorted(order)
    for at, code in enumerate(order):
        assert worst_code(order[at:][::-1]) == code
    assert worst_code([]) == 0

import os
import signal
import subprocess
import sys
import time
import warnings

import click
import numpy as np
import pytest
from ptycho_cli import __version__
from ptycho_cli.commands import env as env_command
from ptycho_cli.main import COMMANDS, cli

HEAVY = ("numpy", "scipy", "h5py", "matplotlib", "torch", "lightning", "tensorflow", "PIL")


def python(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *args]
    return subprocess.run(  # noqa: S603 - this interpreter, our own arguments
        command, capture_output=True, text=True, env={**os.environ, **env}, check=False
    )


def loaded_after(*args: str) -> set[str]:
    code = (
        f"import sys\nfrom ptycho_cli.main import main\nassert main({list(args)!r}) == 0\n"
        f"print('loaded', *[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = python("-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.together
@pytest.mark.parametrize("args", [("--help",), ("--version",)])
def test_help_and_version_load_nothing_heavy(args):
    assert loaded_after(*args) == set()


@pytest.mark.together
def test_help_of_train_loads_no_framework():
    assert not loaded_after("train", "--help") & {"torch", "lightning", "tensorflow", "matplotlib"}


@pytest.mark.slow  # a bound on wall time is not for the daily run
def test_help_is_fast():
    # The best of several, less the interpreter's own start: machines are shared and slow.
    def best(*args: str) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            python(*args)
            times.append(time.perf_counter() - start)
        return min(times)

    assert best("-m", "ptycho_cli", "--help") - best("-c", "pass") < 0.3


def test_help_lists_every_command(ptycho):
    shown = ptycho("--help")
    assert shown.code == 0
    for name, (_, text) in COMMANDS.items():
        assert name in shown.out
        assert text.split()[0] in shown.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(ptycho, name):
    shown = ptycho(name, "--help")
    assert shown.code == 0
    assert shown.out.startswith(f"Usage: ptycho {name}")


@pytest.mark.parametrize("name", ["simulate", "train", "infer", "reconstruct", ("config", "show")])
def test_examples_stand_on_lines_of_their_own(ptycho, name):
    words = [name] if isinstance(name, str) else list(name)
    shown = ptycho(*words, "--help").out
    assert "\\b" not in shown
    assert "\b" not in shown
    lines = [line for line in shown.splitlines() if line.startswith("  ptycho ")]
    assert lines
    assert all(line.startswith(f"  ptycho {' '.join(words)} ") for line in lines)


@pytest.mark.parametrize("name", COMMANDS)
def test_basic_options_exist(name):
    command = cli.get_command(click.Context(cli), name)
    basic = getattr(command, "basic", frozenset())
    assert basic <= {param.name for param in command.params}
    if basic:
        required = {p.name for p in command.params if p.required and isinstance(p, click.Option)}
        assert required <= basic
        assert len(basic) <= 20


def test_defaults_in_words_have_one_pair_of_brackets(ptycho):
    text = " ".join(ptycho("simulate", "--help").out.split())
    assert "[default: 3 N; 8<=x<=65536]" in text
    assert "RANGE" not in text


def test_version(ptycho):
    assert ptycho("--version").out == f"ptycho, version {__version__}\n"


def test_no_arguments_show_help_as_wrong_usage(ptycho):
    shown = ptycho()
    assert shown.code == 2
    assert "Commands:" in shown.err


def test_misspelt_command_gets_a_suggestion(ptycho):
    shown = ptycho("recontruct")
    assert shown.code == 2
    assert shown.fails_with("'recontruct'", "'reconstruct'")


def test_unknown_option_is_wrong_usage(ptycho):
    shown = ptycho("env", "--nonsense")
    assert shown.code == 2
    assert shown.fails_with("--nonsense", "ptycho env --help")


def test_a_defect_is_one_line_and_debug_shows_where(ptycho, monkeypatch):
    monkeypatch.setattr(env_command, "collect", lambda: {}["versions"])
    shown = ptycho("env")
    assert shown.code == 1
    assert shown.err.startswith("error: internal error: KeyError")
    assert "Traceback" not in shown.err
    for args in (("--debug", "env"), ("env", "--debug")):
        assert "Traceback" in ptycho(*args).err


def test_keyboard_interrupt_is_130(ptycho, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(env_command, "collect", interrupt)
    shown = ptycho("env")
    assert shown.code == 130
    assert shown.err.strip() == "interrupted"


@pytest.mark.skipif(os.name == "nt", reason="no signals for a child on Windows")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_signals_end_the_process_with_130(scan_file, tmp_path, name):
    before = signal.getsignal(signal.SIGINT)
    code = (
        "import os, signal, sys\n"
        # a process started in the background of a script inherits that it ignores Ctrl-C
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from ptycho_cli.main import main\n"
        "from ptycho_core.solving import run\n"
        f"run.read_scan = lambda *a, **k: os.kill(os.getpid(), signal.{name})\n"
        f"sys.exit(main(['reconstruct', {str(scan_file)!r}, '-o', {str(tmp_path / 'r')!r}]))"
    )
    done = python("-c", code)
    assert done.returncode == 130
    assert done.stderr.strip() == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM ends the process at once on Windows")
def test_who_takes_sigterm_over_ends_the_work_himself(ptycho, monkeypatch):
    # As Lightning does while it trains: its own handler, then the one it found.
    def work():
        found = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, found_and_called := lambda *args: found(*args))
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is found_and_called
        return {}

    monkeypatch.setattr(env_command, "collect", work)
    assert ptycho("env", "--json").code == 0
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_handlers_of_the_calling_program_stay(ptycho, monkeypatch):
    def handler(*_):
        pass

    monkeypatch.setattr(env_command, "collect", lambda: {"mine": str(signal.getsignal(15))})
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        assert str(handler) in ptycho("env", "--json").out
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_warnings_are_one_line(ptycho, edited, scan_file):
    with np.load(scan_file) as file:
        diffraction = file["diffraction"]
    diffraction[3] = 0
    path = edited("dark.npz", diffraction=diffraction)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as outside of tests, where they are errors
        done = ptycho("reconstruct", path, "-o", path.parent / "r", "--epochs", "1")
    assert done.code == 0
    lines = [line for line in done.err.splitlines() if "patterns have no photons" in line]
    assert len(lines) == 1
    assert lines[0].startswith("warning: ")
    done = ptycho("inspect", path)
    assert done.code == 0
    assert "1 (3) of 60 patterns have no photons" in done.out


def test_no_color(monkeypatch, ptycho):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in ptycho("nothing").err


def test_shell_completion_offers_commands_and_values():
    done = python(
        "-m",
        "ptycho_cli",
        _PTYCHO_COMPLETE="bash_complete",
        COMP_WORDS="ptycho recon",
        COMP_CWORD="1",
    )
    assert "reconstruct" in done.stdout


def test_commands_return_nothing():
    # With standalone_mode off click hands return values on: they would become exit codes.
    assert cli.main(["env", "--json"], standalone_mode=False) is None

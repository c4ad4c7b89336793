"""Files beside the data that are called like modules are not executed."""

import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ("attrs", "attr", "click", "h5py", "json", "logging", "numpy", "ptycho_data", "random",
         "scipy", "tomllib", "typing", "yaml")  # fmt: skip
SCRIPT = Path(sys.executable).with_name("ptycho")


def run(words, folder):
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.fixture
def trapped(tmp_path):
    """A folder in which every import leaves a file, and says so."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in NAMES:
        text = f"open({str(tmp_path / 'executed')!r}, 'a').write({name!r})\nraise SystemExit(9)\n"
        (folder / f"{name}.py").write_text(text)
    (folder / "c.yaml").write_text("N: 64\n")
    return folder


@pytest.mark.parametrize(
    "start",
    [("-m", "ptycho_cli"), ("-Bm", "ptycho_cli"), ("-m", "ptycho_cli.main"), (str(SCRIPT),)],
    ids=" ".join,
)
def test_modules_beside_the_data_are_not_executed(trapped, start):
    if start == (str(SCRIPT),) and not SCRIPT.is_file():
        pytest.fail(f"no command at {SCRIPT}")
    words = [sys.executable, *start, "config", "show", "--config", "c.yaml"]
    done = run(words, trapped)
    assert not (trapped.parent / "executed").exists(), done.stderr
    assert done.returncode == 0, done.stderr
    assert "gridsize" in done.stdout


def test_programs_of_others_keep_their_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    (tmp_path / "mine" / "run.py").write_text("import ptycho_cli, helper\nprint(helper.VALUE)\n")
    (tmp_path / "helper.py").write_text("VALUE = 'found'\n")
    done = run([sys.executable, "-m", "mine.run", "-m", "ptycho_cli"], tmp_path)
    assert done.stdout == "found\n", done.stderr

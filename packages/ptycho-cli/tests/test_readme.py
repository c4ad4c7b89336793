import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_readme_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})  # noqa: S102 - our own example


def test_every_command_of_the_readme_exists():
    from ptycho_cli.main import COMMANDS

    named = re.findall(r"^ *ptycho ([a-z]+)", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert named
    assert set(named) <= set(COMMANDS)

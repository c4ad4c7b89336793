import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_examples_run(capsys):
    assert BLOCKS
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"README.md block {number}", "exec"), {})  # noqa: S102
    assert "universal (ptycho-pretrained" in capsys.readouterr().out

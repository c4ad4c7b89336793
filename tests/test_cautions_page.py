"""The page about cautions names every one."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def codes(source: Path) -> set[str]:
    """Codes of the cautions that a module makes."""
    return {
        keyword.value.value
        for node in ast.walk(ast.parse(source.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Caution"
        for keyword in node.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    }


def test_every_caution_is_on_the_page() -> None:
    made = {code for source in ROOT.glob("packages/*/src/**/*.py") for code in codes(source)}
    page = (ROOT / "docs" / "cautions.md").read_text("utf-8")
    assert {"outlier", "hot-pixels", "poor-fit"} <= made
    assert {
        code for code in made if f"| `{code}`" not in page and f", `{code}`" not in page
    } == set()

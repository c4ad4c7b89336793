"""docs/configuration.md is written by the code, and up to date."""

from ptycho_cli.commands.config import reference_text

COMMAND = "ptycho config reference -o docs/configuration.md --overwrite"


def test_reference_page_is_current(root):
    page = (root / "docs" / "configuration.md").read_text("utf-8")
    assert page == reference_text(), f"docs/configuration.md is stale; write it anew: {COMMAND}"

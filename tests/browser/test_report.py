"""Reports as people see them, in Chromium: from a file, without a server."""

import pytest
from ptycho_core import solve_scan
from ptycho_core.report.comparing import compare_runs
from ptycho_core.testing import simulated_scan

#: Widths of all pictures; elements that reach beyond the window, but for those that scroll.
DECODED = """() => Promise.all([...document.querySelectorAll("svg image")].map(async picture => {
  const image = new Image();
  image.src = picture.href.baseVal;
  await image.decode();
  return image.naturalWidth;
}))"""
BEYOND = """width => [...document.querySelectorAll("main *")]
  .filter(e => !e.closest("svg") && !e.closest(".wide"))
  .filter(e => e.getBoundingClientRect().right > width + 1)
  .map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of a report, and of a page that compares two runs."""
    place = tmp_path_factory.mktemp("runs")
    scan = simulated_scan(30)
    settings = {"epochs": 2, "progress": False}
    solve_scan(scan, output=place / "a", update_probe=True, uncertainty=True, **settings)
    solve_scan(scan, output=place / "b", **settings)
    compare_runs([place / "a", place / "b"], place / "compare.html")
    return place


@pytest.mark.parametrize("page", ["a/report.html", "compare.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_a_report_is_whole_and_fits(pages, look, page, width, scheme):
    window = look((pages / page).as_uri(), width, scheme=scheme)
    widths = window.evaluate(DECODED)
    assert len(widths) >= 8
    assert min(widths) > 0
    for details in window.locator("details").all():
        details.locator("summary").click()
    assert window.evaluate(BEYOND, width) == []
    assert window.evaluate("document.documentElement.scrollWidth") == width
    assert window.requested == [(pages / page).as_uri()]


def test_blinking_shows_one_run_after_the_other(pages, look):
    window = look((pages / "compare.html").as_uri())
    shown = (
        "() => [...document.querySelectorAll('[data-run]')].map(i => i.getClientRects().length > 0)"
    )
    before = window.evaluate(shown)
    turn = window.get_by_role("button", name="A / B")
    turn.click()
    first = window.evaluate(shown)
    turn.click()
    second = window.evaluate(shown)
    assert sum(first) == sum(second) == 1
    assert first != second
    window.get_by_role("button", name="All").click()
    assert window.evaluate(shown) == before

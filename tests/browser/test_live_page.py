"""The live page as people see it, in Chromium."""

import numpy as np
import pytest
from PIL import Image
from ptycho_core.live_page import live_page, parse_address

PHASE = "canvas[aria-label=Phase]"
COLOURED = """canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let painted = 0;
  for (let k = 3; k < pixels.length; k += 4) painted += pixels[k] > 0;
  return painted / (canvas.width * canvas.height);
}"""
CONTENT = """canvas => canvas.toDataURL()"""


def painted(window, selector=PHASE):
    """The share of a canvas that has a colour."""
    return window.locator(selector).evaluate(COLOURED)


def ready(window):
    """Wait for pictures and figures."""
    window.wait_for_function(
        "() => object.layers.length && patterns.measured && state.course.length"
    )


def shown(window, selector):
    return window.locator(selector).inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_everything_is_there_and_fits(growing_run, look, tmp_path, width, scheme):
    window = look(growing_run.url, width, scheme=scheme)
    ready(window)
    for name in ("Phase", "Amplitude", "Coverage", "Measured", "Model"):
        assert painted(window, f"canvas[aria-label={name}]") > 0.1, name
    assert window.evaluate("document.documentElement.scrollWidth") == width
    overflowing = window.evaluate(
        """width => [...document.querySelectorAll("main *, header *")]
          .filter(e => !e.closest("svg") && e.getBoundingClientRect().right > width + 1)
          .map(e => e.outerHTML.slice(0, 80))""",
        width,
    )
    assert overflowing == []
    assert shown(window, "#state") == "running"
    assert "fly <b>scan</b> 7" in shown(window, "#title")  # as text
    assert "<script>" in shown(window, "#cautions")
    assert window.locator("#values .value").count() == 3
    assert window.locator(".chart .curve").count() == 1
    picture = tmp_path / "page.png"
    window.screenshot(path=picture, full_page=True)
    ground = np.asarray(Image.open(picture).convert("L"))[2, 2]
    assert (ground > 200) == (scheme == "light")


def test_who_looks_before_the_run_begins_sees_it_begin(look):
    with live_page(parse_address("0")) as page:
        window = look(page.url)
        window.wait_for_function("() => document.getElementById('state').innerText === 'waiting'")
        page.begin("stream", scan="scan 7")
        window.wait_for_function("() => state.run")
        assert "scan 7" in shown(window, "#title")


def test_figures_and_pictures_go_on(growing_run, look):
    window = look(growing_run.url)
    ready(window)
    before = shown(window, "#done"), painted(window), window.locator(PHASE).evaluate(CONTENT)
    points = window.evaluate("state.points.length")
    window.wait_for_function(
        "before => state.points.length > before + 8 && state.shown > 9", arg=points
    )
    assert shown(window, "#done") != before[0]
    assert window.locator(PHASE).evaluate(CONTENT) != before[2]
    assert "%" in window.title()


def test_nothing_is_loaded_from_elsewhere(growing_run, look):
    window = look(growing_run.url)
    ready(window)
    assert window.requested
    assert all(url.startswith(growing_run.url) for url in window.requested)


def test_pictures_are_moved_together_and_back(growing_run, look):
    window = look(growing_run.url)
    ready(window)
    whole = window.evaluate("object.view.part.width")
    window.get_by_label("Zoom into the object").click()
    assert window.evaluate("object.view.part.width") == pytest.approx(whole / 1.5, rel=0.05)
    canvas = window.locator(PHASE)
    canvas.focus()
    window.keyboard.press("+")
    left = window.evaluate("object.view.part.left")
    box = canvas.bounding_box()
    window.mouse.move(box["x"] + 100, box["y"] + 100)
    assert (
        " at " in window.locator("figure:has(canvas[aria-label=Amplitude]) .reading").inner_text()
    )
    window.mouse.down()
    window.mouse.move(box["x"] + 60, box["y"] + 100, steps=4)
    window.mouse.up()
    assert window.evaluate("object.view.part.left") > left
    window.get_by_label("Show all of the object").click()
    assert window.evaluate("object.view.fits")


def test_the_wheel_scrolls_the_page_until_a_picture_is_chosen(growing_run, look):
    window = look(growing_run.url)
    ready(window)
    box = window.locator(PHASE).bounding_box()
    window.mouse.move(box["x"] + 50, box["y"] + 50)
    window.mouse.wheel(0, 200)
    window.wait_for_function("() => scrollY > 0")
    assert window.evaluate("object.view.fits")
    window.evaluate("scrollTo(0, 0)")
    window.locator(PHASE).focus()
    box = window.locator(PHASE).bounding_box()
    window.mouse.move(box["x"] + 50, box["y"] + 50)
    window.mouse.wheel(0, -200)
    window.wait_for_function("() => !object.view.fits")


def test_the_ramp_comes_back_on_request(growing_run, look):
    window = look(growing_run.url)
    ready(window)
    spread = "() => { const v = object.layers[0].values.phase.filter(x => x === x); "
    spread += "return Math.max(...v) - Math.min(...v); }"
    assert window.evaluate(spread) < 2
    window.get_by_label("Ramp removed").uncheck()
    assert window.evaluate(spread) > 6  # it goes round
    assert window.locator("select[aria-label='Colours of Phase']").input_value() == "twilight"


def test_colours_are_chosen(growing_run, look):
    window = look(growing_run.url)
    ready(window)
    low = window.get_by_label("Lower end of the colours of Amplitude")
    low.fill("-5")
    low.press("Enter")
    assert window.evaluate("object.pictures[1].range[0]") == -5
    before = window.locator("canvas[aria-label=Amplitude]").evaluate(CONTENT)
    window.get_by_label("Colours of Amplitude", exact=True).select_option("magma")
    assert window.locator("canvas[aria-label=Amplitude]").evaluate(CONTENT) != before
    window.locator("figure:has(canvas[aria-label=Amplitude])").get_by_text("Auto").click()
    assert window.evaluate("object.pictures[1].range[0]") > 0


def test_downloads(growing_run, look, tmp_path):
    window = look(growing_run.url)
    ready(window)
    for click, name in (
        (window.get_by_label("Download Phase as PNG"), "fly_b_scan_b_7-phase.png"),
        (window.get_by_label("Download Model as PNG"), "fly_b_scan_b_7-model.png"),
        (window.locator("#npz"), "fly_b_scan_b_7.npz"),
        (window.locator("#product"), "fly_b_scan_b_7.h5"),
    ):
        with window.expect_download() as download:
            click.click()
        assert download.value.suggested_filename == name
        path = tmp_path / name
        download.value.save_as(path)
        assert path.stat().st_size > 1000
        if path.suffix == ".png":
            image = np.asarray(Image.open(path).convert("RGB"))
            assert min(image.shape[:2]) > 300
            assert len(np.unique(image.reshape(-1, 3), axis=0)) > 20


def test_what_was_shown_stays_when_the_run_has_ended(growing_run, look):
    window = look(growing_run.url)
    ready(window)
    growing_run.end("finished", "R over noise 1.04")
    window.wait_for_function("() => state.end")
    assert shown(window, "#state") == "finished"
    assert "R over noise 1.04" in shown(window, "#ending")
    growing_run.close()
    window.wait_for_function("() => !document.getElementById('npz').hasAttribute('href')")
    assert painted(window) > 0.1
    with window.expect_download():
        window.get_by_label("Download Phase as PNG").click()

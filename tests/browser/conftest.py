"""A browser, and pages of runs to look at. Run by `nox -s browser`."""

import os
import shutil
import threading
import time

import numpy as np
import pytest
from attrs import evolve
from playwright.sync_api import sync_playwright
from ptycho_core.live_page import Snapshot, live_page, parse_address
from ptycho_core.testing import simulated_scan
from ptycho_core.testing.live_page import small_snapshot

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    """Chromium: that of CHROMIUM in the environment, or of the system."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "no Chromium found: install it, or name it by CHROMIUM"
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=path, args=options)
        yield opened
        opened.close()


@pytest.fixture
def look(browser):
    """Open an address in a window of some width, light or dark; what goes wrong there is kept."""
    contexts, problems = [], []

    def open_(url, width=1280, height=900, scheme="light", **more):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, **more
        )
        contexts.append(context)
        context.set_default_timeout(120_000)
        window = context.new_page()
        window.on("console", lambda message: problems.append(f"{message.type}: {message.text}"))
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.requested = []
        window.on("request", lambda request: window.requested.append(request.url))
        window.goto(url)
        return window

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def growing_run():
    """A run that goes on while somebody looks: an object that grows."""
    full, scan = small_snapshot((160, 200)), simulated_scan(12)
    stop = threading.Event()

    def run(page):
        page.begin("stream", scan="fly <b>scan</b> 7", method="network", patterns=1200)
        page.caution("beam: the centre is 3 pixels off; check --center <script>alert(1)</script>")
        rng, number = np.random.default_rng(0), 0
        while not stop.wait(0.2):
            number += 1
            rec = full.reconstruction
            coverage = rec.coverage.copy()
            coverage[min(30 + 8 * number, 155) :] = 0
            coverage[:, number % coverage.shape[1]] = 0  # no picture is like the one before
            counts = scan.counts(np.array([number % scan.n]))[0]
            page.show(
                Snapshot(
                    reconstruction=evolve(rec, coverage=coverage),
                    measured=counts,
                    modelled=counts + 1.0,
                    pattern=f"pattern {number}",
                )
            )
            page.progress(number, 400, "epochs")
            page.point("epoch", number, r_factor=0.05 + 0.4 / number)
            page.now(rate=300 + 20 * rng.normal(), latency=0.1, queue=number % 3)

    with live_page(parse_address("0")) as page:
        worker = threading.Thread(target=run, args=(page,))
        worker.start()
        try:
            time.sleep(0.5)
            yield page
        finally:
            stop.set()
            worker.join()

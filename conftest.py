"""Settings of every test in the workspace."""

import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

# Time limits per example measure the machine, not the code: test machines are small and shared.
settings.register_profile("workspace", parent=settings(), deadline=None)
settings.load_profile("workspace")

# A script that starts the tests in its background makes them ignore Ctrl-C, which some send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates in what a test printed: processes of tests cannot exchange them."""
    report = yield
    report.sections = [
        (name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections
    ]
    return report

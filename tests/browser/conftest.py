"""Debian's headless Chromium, driven by Playwright. A fault in a page fails the test that opened it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harness.results.bundle import SAMPLE, read_bundle
from reports.claims.assessment import assess
from reports.output.render import write_report

CHROMIUM = shutil.which("chromium")
START_MS = 120_000
"""Milliseconds within which Chromium must start; a busy two-core machine is slow."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    assert CHROMIUM, "the browser tests need chromium: on Debian, apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=START_MS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report page of the sweep that ships with the package."""
    return write_report(assess(read_bundle(SAMPLE)), tmp_path_factory.mktemp("report"))


@pytest.fixture
def page(chromium: Browser, report: Path) -> Iterator[Page]:
    """Open the report. Afterwards, fail on any console message and on any request other than the page's own."""
    context = chromium.new_context()
    context.set_default_timeout(START_MS)
    opened = context.new_page()
    seen: list[str] = []
    opened.on("console", lambda message: seen.append(message.text))
    opened.on("pageerror", lambda error: seen.append(str(error)))
    opened.on("request", lambda request: seen.append(request.url) if request.url != report.as_uri() else None)
    opened.goto(report.as_uri())
    yield opened
    assert seen == []
    context.close()

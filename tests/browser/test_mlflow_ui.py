"""MLflow's own UI over a sweep: its description, its trials, a chart, and the report."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox
from harness.tracking.results import list_sweeps
from harness.tracking.sample import Sample
from tests.support.processes import end_family, free_port
from tests.support.waiting import answers, wait_until

pytestmark = pytest.mark.browser

SAMPLE = Sample(trials=4, epochs=3)
TIMEOUT_MS = 60_000


@dataclass(frozen=True)
class Ui:
    """A running UI and the sweep in it."""

    url: str
    run_id: str


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    shutil.copy(empty_store, folder / "mlflow.db")
    sweep = SweepFolder(folder / "runs" / SAMPLE.name)
    sweep.make()
    outbox = Outbox(sweep.outbox)
    for event in SAMPLE.events():
        outbox.append(event)
    for command in (["sync"], ["report"]):
        subprocess.run([sys.executable, "-m", "harness", *command], cwd=folder, check=True, capture_output=True)
    run_id = str(list_sweeps(f"sqlite:///{folder}/mlflow.db")["run_id"][0])
    port = free_port()
    command = [sys.executable, "-m", "harness", "ui", "--port", str(port)]
    with (folder / "ui.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)

    def answered() -> bool:
        assert process.poll() is None, "the UI has ended"
        return answers(f"http://127.0.0.1:{port}/health")

    try:
        wait_until(answered, "MLflow's UI")
        yield Ui(f"http://127.0.0.1:{port}", run_id)
    finally:
        end_family(process)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(TIMEOUT_MS)
    yield context.new_page()
    context.close()


def open_sweep(ui: Ui, page: Page) -> None:
    page.goto(f"{ui.url}/#/runs/{ui.run_id}")
    page.get_by_text("An **invented** sweep.").first.wait_for()


def test_the_sweep_tells_of_itself_and_leads_to_its_report_which_opens_there(ui: Ui, page: Page) -> None:
    open_sweep(ui, page)
    place = page.get_by_role("link", name="The report").get_attribute("href")
    page.goto(f"{ui.url}/{place}")
    report = page.frame_locator("iframe")
    report.get_by_role("heading", name="Verdicts").wait_for()
    assert report.locator("h1").inner_text() == SAMPLE.name


def test_the_trials_are_a_table_with_what_tells_them_apart_and_what_came_out(ui: Ui, page: Page) -> None:
    open_sweep(ui, page)
    place = page.get_by_role("link", name="The trials").get_attribute("href")
    page.goto(f"{ui.url}/{place}")
    page.get_by_role("link", name=SAMPLE.name).wait_for()
    page.locator(".ag-row button").first.click()  # they are folded below their sweep
    page.get_by_role("link", name="seed").first.wait_for()
    shown = page.locator("[role=columnheader]").all_inner_texts()
    for column in ("model.depth", "model.shortcut", "final/test_error_pct"):
        assert any(column in text for text in shown), shown
    assert page.get_by_role("link", name="seed").count() == SAMPLE.trials
    assert page.get_by_text("Judges", exact=True).count() == 0, "the UI shows what language models need"


def test_the_trials_stand_below_their_sweep_by_name_and_their_metrics_are_charts(ui: Ui, page: Page) -> None:
    open_sweep(ui, page)
    children = page.get_by_role("link", name="seed")
    children.first.wait_for()
    assert all(" seed " in name for name in children.all_inner_texts())
    children.first.click()
    page.get_by_role("tab", name="Model metrics").click()
    page.locator(".js-plotly-plot").first.wait_for()

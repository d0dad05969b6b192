"""The written report: the same bytes everywhere, one safe page, whole files."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StorageError
from harness.tracking.results import SweepResults
from reports.claims.assessment import assess
from reports.output.render import Settings, report_files, write_report
from reports.testing.synthetic import synthetic_sweep

ROOT = Path(__file__).parents[4]
FILES = [
    "cells.csv",
    "claims.json",
    *(
        f"figures/{name}.{ending}"
        for name in ("activity-over-time", "error-by-cost", "error-by-depth", "speed-by-depth", "training-curves")
        for ending in ("csv", "svg")
    ),
    "index.html",
    "report.md",
    "trials.csv",
]
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Elements with their attributes, and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def whole() -> dict[str, str]:
    return report_files(assess(synthetic_sweep()))


@pytest.fixture(scope="module")
def page(whole: dict[str, str]) -> Page:
    return Page(whole["index.html"])


@pytest.fixture(scope="module")
def evil() -> dict[str, str]:
    return report_files(assess(evil_sweep()))


def written(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_a_report_is_a_page_markdown_tables_claims_and_figures(tmp_path: Path) -> None:
    found = write_report(assess(synthetic_sweep()), tmp_path / "deep" / "out")
    assert found == tmp_path / "deep" / "out" / "index.html"
    assert written(tmp_path / "deep" / "out") == FILES


def test_the_same_runs_give_the_same_bytes_whatever_the_locale_zone_hash_seed_folder_or_matplotlibrc(
    tmp_path: Path,
) -> None:
    script = (
        "import sys; from pathlib import Path; from reports.claims.assessment import assess;"
        "from reports.output.render import write_report; from reports.testing.synthetic import synthetic_sweep;"
        "write_report(assess(synthetic_sweep()), Path(sys.argv[1]))"
    )
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "matplotlibrc").write_text("font.size: 20\nlines.linewidth: 9\nsvg.fonttype: path\n")
    places = {
        "one": {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "1"},
        "odd": {"LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "77", "MPLBACKEND": "pdf"},
    }
    for name, settings in places.items():
        (tmp_path / name).mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
        command = [sys.executable, "-c", script, str(tmp_path / name / "out")]
        subprocess.run(command, env=environment, cwd=tmp_path / name, check=True)
    assert written(tmp_path / "one" / "out") == FILES
    for name in FILES:
        assert (tmp_path / "one" / "out" / name).read_bytes() == (tmp_path / "odd" / "out" / name).read_bytes(), name


def test_the_page_asks_for_nothing_from_outside(page: Page) -> None:
    assert page.all("script") == [{}]  # its own, inline
    assert not page.all("link") + page.all("img") + page.all("iframe") + page.all("object")
    links = [value for _, attributes in page.elements for key, value in attributes.items() if key in ("href", "src")]
    assert links
    assert all((link or "").startswith("#") for link in links)
    assert "url(http" not in "".join(page.texts["style"])


def csp_digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_page_forbids_everything_but_its_own_style_sheet_and_script(page: Page) -> None:
    policy = next(meta["content"] or "" for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    assert f"style-src {csp_digest(''.join(page.texts['style']))};" in policy
    assert f"script-src {csp_digest(''.join(page.texts['script']))};" in policy
    assert "unsafe" not in policy
    assert not [attributes for _, attributes in page.elements if "style" in attributes]
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]


def test_every_table_has_a_caption_and_scoped_headings(page: Page) -> None:
    assert len(page.all("table")) == len(page.all("caption")) > 5
    assert all(heading.get("scope") in ("row", "col", "colgroup") for heading in page.all("th"))


def test_every_identifier_of_the_page_is_unique_and_every_link_leads_to_one(page: Page) -> None:
    found = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(found) == len(set(found))
    wanted = {(attributes["href"] or "")[1:] for _, attributes in page.elements if "href" in attributes}
    assert wanted <= set(found)


def evil_sweep() -> SweepResults:
    results = synthetic_sweep(
        shortcuts=("plain", EVIL),
        outcomes={("plain", 8, 0): "failed"},
        reasons={("plain", 8, 0): f"| {EVIL}\n`x` =1"},
        name=EVIL,
    )
    trials = results.trials.assign(**{"device.name": EVIL, "version.torch": EVIL, "recipe.schedule": EVIL})
    environment = {"python": EVIL, EVIL: EVIL}
    return dataclasses.replace(
        results, trials=trials, environment=environment, description=EVIL, workload_text=f"name: {EVIL}"
    )


def test_a_name_that_is_a_script_is_shown_as_text_everywhere(evil: dict[str, str]) -> None:
    files, page = evil, Page(evil["index.html"])
    assert page.all("script") == [{}]
    assert EVIL not in "".join(page.texts["script"])
    assert EVIL in "".join(page.texts["h1"])
    assert EVIL in files["trials.csv"]
    for name in files:
        if name != "index.html" and not name.endswith((".csv", ".json")):
            assert "<script" not in files[name], name
    assert "&#60;script&#62;alert(1)&#60;/script&#62;" in files["report.md"]


def test_a_bar_or_a_line_break_in_a_reason_breaks_no_markdown_table(evil: dict[str, str]) -> None:
    lines = evil["report.md"].splitlines()
    line = next(line for line in lines if line.startswith("| plain-8 seed 0 | failed"))
    assert "&#124; &#60;script&#62;alert(1)&#60;/script&#62; &#96;x&#96; =1" in line


def columns(line: str) -> int:
    return line.count("|") - 1


def test_every_markdown_table_has_as_many_cells_in_each_row_as_in_its_head(evil: dict[str, str]) -> None:
    lines = evil["report.md"].splitlines()
    for above, below in pairwise(lines):
        if above.startswith("|") and below.startswith("|"):
            assert columns(above) == columns(below)


def test_each_cells_numbers_lead_to_its_trials_and_each_trial_names_its_run_whole(page: Page) -> None:
    rows = {attributes["id"]: attributes for attributes in page.all("tr") if "id" in attributes}
    assert len(rows) == 12  # the cells: 4 depths, 3 shortcuts
    links = [attributes["href"] or "" for attributes in page.all("a") if "trials-of" in (attributes["href"] or "")]
    assert len(links) == 12 + 24  # each in the table of cells, and twice in that of errors
    assert {link[1:] for link in links} == set(rows)
    runs = synthetic_sweep().trials["run_id"]
    assert all(run in page.texts["td"] for run in runs)


def test_where_the_tracking_server_is_told_each_run_is_a_link_to_its_page_there() -> None:
    files = report_files(assess(synthetic_sweep()), Settings(mlflow_url="https://mlflow.example/"))
    run = synthetic_sweep().trials["run_id"][0]
    assert f'<a href="https://mlflow.example/#/runs/{run}">{run}</a>' in files["index.html"]
    assert f"[{run}](<https://mlflow.example/#/runs/{run}>)" in files["report.md"]


def test_each_figure_has_its_numbers_beside_it(whole: dict[str, str]) -> None:
    lines = whole["figures/error-by-depth.csv"].splitlines()
    assert lines[0] == "series,depth,metric,n,mean,low,high"
    assert len(lines) == 1 + 2 * 12
    # Planted: plain, depth 8 has seeds of 0.9 * 0 + 0.3 * (jitter + 1).
    first = lines[1].split(",")
    assert first[:4] == ["plain", "8", "final/train_error_pct", "3"]
    results = synthetic_sweep().trials
    cell = results[(results["label"] == "plain-8")]["final/train_error_pct"]
    assert float(first[4]) == pytest.approx(sum(cell) / 3)


def test_sections_without_data_are_left_out(whole: dict[str, str]) -> None:
    results = synthetic_sweep()
    bare = results.trials.drop(columns=["speed/images_per_s", "device/memory_peak_gib", "time/total_s", "model/macs"])
    files = report_files(assess(dataclasses.replace(results, trials=bare)))
    for name, section in (("error-by-cost", 'id="cost"'), ("speed-by-depth", 'id="speed"')):
        assert section in whole["index.html"]
        assert section not in files["index.html"]
        assert f"figures/{name}.svg" not in files
    assert 'id="scales"' not in whole["index.html"]


@pytest.mark.parametrize("name", ["index.html", "report.md"])
def test_a_partial_sweep_says_so_before_anything_else(whole: dict[str, str], name: str) -> None:
    partial = synthetic_sweep(status="running", outcomes={("plain", 44, 0): "running", ("plain", 44, 1): "missing"})
    text = report_files(assess(partial))[name]
    assert "34 of 36 trials have a result; the sweep is still running" in text
    assert text.index("34 of 36 trials") < text.index("Verdicts</h2>" if name == "index.html" else "## Verdicts")
    assert "Not the whole sweep" not in whole[name]


def test_nothing_of_this_machine_or_of_the_tracking_server_is_in_a_report() -> None:
    environment: dict[str, Any] = {
        "python": "3.11.9",
        "tracking_uri": "sqlite:///mlflow.db",
        "git": {"commit": "abcdef0123456789", "dirty": True},
        "cwd": "/somewhere/private",
        "server": "https://mlflow.example",
    }
    files = report_files(assess(dataclasses.replace(synthetic_sweep(), environment=environment)))
    for name, text in files.items():
        assert not [word for word in ("sqlite:", "/somewhere", "mlflow.example", str(ROOT)) if word in text], name
    assert "commit abcdef012345, with changes that were not committed" in files["index.html"]


def test_published_figures_stand_beside_the_counted_ones_where_the_plan_has_them() -> None:
    results = synthetic_sweep(depths=(20, 8), shortcuts=("A",))
    audit = [
        {
            "cell_id": "cell-resnet-20-A",
            "label": "resnet-20-A",
            "params": 269722,
            "macs": 40550000,
            "published_params": 270000.0,
            "published_macs": None,
            "source": "He et al. 2015, Table 6",
            "within": True,
        }
    ]
    text = report_files(assess(dataclasses.replace(results, plan={"audit": audit})))["report.md"]
    assert "| resnet-20-A | 269,722 | 40.55 | 270,000 | — | yes | He et al. 2015, Table 6 |" in text
    assert "| resnet-8-A | 81,208 | 1.180 | — | — | — | — |" in text


def test_a_sweep_that_has_only_begun_still_gives_a_report(tmp_path: Path) -> None:
    results = synthetic_sweep()
    bare = results.trials[["trial_id", "cell_id", "label", "seed"]].assign(
        outcome="missing", reason="", run_id=None, attempt=None
    )
    begun = dataclasses.replace(
        results,
        status="running",
        ended_ms=None,
        plan={"claims": results.plan["claims"]},
        environment={},
        trials=bare,
        curves=results.curves[:0],
    )
    text = write_report(assess(begun), tmp_path).read_text()
    assert "0 of 36 trials have a result" in text
    assert "not run" in text


def test_a_sweep_without_any_trial_still_gives_a_report(tmp_path: Path) -> None:
    results = synthetic_sweep()
    empty = dataclasses.replace(results, trials=results.trials[:0], curves=results.curves[:0])
    assert "0 trials" in write_report(assess(empty), tmp_path).read_text()


def test_a_second_report_replaces_the_first_and_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    write_report(assess(synthetic_sweep(name="first")), tmp_path)
    write_report(assess(synthetic_sweep(name="second")), tmp_path)
    assert written(tmp_path) == sorted([*FILES, "mine.txt"])
    assert "second" in (tmp_path / "index.html").read_text()
    assert "first" not in (tmp_path / "report.md").read_text().splitlines()[0]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"the report cannot be written to .*file/out: Not a directory"):
        write_report(assess(synthetic_sweep()), tmp_path / "file" / "out")

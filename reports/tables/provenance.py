"""Tables with which a reader can repeat the sweep: what ran, on which devices, with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports import formatting
from reports.stats.cells import Cell, Trial, as_text, distinct, settings_columns
from reports.stats.summaries import device_of
from reports.tables.report_tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd

    from harness.tracking.results import SweepResults

LOCATION_WORDS = ("uri", "url", "path", "cwd", "dir", "storage", "address")
"""Words in the names of environment entries that hold a path or an address. Reports leave such entries out."""


def machine_table(trials: Sequence[Trial]) -> Table:
    """Return the devices and versions with which the trials ran."""
    groups: dict[tuple[str, str], int] = {}
    for trial in trials:
        if device := device_of(trial):
            groups[device, _versions(trial)] = groups.get((device, _versions(trial)), 0) + 1
    return Table(
        name="machines",
        caption="What the trials ran on",
        columns=(Column(title="Devices of a trial"), Column(title="Trials", numeric=True), Column(title="Versions")),
        rows=tuple((device, str(count), versions or formatting.DASH) for (device, versions), count in groups.items()),
    )


def _versions(trial: Trial) -> str:
    """Return the versions: `python 3.11.9, torch 2.9.1`."""
    found = sorted(
        (key.split(".", 1)[1], as_text(value)) for key, value in trial.row.items() if key.startswith("version.")
    )
    return ", ".join(f"{name} {version}" for name, version in found if version)


def settings_table(trials: pd.DataFrame) -> Table:
    """Return the settings: one value if all trials share it, else the list of values."""
    rows = [(name, _values(distinct(trials[name]))) for name in settings_columns(trials)]
    return Table(
        name="settings",
        caption="Settings; several values are the sweep's axes",
        columns=(Column(title="Setting"), Column(title="Value")),
        rows=tuple(row for row in rows if row[1]),
    )


def _values(values: Sequence[Any], most: int = 12) -> str:
    shown = ", ".join(as_text(value) for value in values[:most])
    return f"{shown}, and {len(values) - most} more" if len(values) > most else shown


def facts_table(results: SweepResults, cells: Sequence[Cell]) -> Table:
    """Return the main facts of the sweep."""
    trials = [trial for cell in cells for trial in cell.trials]
    seeds = sorted({trial.seed for trial in trials if trial.seed is not None})
    spent = [value for trial in trials if (value := trial.number("time/total_s")) is not None]
    took = None if results.ended_ms is None else (results.ended_ms - results.started_ms) / 1000
    rows = (
        ("Sweep", results.name),
        ("Experiment", results.experiment),
        ("Status", results.status),
        (
            "Trials",
            f"{len(trials)}: {formatting.counted(len(cells), 'cell')}, seeds {_values(seeds) or formatting.DASH}",
        ),
        ("Started", formatting.moment(results.started_ms)),
        ("Ended", formatting.moment(results.ended_ms)),
        ("Took", formatting.duration(took)),
        ("Trial time in all", formatting.duration(sum(spent) if spent else None)),
        ("MLflow run", results.run_id),
        *_code_facts(flat(results.environment)),
    )
    return Table(name="facts", caption="The sweep", columns=(Column(title="What"), Column(title="Value")), rows=rows)


def _code_facts(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    commit, dirty = (environment.get(f"git.{name}") or environment.get(f"git_{name}") for name in ("commit", "dirty"))
    if not commit:
        return []
    return [
        (
            "Code",
            f"commit {commit[:12]}"
            + (", with changes that were not committed" if (dirty or "").lower() == "true" else ""),
        )
    ]


def environment_table(results: SweepResults) -> Table:
    """Return the recorded environment of the driver, without paths and addresses."""
    facts = flat(results.environment).items()
    rows = [(name, value) for name, value in facts if value and not _is_location(name, value)]
    return Table(
        name="environment",
        caption="Environment of the driver",
        columns=(Column(title="What"), Column(title="Value")),
        rows=tuple(sorted(rows)),
    )


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten a mapping: join nested names with dots and lists with commas."""
    found: dict[str, str] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(map(as_text, value))
        else:
            found[name] = as_text(value)
    return found


def _is_location(name: str, value: str) -> bool:
    return (
        "://" in value
        or value.startswith("/")
        or any(part in LOCATION_WORDS for part in name.lower().replace("_", ".").split("."))
    )

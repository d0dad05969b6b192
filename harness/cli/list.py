"""`harness list`: registries and stores as records. A registry is a dict, and a list shows all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from harness.cli.output import stanzas, table

if TYPE_CHECKING:
    from workloads.datasets.spec import DatasetSpec

Records = list[dict[str, Any]]


class Listed(StrEnum):
    """Kinds of things that can be listed."""

    MODELS = "models"
    DATASETS = "datasets"
    RECIPES = "recipes"
    WORKLOADS = "workloads"
    SWEEPS = "sweeps"
    CLAIMS = "claims"
    PUBLISHED = "published"
    JOBS = "jobs"


@dataclass(frozen=True, kw_only=True)
class ServiceAddresses:
    """Addresses of services, for lists that this machine cannot make by itself."""

    tracking_uri: str
    dashboard: str | None
    """Dashboard address of a Ray cluster."""


def models(_: ServiceAddresses) -> Records:
    """Return every model with its axes; axes without a default must be given."""
    from models import MODELS

    return [{"model": name, "what": _summary(kind), "axes": _axes(kind)} for name, kind in MODELS.items()]


def datasets(_: ServiceAddresses) -> Records:
    """Return every data set with its sizes."""
    from workloads.datasets import DATASETS

    return [_dataset(name, kind()) for name, kind in DATASETS.items()]


def recipes(_: ServiceAddresses) -> Records:
    """Return every recipe with the settings that differ from the default."""
    from workloads.recipes import RECIPES

    return [
        {"recipe": name, "settings": " ".join(f"{key}={value}" for key, value in recipe.differences.items())}
        for name, recipe in RECIPES.items()
    ]


def workloads(_: ServiceAddresses) -> Records:
    """Return the workload files that come with the package."""
    from harness.workload.file import shipped_workloads
    from harness.workload.load import parse_workload

    loaded = {name: parse_workload(name, text) for name, text in shipped_workloads().items()}
    return [{"workload": name, "description": workload.description} for name, workload in loaded.items()]


def claims(_: ServiceAddresses) -> Records:
    """Return the published statements that a workload can check."""
    from reports.claims.registry import CLAIMS

    return [{"claim": claim.id, "source": claim.source, "statement": claim.statement} for claim in CLAIMS.values()]


def published(_: ServiceAddresses) -> Records:
    """Return the papers' figures, one row for each count or error."""
    from models.published.entries import PUBLISHED

    return [
        {"network": entry.spec.label, "dataset": entry.dataset, **figure}
        for entry in PUBLISHED
        for figure in (*map(_count, entry.counts), *map(_error, entry.errors))
    ]


def sweeps(addresses: ServiceAddresses) -> Records:
    """Return the sweeps in the tracking store, the newest first."""
    from harness.tracking.address import resolve, sqlite_path

    uri = resolve(addresses.tracking_uri)
    database = sqlite_path(uri)
    if database is not None and not database.exists():
        return []  # a query would create it
    from harness.tracking.results import list_sweeps

    return [_sweep(found) for found in list_sweeps(uri).to_dict("records")]


def jobs(addresses: ServiceAddresses) -> Records:
    """Return the cluster's jobs that `harness submit` started, the newest first."""
    from harness.cli.jobs import connect, job_record

    return [job_record(job) for job in connect(addresses.dashboard).all()]


LISTS: Mapping[Listed, Callable[[ServiceAddresses], Records]] = {
    Listed.MODELS: models,
    Listed.DATASETS: datasets,
    Listed.RECIPES: recipes,
    Listed.WORKLOADS: workloads,
    Listed.SWEEPS: sweeps,
    Listed.CLAIMS: claims,
    Listed.PUBLISHED: published,
    Listed.JOBS: jobs,
}


def as_text(what: Listed, records: Records) -> str:
    """Return the records as text: a table if its rows fit a screen."""
    if what in (Listed.SWEEPS, Listed.PUBLISHED, Listed.JOBS):
        return table(list(records[0]), [list(record.values()) for record in records])
    return stanzas(records)


def _dataset(name: str, spec: DatasetSpec) -> dict[str, Any]:
    return {
        "dataset": name,
        "what": _summary(type(spec)),
        "channels": spec.channels,
        "pixels": spec.image_size,
        "classes": spec.classes,
        "train": spec.train_images,
        "test": spec.test_images,
        "options": _axes(type(spec)),
    }


def _axes(kind: type) -> str:
    return ", ".join(_axis(field) for field in dataclasses.fields(kind) if field.init)


def _axis(field: dataclasses.Field[Any]) -> str:
    return field.name if field.default is dataclasses.MISSING else f"{field.name}={field.default}"


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _count(figure: Any) -> dict[str, Any]:
    value = f"{figure.value:,.0f}" if figure.step == 1 else f"{figure.value / 1e6:.10g} M"
    return {"quantity": figure.quantity, "value": value, "protocol": figure.convention, "source": figure.source}


def _error(figure: Any) -> dict[str, Any]:
    protocol = f"{figure.statistic}, {figure.protocol}"
    return {"quantity": figure.metric, "value": figure.printed, "protocol": protocol, "source": figure.source}


def _sweep(found: Mapping[Hashable, Any]) -> dict[str, Any]:
    started = datetime.fromtimestamp(found["started_ms"] / 1000).astimezone().isoformat(" ", "seconds")
    return {"sweep": found["name"], "experiment": found["experiment"], "status": found["status"], "started": started}

"""`harness ensemble`: the result of finished trials as an ensemble, for people, for scripts and for MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.output import table
from harness.launch.ensemble import Answer, Ensemble, make_ensemble
from harness.tracking.ensembles import log_ensemble
from harness.tracking.recorder import connect

__all__ = ["as_text", "log", "make"]


def make(storage: Path, trials: Sequence[str]) -> Ensemble:
    """See `harness.launch.ensemble.make_ensemble`."""
    return make_ensemble(storage, trials)


def as_text(ensemble: Ensemble) -> str:
    """Return a table with a row for each member, and one for the ensemble."""
    header = ("trial", "id", " test error, %", " top 5, %", " images")
    return table(header, map(_row, (*ensemble.members, ensemble.together)))


def log(ensemble: Ensemble, tracking_uri: str) -> str:
    """Record the ensemble in MLflow and return the id of its run.

    Raises:
        TrackingUnreachable: the store does not answer.
        HarnessError: the store refuses it.
    """
    together = ensemble.together
    values = {
        "final/val_error_pct": together.error_pct,
        "final/val_error_top5_pct": together.error_top5_pct,
        "final/val_loss": together.loss,
        "final/val_images": together.images,
    }
    return log_ensemble(
        connect(tracking_uri),
        ensemble.experiment,
        name=together.name,
        trial_ids=[member.trial_id for member in ensemble.members if member.trial_id is not None],
        results={key: value for key, value in values.items() if value is not None},
        dataset=ensemble.dataset,
    )


def _row(answer: Answer) -> tuple[str | int | None, ...]:
    return answer.name, answer.trial_id, _pct(answer.error_pct), _pct(answer.error_top5_pct), answer.images


def _pct(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"

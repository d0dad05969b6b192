"""`harness ensemble`: the result of finished trials as an ensemble, for people, for scripts and for MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.cli.output import table
from harness.launch.ensemble import Ensemble, EnsembleScore, make_ensemble
from harness.tracking.ensembles import log_ensemble
from harness.tracking.recorder import connect
from harness.tracking.waiting import waiting_for_mlflow

__all__ = ["as_text", "log", "make"]


def make(storage: Path, trials: Sequence[str]) -> Ensemble:
    """See `harness.launch.ensemble.make_ensemble`."""
    return make_ensemble(storage, trials)


def as_text(ensemble: Ensemble) -> str:
    """Return a table with a row for each member, and one for the ensemble."""
    header = ("trial", "id", " test error, %", " top 5, %", " images")
    return table(header, map(_row, (*ensemble.members, ensemble.combined)))


def log(ensemble: Ensemble, tracking_uri: str) -> str:
    """Record the ensemble in MLflow and return the id of its run.

    Raises:
        TrackingUnreachable: the store does not answer.
        HarnessError: the store refuses it.
    """
    combined = ensemble.combined
    values = {
        "final/test_error_pct": combined.error_pct,
        "final/test_error_top5_pct": combined.error_top5_pct,
        "final/test_loss": combined.loss,
        "final/test_images": combined.images,
    }
    with waiting_for_mlflow(tracking_uri, "to take the ensemble"):
        return log_ensemble(
            connect(tracking_uri),
            ensemble.experiment,
            name=combined.name,
            trial_ids=[member.trial_id for member in ensemble.members if member.trial_id is not None],
            results={key: value for key, value in values.items() if value is not None},
            dataset=ensemble.dataset,
        )


def _row(score: EnsembleScore) -> tuple[str | int | None, ...]:
    return score.name, score.trial_id, _pct(score.error_pct), _pct(score.error_top5_pct), score.images


def _pct(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"

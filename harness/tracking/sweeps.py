"""Search for a sweep among those of a tracking store."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import SweepNotFound
from harness.schema import KIND_SWEEP, Tag
from harness.tracking.tracker import RunRecord

if TYPE_CHECKING:
    from harness.tracking.mlflow_reader import MlflowReader

SHOWN = 5
"""Most sweeps named in a message."""


@dataclass(frozen=True, kw_only=True)
class StoredSweep:
    """A sweep's parent run and its experiment."""

    run: RunRecord
    experiment_id: str
    experiment: str

    @property
    def sweep_id(self) -> str:
        """Sweep id of the parent run."""
        return self.run.tags.get(Tag.SWEEP_ID, "")

    @property
    def names(self) -> tuple[str, str, str]:
        """Name, sweep id and run id, by any of which the sweep can be requested."""
        return self.run.name, self.sweep_id, self.run.run_id


def all_sweeps(reader: MlflowReader) -> list[StoredSweep]:
    """Return every sweep of a store, the newest first. Sweeps that began at the same time are sorted by run id."""
    from harness.tracking.mlflow_store import record

    names = reader.experiments()
    if not names:
        return []
    runs = reader.search(list(names), f"tags.`{Tag.KIND}` = '{KIND_SWEEP}'", newest_first=True)
    return [
        StoredSweep(run=record(run), experiment_id=run.info.experiment_id, experiment=names[run.info.experiment_id])
        for run in runs
    ]


def choose(sweeps: Sequence[StoredSweep], wanted: str | None) -> StoredSweep:
    """Return the requested sweep: by a whole name or id, else by a unique beginning of one; None is the newest.

    Raises:
        SweepNotFound: there is none, or several match.
    """
    if not sweeps:
        raise SweepNotFound("the tracking store holds no sweep yet; make one with `harness run FILE`")
    if wanted is None:
        return sweeps[0]
    for matches in ([s for s in sweeps if wanted in s.names], [s for s in sweeps if _begins(s, wanted)]):
        if len(matches) == 1:
            return matches[0]
        if matches:
            if len({match.sweep_id for match in matches}) == 1:
                runs = ", ".join(f"{match.run.run_id} in {match.experiment}" for match in matches[:SHOWN])
                raise SweepNotFound(f"sweep {wanted!r} is in several experiments; give the id of its run: {runs}")
            raise SweepNotFound(f"{wanted!r} could be any of {_listed(matches)}; give more of its name, or its id")
    raise SweepNotFound(f"no sweep {wanted!r} in the tracking store; {_alternatives(sweeps, wanted)}")


def _begins(sweep: StoredSweep, wanted: str) -> bool:
    return bool(wanted) and any(name.startswith(wanted) for name in sweep.names)


def _alternatives(sweeps: Sequence[StoredSweep], wanted: str) -> str:
    nearest = difflib.get_close_matches(wanted, [sweep.run.name for sweep in sweeps], n=SHOWN)
    if nearest:
        return f"the nearest: {', '.join(nearest)}"
    return f"the newest: {_listed(sweeps)}"


def _listed(sweeps: Sequence[StoredSweep]) -> str:
    more = f" and {len(sweeps) - SHOWN} more" if len(sweeps) > SHOWN else ""
    return ", ".join(f"{sweep.run.name} ({sweep.sweep_id})" for sweep in sweeps[:SHOWN]) + more

"""Claims that a workload's seeds can decide, for `harness plan`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.cli.output import wrap
from harness.planning.plan import Plan
from harness.trial import Trial
from reports.claims.seed_power import SPREAD_POINTS, ClaimPower, seed_power
from reports.claims.verdicts import claims_for
from reports.stats.cells import Cell, cells_of_rows
from reports.stats.power import POWER


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Chances that the seeds of a workload decide its claims."""

    spread: float
    """Assumed standard deviation between seeds, in points."""
    assumed: bool
    """Whether the spread is the papers' value, because none was given."""
    claims: tuple[ClaimPower, ...]

    def record(self) -> dict[str, Any]:
        """Return the chances in a form for JSON."""
        return {
            "spread_points": self.spread,
            "wanted_power": POWER,
            "claims": [asdict(one) for one in self.claims],
        }

    def text(self) -> str:
        """Return the chances as text for people; empty if there is no claim."""
        return "\n".join(self._lines()) if self.claims else ""

    def _lines(self) -> Iterator[str]:
        source = ", about what the papers print (--spread names another)" if self.assumed else ""
        yield wrap(
            f"Claims, and the chance of a verdict if the truth is as printed, with a spread of {self.spread:g} points "
            f"between seeds{source}. {100 * POWER:.0f} % is asked for.",
            first="",
            later="  ",
        )
        for one in self.claims:
            yield wrap(f"{one.claim}: {_chance(one)}", first="  ", later="      ")


def seeds_of(trials: Sequence[Trial], plan: Plan, spread: float | None) -> Seeds:
    """Return the chances of the trials' seeds; `spread` is in points, None for the papers' value."""
    cells = _cells(trials, plan)
    used = SPREAD_POINTS if spread is None else spread
    found = seed_power(claims_for(cells, plan.claims), cells, used)
    return Seeds(spread=used, assumed=spread is None, claims=tuple(found))


def _cells(trials: Sequence[Trial], plan: Plan) -> tuple[Cell, ...]:
    """Return the cells of the report, before there are results."""
    rows = [
        {
            **trial.settings(),
            "trial_id": trial.id,
            "cell_id": trial.cell_id,
            "label": trial.label,
            "seed": trial.seed,
            "measure": trial.measure,
        }
        for trial in trials
    ]
    settings = {key for row in rows for key in row if "." in key} - {"model.depth", "model.shortcut"}
    varied = sorted(key for key in settings if len({row.get(key) for row in rows} - {None}) > 1)
    return cells_of_rows(rows, varied, [asdict(cell) for cell in plan.audit])


def _chance(one: ClaimPower) -> str:
    if one.power is None:
        return one.reason + _detectable_gap(one)
    chance = f"{'yes' if one.decidable else 'no'}, {_percent(one.power)} with {_seeds(one.seeds)}"
    gap = f"a gap of {abs(one.gap):.2f}" if one.gap else "no gap"
    within = f" within {one.margin:g}" if one.margin else ""
    unit = "point" if one.margin == 1 else "points"
    need = "more would not do" if one.seeds_needed is None else f"{_seeds(one.seeds_needed)} would do"
    return "; ".join(filter(None, [f"{chance} for {gap}{within} {unit}", need, one.caveat]))


def _detectable_gap(one: ClaimPower) -> str:
    if one.seeds is None:
        return ""
    if one.detectable is None:
        return f"; {_seeds(one.seeds)} a cell tells nothing"
    return f"; {_seeds(one.seeds)} tell {one.detectable:.2f} points or more"


def _seeds(count: int | None) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"


def _percent(share: float) -> str:
    """Return the share in percent, never as 0 % or 100 %."""
    return "over 99 %" if share > 0.99 else "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"

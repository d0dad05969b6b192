"""Progress of a running sweep on stderr: a live display on a terminal, otherwise one plain line per ended trial."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from harness.events import TrialEnded
from harness.scheduling.types import Running, Snapshot
from harness.schema import Outcome
from harness.tracking.recorder import Progress as Recorded
from reports.formatting import duration

ENOUGH = 0.05
"""Share of the cost from which on the time left is shown."""
RUNNING_LINES = 8
"""Most running trials that the display lists; it only counts the others."""


@dataclass
class Progress:
    """The display of one sweep; `show` takes each new state of its queue.

    Args:
        names: trial id -> name on the terminal.
        recorded: gives the state of the forwarding of the sweep's events to MLflow.
    """

    names: Mapping[str, str]
    console: Console
    recorded: Callable[[], Recorded]
    _start_s: float = field(default_factory=time.monotonic, init=False)
    _failed: int = field(default=0, init=False)
    _ended: int = field(default=0, init=False)
    _live: Live | None = field(default=None, init=False)

    def __enter__(self) -> Progress:
        if _can_move_cursor(self.console):
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Update the display."""
        for ended in snapshot.ended:
            self._show_ended(ended, snapshot.total)
        if self._live:
            self._live.update(self._picture(snapshot))

    def _show_ended(self, ended: TrialEnded, total: int) -> None:
        self._ended += 1
        self._failed += not ended.outcome.is_result and ended.outcome is not Outcome.STOPPED
        if self._live is None or not ended.outcome.is_result:
            self.console.print(self._line(ended, total), markup=False, highlight=False, soft_wrap=True)

    def _line(self, ended: TrialEnded, total: int) -> str:
        what = _error_text(ended.results) if ended.outcome.is_result else ended.reason
        outcome = ended.outcome.value.replace("_", " ")
        name = self.names.get(ended.trial_id, ended.trial_id)
        return f"[{self._ended:>{len(str(total))}}/{total}] {name}: {outcome}{', ' * bool(what)}{what}"

    def _picture(self, snapshot: Snapshot) -> Group:
        head = Table.grid(padding=(0, 2))
        head.add_row(
            ProgressBar(total=snapshot.cost_total or 1, completed=snapshot.cost_done, width=24), self._counts(snapshot)
        )
        lines = [_running_line(running) for running in snapshot.running[:RUNNING_LINES]]
        more = len(snapshot.running) - RUNNING_LINES
        return Group(head, *lines, *([Text(f"  and {more} more", style="dim")] if more > 0 else []))

    def _counts(self, snapshot: Snapshot) -> Text:
        parts = [
            f"{snapshot.ended_count}/{snapshot.total} done",
            f"{len(snapshot.running)} running" if snapshot.running or snapshot.ended_count else "starting workers",
            f"{self._failed} failed" if self._failed else "",
            time_left(snapshot, time.monotonic() - self._start_s),
            "MLflow does not answer, events wait in the outbox" if self.recorded().error else "",
        ]
        return Text(", ".join(part for part in parts if part))


def _can_move_cursor(console: Console) -> bool:
    """Return whether frames can be drawn over each other. Variables may call a file a terminal, for its colours."""
    return console.file.isatty() and console.is_terminal and console.is_interactive and not console.is_dumb_terminal


def time_left(snapshot: Snapshot, elapsed_s: float) -> str:
    """Return the time left at the rate so far, counting the epochs of running trials.

    Empty before 5 % of the cost is done: until then the rate is dominated by the start of the workers.
    """
    if snapshot.cost_done < ENOUGH * snapshot.cost_total or not snapshot.cost_done:
        return ""
    left_s = elapsed_s * (snapshot.cost_total - snapshot.cost_done) / snapshot.cost_done
    return f"{duration(left_s, decimals=0)} left"


def outcome_counts(ended: Iterable[TrialEnded]) -> str:
    """Return the outcomes that occurred, in the schema's order, such as `34 finished, 2 diverged`."""
    counts = Counter(one.outcome for one in ended)
    return ", ".join(f"{count} {outcome.value.replace('_', ' ')}" for outcome in Outcome if (count := counts[outcome]))


def _running_line(running: Running) -> Text:
    return Text(f"  {running.label:<32.32} epoch {running.epoch}/{running.epochs}  {running.group}", style="dim")


def _error_text(results: Mapping[str, float]) -> str:
    parts = [
        f"{name} error {results[key]:.2f} %"
        for name, key in (("training", "final/train_error_pct"), ("test", "final/test_error_pct"))
        if key in results
    ]
    return ", ".join(parts)

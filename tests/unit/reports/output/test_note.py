"""The description of a sweep's run in MLflow's UI."""

from __future__ import annotations

from reports.claims.assessment import assess
from reports.output.note import sweep_note
from reports.testing.synthetic import synthetic_sweep

EVIL = "<script>alert(1)</script>"


def test_the_note_has_a_line_for_each_verdict_and_the_errors() -> None:
    results = synthetic_sweep()
    note = sweep_note(assess(results))
    lines = [line for line in note.splitlines() if line.startswith("- **")]
    assert [line.split("**")[1] for line in lines] == ["supported", "supported"]
    assert "| Depth | Training error, %: plain |" in note
    assert "Not the whole sweep" not in note


def test_the_note_of_a_sweep_in_progress_says_so() -> None:
    results = synthetic_sweep(status="running", outcomes={("A", 8, 0): "running"})
    assert "**Not the whole sweep.** 35 of 36 trials have a result" in sweep_note(assess(results))


def test_a_strangers_text_is_no_markup_in_the_note() -> None:
    results = synthetic_sweep(shortcuts=("plain", EVIL))
    assert "<script" not in sweep_note(assess(results))

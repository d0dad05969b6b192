"""Waiting for the answers of nodes when Ray is slow."""

from __future__ import annotations

import pytest
import ray

from harness.cluster import inspection
from harness.errors import Stopped


def test_a_stop_is_seen_while_a_node_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(ray, "wait", lambda references, **_: ([], references))

    def stopped() -> bool:
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(Stopped):
        inspection._wait(["node"], stopped)
    assert len(asked) == 3


def test_whoever_has_not_answered_in_the_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([([], ["a", "b"]), (["a"], ["b"])])
    now_s = [0.0]

    def wait(_references: list[str], **_: object) -> tuple[list[str], list[str]]:
        now_s[0] += inspection.TIMEOUT_S / 2
        return next(answers)

    monkeypatch.setattr(ray, "wait", wait)
    assert inspection._wait(["a", "b"], lambda: False, lambda: now_s[0]) == ["b"]

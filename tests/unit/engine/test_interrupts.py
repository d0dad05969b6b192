"""The steps after which the workers of a group look at requests. `test_two_workers` shows that all use the same."""

import pytest

import harness.engine.interrupts
from harness.engine.interrupts import Interrupts, steps_until_poll


def test_quick_steps_are_looked_at_ever_more_rarely_until_half_a_second_lies_between():
    polls = [1]
    while len(polls) < 8:
        polls.append(steps_until_poll(polls[-1], polls[-1] / 64))
    assert polls == [1, 2, 4, 8, 16, 32, 32, 32]


def test_slower_steps_are_looked_at_sooner_at_once_and_the_slowest_one_by_one():
    assert steps_until_poll(32, 32 / 8) == 4
    assert steps_until_poll(32, 32 * 3.0) == 1


def test_the_fewest_steps_that_any_worker_proposes_count(recording, monkeypatch):
    """Votes are combined by their maximum, so each worker sends its proposal as a negative number."""
    monkeypatch.setattr(harness.engine.interrupts, "highest", lambda mine, *_: [max(mine[0], 1), mine[1], mine[2], -1])
    context = recording().context
    requests = Interrupts(context.__class__(**{**vars(context), "world_size": 2}))
    assert requests.is_poll_due()
    assert requests.poll(late=False, checkpoint=False) == (True, False, False)
    assert requests.is_poll_due()


def test_a_worker_alone_looks_after_every_step_and_asks_nobody(recording, monkeypatch):
    monkeypatch.setattr(harness.engine.interrupts, "highest", lambda *_: pytest.fail("asked"))
    recorded = recording()
    requests = Interrupts(recorded.context)
    assert all(requests.is_poll_due() for _ in range(5))
    recorded.stop_after = 1
    assert requests.poll(late=False, checkpoint=True) == (True, False, True)

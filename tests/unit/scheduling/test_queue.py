"""The queue alone, with trials that nobody runs."""

from __future__ import annotations

import heapq
from dataclasses import replace

import pytest

from harness.errors import StorageError
from harness.events import EpochEnded, Event, TrialEnded
from harness.scheduling.queue import TrialQueue
from harness.scheduling.types import Lease, LeaseLost, Limits, Shape
from harness.schema import Outcome
from harness.trial import Trial
from tests.support.trials import ONE, TWO, Clock, a_trial, jobs


def a_queue(*trials: Trial, max_attempts: int = 3) -> tuple[TrialQueue, list[Event]]:
    record: list[Event] = []
    return TrialQueue(jobs(*trials), record.append, Limits(max_attempts=max_attempts)), record


def finished(lease: Lease) -> TrialEnded:
    return TrialEnded(trial_id=lease.trial.id, attempt=lease.attempt, outcome=Outcome.FINISHED)


def failed(lease: Lease, reason: str = "boom") -> TrialEnded:
    return TrialEnded(trial_id=lease.trial.id, attempt=lease.attempt, outcome=Outcome.FAILED, reason=reason)


def leased(queue: TrialQueue, group: str = "g", shape: Shape = ONE) -> Lease:
    lease = queue.lease(group, shape)
    assert lease is not None
    return lease


def test_trials_start_in_the_given_order_and_each_once() -> None:
    trials = [a_trial(depth) for depth in (44, 32, 20, 8)]
    queue, _ = a_queue(*trials)
    order = []
    while (lease := queue.lease("g", ONE)) is not None:
        order.append(lease.trial)
        queue.end("g", finished(lease))
    assert order == trials
    assert queue.snapshot().done


def test_a_group_stays_with_the_cell_it_has_just_run() -> None:
    same, other, same_again = a_trial(44, seed=0), a_trial(32, seed=0), a_trial(44, seed=1)
    queue, _ = a_queue(same, other, same_again)
    queue.end("g", finished(leased(queue)))
    assert leased(queue).trial == same_again
    assert leased(queue, "another group").trial == other


def test_a_group_gets_trials_of_its_shape_alone() -> None:
    wide = a_trial(8)
    queue = TrialQueue([*jobs(a_trial(20)), *jobs(wide, shape=TWO)], lambda event: None)
    lease = leased(queue, "wide", TWO)
    assert lease.trial == wide
    queue.end("wide", finished(lease))
    assert queue.lease("wide", TWO) is None
    assert queue.waiting() == {ONE: 1}


def test_a_restarted_group_puts_its_trial_back_at_the_front_with_the_next_attempt() -> None:
    queue, record = a_queue(a_trial(44), a_trial(32))
    lost = leased(queue)
    queue.release_leases("g")
    again = leased(queue)
    assert (again.trial, again.attempt) == (lost.trial, 2)
    (ended,) = record
    assert isinstance(ended, TrialEnded)
    assert (ended.outcome, ended.final, ended.attempt) == (Outcome.FAILED, False, 1)


def test_a_trial_that_kills_its_group_each_time_fails_for_good_and_the_others_go_on() -> None:
    poison, healthy = a_trial(44), a_trial(32)
    queue, record = a_queue(poison, healthy, max_attempts=3)
    for _ in range(3):
        assert leased(queue).trial == poison
        queue.release_leases("g")
    assert leased(queue).trial == healthy
    last = record[-1]
    assert isinstance(last, TrialEnded)
    assert (last.trial_id, last.attempt, last.final, last.outcome) == (poison.id, 3, True, Outcome.FAILED)
    assert "died" in last.reason


def test_out_of_memory_is_an_answer_and_not_tried_again() -> None:
    queue, _ = a_queue(a_trial())
    queue.end("g", replace(finished(leased(queue)), outcome=Outcome.OUT_OF_MEMORY, reason="needs 80 GiB"))
    assert queue.lease("g", ONE) is None
    assert queue.snapshot().ended[0].outcome is Outcome.OUT_OF_MEMORY


def test_a_group_given_up_for_dead_can_neither_write_nor_end_its_old_trial() -> None:
    queue, record = a_queue(a_trial())
    lost = leased(queue, "zombie")
    queue.release_leases("zombie")
    leased(queue, "heir")
    before = list(record)
    with pytest.raises(LeaseLost):
        queue.emit("zombie", EpochEnded(trial_id=lost.trial.id, attempt=1, epoch=1, values={}))
    assert record == before
    with pytest.raises(LeaseLost):
        queue.end("zombie", finished(lost))


def test_a_call_that_comes_twice_because_its_answer_was_lost_changes_nothing_the_second_time() -> None:
    queue, record = a_queue(a_trial(44), a_trial(32), max_attempts=2)
    lease = leased(queue)
    assert leased(queue) == lease
    epoch = EpochEnded(trial_id=lease.trial.id, attempt=1, epoch=1, values={})
    for _ in range(2):
        queue.emit("g", epoch)
    ended = failed(lease)
    for _ in range(2):
        queue.end("g", ended)
    assert record == [epoch, replace(ended, final=False)]
    assert leased(queue, "another").attempt == 2
    with pytest.raises(LeaseLost):
        queue.end("g", finished(lease))


def test_a_checkpoint_of_a_group_that_lost_its_trial_is_refused() -> None:
    queue, _ = a_queue(a_trial())
    leased(queue)
    queue.flush("g")
    queue.release_leases("g")
    with pytest.raises(LeaseLost, match="g holds no trial"):
        queue.flush("g")


def test_what_happened_later_has_a_later_time_whatever_the_clocks_of_two_hosts_say() -> None:
    """The first attempt's host is ten minutes ahead."""
    queue, record = a_queue(a_trial(), max_attempts=2)
    for attempt, time_ms in ((1, 1_600_000), (2, 1_000_000)):
        lease = leased(queue)
        for epoch in (1, 2):
            queue.emit(
                "g", EpochEnded(trial_id=lease.trial.id, attempt=attempt, epoch=epoch, values={}, time_ms=time_ms)
            )
        queue.end("g", replace(failed(lease), time_ms=time_ms))
    assert [event.time_ms for event in record] == [1_600_000, 1_600_000, 1_600_000, 1_600_001, 1_600_002, 1_600_003]


def test_a_trial_that_failed_again_waits_behind_the_others() -> None:
    """The node on which it failed twice may be the only free one."""
    queue, _ = a_queue(a_trial(44), a_trial(32), max_attempts=3)
    depths = []
    for group in ("a", "b", "c"):
        lease = leased(queue, group)
        depths.append(lease.trial.model.depth)
        queue.end(group, failed(lease))
    assert depths == [44, 44, 32]


def test_attempts_of_earlier_executions_count_for_the_number_and_not_against_the_limit() -> None:
    job = replace(jobs(a_trial())[0], attempts_before=5)
    queue = TrialQueue([job], lambda event: None, Limits(max_attempts=2))
    first = leased(queue)
    queue.end("g", failed(first))
    second = leased(queue)
    assert (first.attempt, second.attempt) == (6, 7)
    queue.end("g", failed(second))
    assert queue.lease("g", ONE) is None


def test_stopping_leases_nothing_more_and_abandoning_ends_what_runs_as_stopped() -> None:
    queue, record = a_queue(a_trial(44), a_trial(32))
    running = leased(queue)
    queue.stop()
    assert queue.lease("g", ONE) is None
    queue.stop_running("no checkpoint in time")
    last = record[-1]
    assert isinstance(last, TrialEnded)
    assert (last.trial_id, last.outcome) == (running.trial.id, Outcome.STOPPED)
    assert queue.snapshot().waiting == 1


def test_a_shape_that_no_group_can_run_ends_with_the_reason_and_leaves_the_others() -> None:
    queue = TrialQueue([*jobs(a_trial(20)), *jobs(a_trial(8), shape=TWO)], lambda event: None)
    queue.cancel_pending(TWO, Outcome.INFEASIBLE, "one node has 1 CPU")
    snapshot = queue.snapshot()
    assert [(ended.outcome, ended.reason) for ended in snapshot.ended] == [(Outcome.INFEASIBLE, "one node has 1 CPU")]
    assert queue.waiting() == {ONE: 1}


def test_a_snapshot_counts_cost_and_epochs_and_leaves_out_what_was_seen() -> None:
    queue, _ = a_queue(a_trial(44), a_trial(32), a_trial(8))
    queue.end("g", finished(leased(queue)))
    running = leased(queue)
    queue.emit("g", EpochEnded(trial_id=running.trial.id, attempt=1, epoch=7, values={}))
    snapshot = queue.snapshot(1)
    assert (snapshot.total, snapshot.waiting, snapshot.ended_count, snapshot.ended) == (3, 1, 1, ())
    assert snapshot.cost_total == 84.0
    assert snapshot.cost_done == pytest.approx(44.0 + 32.0 * 7 / 12)
    assert [(one.epoch, one.epochs) for one in snapshot.running] == [(7, 12)]


def test_a_trial_whose_end_cannot_be_recorded_is_still_leased_and_can_end_again() -> None:
    full = [True]

    def record(_event: Event) -> None:
        if full[0]:
            raise StorageError("no space left")

    queue = TrialQueue(jobs(a_trial()), record)
    lease = leased(queue)
    with pytest.raises(StorageError):
        queue.end("g", finished(lease))
    full[0] = False
    queue.end("g", finished(lease))
    assert queue.snapshot().done


def test_what_was_given_up_leaves_nothing_to_wait_for() -> None:
    queue = TrialQueue([*jobs(a_trial(20)), *jobs(a_trial(8), shape=TWO)], lambda event: None)
    queue.cancel_pending(TWO, Outcome.INFEASIBLE, "one node has 1 CPU")
    snapshot = queue.snapshot()
    assert (snapshot.cost_done, snapshot.cost_total) == (0.0, 20.0)


def test_a_thousand_trials_pass_exactly_once_through_groups_that_die_at_random() -> None:
    import random

    dice = random.Random(5)
    trials = [a_trial(depth, seed) for seed in range(250) for depth in (44, 32, 20, 8)]
    queue, record = a_queue(*trials, max_attempts=1000)
    groups = [f"g{number}" for number in range(7)]
    held: dict[str, Lease] = {}
    while not queue.snapshot(len(trials)).done:
        group = dice.choice(groups)
        if group not in held:
            lease = queue.lease(group, ONE)
            if lease is not None:
                held[group] = lease
        elif dice.random() < 0.2:
            del held[group]
            queue.release_leases(group)
        else:
            queue.end(group, finished(held.pop(group)))
    final = [event.trial_id for event in record if isinstance(event, TrialEnded) and event.final]
    assert sorted(final) == sorted(trial.id for trial in trials)


def test_a_thousand_trials_start_in_order_of_cost_but_for_the_seeds_of_one_cell_that_follow_each_other() -> None:
    """Workers are simulated, and their trials take as long as they cost: the first free worker leases next."""
    cells = [a_trial(depth) for depth in range(8, 8 + 6 * 100, 6)]
    trials = [replace(cell, seed=seed) for cell in reversed(cells) for seed in range(10)]
    queue, record = a_queue(*trials)
    costs = {job.trial.id: job.cost for job in jobs(*trials)}
    free_at = [(0.0, worker) for worker in range(16)]
    held: dict[int, Lease] = {}
    started: list[str] = []
    waiting = dict(costs)
    while free_at:
        now, worker = heapq.heappop(free_at)
        before = held.pop(worker, None)
        if before is not None:
            queue.end(f"g{worker}", finished(before))
        lease = queue.lease(f"g{worker}", ONE)
        if lease is None:
            continue
        same_cell = before is not None and before.trial.cell_id == lease.trial.cell_id
        assert same_cell or waiting[lease.trial.id] == max(waiting.values())
        held[worker] = lease
        started.append(lease.trial.id)
        del waiting[lease.trial.id]
        heapq.heappush(free_at, (now + costs[lease.trial.id], worker))
    assert len(trials) == 1000
    assert sorted(started) == sorted(costs)
    final = [event.trial_id for event in record if isinstance(event, TrialEnded) and event.final]
    assert sorted(final) == sorted(costs)
    assert queue.snapshot().done


def a_watched_queue(*trials: Trial, **limits: float) -> tuple[TrialQueue, list[Event], Clock]:
    record: list[Event] = []
    clock = Clock()
    return TrialQueue(jobs(*trials), record.append, Limits(**limits), clock), record, clock  # type: ignore[arg-type]


def test_a_trial_that_stands_still_is_ended_and_leased_again_and_its_group_named() -> None:
    queue, record, clock = a_watched_queue(a_trial(44), stall_timeout_s=60.0)
    stuck = leased(queue, "stuck")
    queue.heartbeat("stuck", 17)
    clock.now_s += 61
    queue.heartbeat("stuck", 17)  # the process answers, but no step has ended
    assert queue.expire_hung() == ("stuck",)
    (ended,) = record
    assert isinstance(ended, TrialEnded)
    assert (ended.outcome, ended.final) == (Outcome.FAILED, False)
    assert "no step ended for 60 s" in ended.reason
    again = leased(queue, "heir")
    assert (again.trial, again.attempt) == (stuck.trial, 2)
    with pytest.raises(LeaseLost):
        queue.end("stuck", finished(stuck))


def test_a_slow_trial_whose_steps_go_on_does_not_hang() -> None:
    queue, record, clock = a_watched_queue(a_trial(44), stall_timeout_s=60.0)
    leased(queue)
    for step in range(10):
        clock.now_s += 59
        queue.heartbeat("g", step)
        assert queue.expire_hung() == ()
    assert record == []


def test_a_group_that_says_nothing_at_all_hangs_and_an_event_is_a_sign_of_life() -> None:
    queue, _, clock = a_watched_queue(a_trial(44), stall_timeout_s=60.0)
    lease = leased(queue)
    clock.now_s += 59
    queue.emit("g", EpochEnded(trial_id=lease.trial.id, attempt=1, epoch=1, values={}))
    clock.now_s += 59
    assert queue.expire_hung() == ()
    clock.now_s += 2
    assert queue.expire_hung() == ("g",)


def test_a_trial_out_of_time_in_a_step_that_never_ends_is_timed_out_for_good() -> None:
    queue, record, clock = a_watched_queue(a_trial(44), trial_timeout_s=600.0, grace_s=30.0)
    leased(queue)
    clock.now_s += 629
    assert queue.expire_hung() == ()  # it may still end by itself, with a checkpoint
    clock.now_s += 2
    assert queue.expire_hung() == ("g",)
    (ended,) = record
    assert isinstance(ended, TrialEnded)
    assert (ended.outcome, ended.final) == (Outcome.TIMED_OUT, True)
    assert "600 s" in ended.reason
    assert queue.snapshot().done


def test_each_attempt_has_the_time_of_a_whole_trial() -> None:
    queue, _, clock = a_watched_queue(a_trial(44), trial_timeout_s=600.0)
    leased(queue)
    clock.now_s += 500
    queue.release_leases("g")
    leased(queue)
    clock.now_s += 500
    assert queue.expire_hung() == ()


def test_the_reason_why_a_group_was_lost_becomes_that_of_its_trial() -> None:
    queue, record = a_queue(a_trial(44), a_trial(32))
    leased(queue)
    queue.groups.note_loss_reason("g", "worker 1 on beta was killed")
    queue.release_leases("g")
    leased(queue)
    queue.groups.note_loss_reason("g", "beta ran out of memory", True)
    queue.release_leases("g")
    ends = [event for event in record if isinstance(event, TrialEnded)]
    assert [(end.outcome, end.final, end.reason) for end in ends] == [
        (Outcome.FAILED, False, "worker 1 on beta was killed"),
        (Outcome.OUT_OF_MEMORY, True, "beta ran out of memory"),
    ]


def test_the_reason_of_an_end_holds_no_password_of_an_address() -> None:
    queue, record = a_queue(a_trial())
    leased(queue)
    queue.groups.note_loss_reason("g", "ConnectionError: https://me:planted@data.example/train cannot be read")
    queue.release_leases("g")
    (ended,) = record
    assert isinstance(ended, TrialEnded)
    assert ended.reason == "ConnectionError: https://***@data.example/train cannot be read"

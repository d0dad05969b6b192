"""A call that may never return, made in the background."""

from __future__ import annotations

import threading
import time

import pytest

from harness.cluster.background_call import BackgroundCall


def settled(call: BackgroundCall) -> None:
    """Wait until a call is done."""
    deadline = time.monotonic() + 10
    while call.elapsed_s:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_an_errand_is_done_once_each_time_and_never_twice_at_once() -> None:
    begun, go_on, done = threading.Semaphore(0), threading.Semaphore(0), []

    def action() -> None:
        begun.release()
        go_on.acquire(timeout=10)
        done.append(threading.current_thread())

    call = BackgroundCall(action)
    for times in (1, 2):
        call.start()
        assert begun.acquire(timeout=10)
        call.start()
        go_on.release()
        settled(call)
        assert len(done) == times
    assert threading.current_thread() not in done
    assert all(thread.daemon for thread in done), "a process could not end before the call returns"


def test_how_long_it_takes_is_known_while_it_hangs() -> None:
    now, end = [100.0], threading.Event()
    call = BackgroundCall(lambda: end.wait(10) and None, clock=lambda: now[0])
    assert call.elapsed_s == 0
    call.start()
    now[0] = 142.0
    assert call.elapsed_s == 42.0
    call.join(timeout_s=0.01)
    assert call.elapsed_s
    end.set()
    call.join(timeout_s=10)
    assert call.elapsed_s == 0


def test_what_it_raised_is_raised_where_it_is_asked_for_next() -> None:
    def action() -> None:
        raise ValueError("the head says no")

    call = BackgroundCall(action)
    call.start()
    settled(call)
    with pytest.raises(ValueError, match="the head says no"):
        call.start()

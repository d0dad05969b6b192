"""A call that may never return, made in the background."""

from __future__ import annotations

import threading
import time

import pytest

from harness.cluster.errand import Errand


def settled(errand: Errand) -> None:
    """Return when it is done."""
    deadline = time.monotonic() + 10
    while errand.waiting_s:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_an_errand_is_done_once_each_time_and_never_twice_at_once() -> None:
    begun, go_on, done = threading.Semaphore(0), threading.Semaphore(0), []

    def action() -> None:
        begun.release()
        go_on.acquire(timeout=10)
        done.append(threading.current_thread())

    errand = Errand(action)
    for times in (1, 2):
        errand.go()
        assert begun.acquire(timeout=10)
        errand.go()
        go_on.release()
        settled(errand)
        assert len(done) == times
    assert threading.current_thread() not in done
    assert all(thread.daemon for thread in done), "a process could not end before the call returns"


def test_how_long_it_takes_is_known_while_it_hangs() -> None:
    now, end = [100.0], threading.Event()
    errand = Errand(lambda: end.wait(10) and None, clock=lambda: now[0])
    assert errand.waiting_s == 0
    errand.go()
    now[0] = 142.0
    assert errand.waiting_s == 42.0
    errand.rest(timeout_s=0.01)
    assert errand.waiting_s
    end.set()
    errand.rest(timeout_s=10)
    assert errand.waiting_s == 0


def test_what_it_raised_is_raised_where_it_is_asked_for_next() -> None:
    def action() -> None:
        raise ValueError("the head says no")

    errand = Errand(action)
    errand.go()
    settled(errand)
    with pytest.raises(ValueError, match="the head says no"):
        errand.go()

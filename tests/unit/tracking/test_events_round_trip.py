"""An event is the same after encoding and decoding, whatever floats and texts it holds."""

from __future__ import annotations

import json
import math
from dataclasses import fields

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.events import (
    ArtifactWritten,
    EpochEnded,
    Event,
    Monitored,
    SweepEnded,
    SweepStarted,
    TrialEnded,
    TrialStarted,
    decode,
    encode,
)
from harness.schema import Outcome

texts = st.text(max_size=20)
values = st.dictionaries(texts, st.floats(), max_size=5)
times = st.integers(min_value=0, max_value=2**53)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
records = st.dictionaries(texts, json_values, max_size=3)

events = st.one_of(
    st.builds(
        SweepStarted,
        sweep_id=texts,
        name=texts,
        experiment=texts,
        description=texts,
        workload_text=texts,
        trials=st.lists(records, max_size=3).map(tuple),
        reused=st.dictionaries(texts, texts, max_size=3),
        plan=records,
        environment=records,
        time_ms=times,
    ),
    st.builds(
        TrialStarted,
        trial_id=texts,
        attempt=st.integers(1, 9),
        tags=st.dictionaries(texts, texts, max_size=3),
        resumed_epoch=st.none() | st.floats(0, 1000),
        time_ms=times,
    ),
    st.builds(
        EpochEnded, trial_id=texts, attempt=st.integers(1, 9), epoch=st.integers(0), values=values, time_ms=times
    ),
    st.builds(ArtifactWritten, trial_id=texts, attempt=st.integers(1, 9), path=texts, time_ms=times),
    st.builds(
        Monitored,
        trial_id=texts,
        attempt=st.integers(1, 9),
        points=st.lists(st.fixed_dictionaries({"time_ms": times, "step": times, "values": values}), max_size=3).map(
            tuple
        ),
        tags=st.dictionaries(texts, texts, max_size=3),
        time_ms=times,
    ),
    st.builds(
        TrialEnded,
        trial_id=texts,
        attempt=st.integers(1, 9),
        outcome=st.sampled_from(Outcome),
        final=st.booleans(),
        reason=texts,
        results=values,
        time_ms=times,
    ),
    st.builds(SweepEnded, status=texts, time_ms=times),
)


@settings(deadline=None)  # a busy machine is no fault
@given(events)
def test_an_event_survives_its_line(event: Event) -> None:
    line = encode(event)
    assert "\n" not in line
    again = decode(line)
    assert type(again) is type(event)
    assert all(same(getattr(again, field.name), getattr(event, field.name)) for field in fields(event))


@settings(deadline=None)  # a busy machine is no fault
@given(events)
def test_encoding_again_gives_the_same_line(event: Event) -> None:
    assert encode(decode(encode(event))) == encode(event)


def test_nan_and_infinity_are_kept() -> None:
    event = EpochEnded(
        trial_id="t", attempt=1, epoch=1, values={"nan": math.nan, "up": math.inf, "down": -math.inf}, time_ms=0
    )
    again = decode(encode(event))
    assert isinstance(again, EpochEnded)
    assert math.isnan(again.values["nan"])
    assert (again.values["up"], again.values["down"]) == (math.inf, -math.inf)


def test_a_line_is_one_json_object_that_names_its_kind() -> None:
    assert json.loads(encode(SweepEnded(status="stopped", time_ms=7))) == {
        "event": "SweepEnded",
        "status": "stopped",
        "time_ms": 7,
    }


def same(left: object, right: object) -> bool:
    """Return whether two values are equal, where NaN equals NaN."""
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right

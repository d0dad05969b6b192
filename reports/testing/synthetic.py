"""A synthetic sweep: given errors and curves in the form that MLflow returns, for tests and previews.

Its numbers come from closed forms, with a checksum instead of noise, so they are the same on every machine.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.schema import ERROR_LADDER_PCT, Outcome, time_to_error
from harness.tracking.results import SweepResults

EPOCHS = 12
TRAIN_IMAGES, TEST_IMAGES = 1437, 360
STARTED_MS = 1_760_000_000_000

PlantedError = Callable[[str, int, int], float]
"""Function from shortcut, depth and seed to a final training error in percent."""


def degrading(shortcut: str, depth: int, seed: int) -> float:
    """Return an error that grows with depth for plain networks, and is at most an image or two for residual ones."""
    deviation = jitter("error", shortcut, depth, seed)
    if shortcut == "plain":
        return max(0.0, 0.9 * (depth - 8) + (0.3 + 0.1 * (depth - 8)) * (deviation + 1))
    return 100 * int(1.6 * (deviation + 0.6)) / TRAIN_IMAGES if deviation > 0 else 0.0


def jitter(*parts: object) -> float:
    """Return a number in [-1, 1) that depends only on the arguments."""
    return zlib.crc32("/".join(map(str, parts)).encode()) / 2**31 - 1


def synthetic_sweep(
    *,
    depths: Sequence[int] = (8, 20, 32, 44),
    shortcuts: Sequence[str] = ("plain", "A", "B"),
    seeds: Sequence[int] = (0, 1, 2),
    error: PlantedError = degrading,
    outcomes: Mapping[tuple[str, int, int], str] | None = None,
    reasons: Mapping[tuple[str, int, int], str] | None = None,
    status: str = "finished",
    name: str = "digits-20251009-085320",
    claims: Sequence[str] | None = ("plain-degrades-with-depth", "residual-does-not-degrade"),
    epochs: int = EPOCHS,
) -> SweepResults:
    """Build one sweep over depth, shortcut and seed; `outcomes` lists the trials that did not finish normally."""
    outcomes, reasons = outcomes or {}, reasons or {}
    keys = [(shortcut, depth, seed) for depth in depths for shortcut in shortcuts for seed in seeds]
    rows = [_row(*key, error(*key), outcomes.get(key, Outcome.FINISHED), reasons.get(key, "")) for key in keys]
    points = [point for key, row in zip(keys, rows, strict=True) for point in _curves(key, row, error(*key), epochs)]
    return SweepResults(
        sweep_id="5eed5eed5eed5eed",
        name=name,
        experiment="digits",
        run_id="0123456789abcdef0123456789abcdef",
        status=status,
        description="The degradation of plain networks and its cure, on 1,797 handwritten digits.",
        workload_text="name: digits\ndataset: digits\n",
        plan=_plan(shortcuts, depths, claims),
        environment={"python": "3.11.9", "platform": "Linux", "git.commit": "0" * 40, "git.dirty": False},
        started_ms=STARTED_MS,
        ended_ms=STARTED_MS + 150_000 if status == "finished" else None,
        trials=pd.DataFrame(rows),
        curves=pd.DataFrame(points, columns=["trial_id", "key", "epoch", "value"]),
        activity=pd.DataFrame(
            [point for row in _longest(rows) for point in _activity(row)],
            columns=["trial_id", "node", "source", "quantity", "elapsed_s", "value"],
        ),
    )


def params_of(shortcut: str, depth: int) -> int:
    """Return roughly the parameters of such a network on 8x8 images."""
    return 97 * depth * depth + 75_000 + (2_752 if shortcut == "B" else 0)


def macs_of(shortcut: str, depth: int) -> int:
    """Return roughly the multiply-accumulates of such a network on 8x8 images."""
    return 147_456 * depth + (16_384 if shortcut == "B" else 0)


def _plan(shortcuts: Sequence[str], depths: Sequence[int], claims: Sequence[str] | None) -> dict[str, Any]:
    audit = [
        {
            "cell_id": f"cell-{label_of(shortcut, depth)}",
            "label": label_of(shortcut, depth),
            "params": params_of(shortcut, depth),
            "macs": macs_of(shortcut, depth),
            "published_params": None,
            "published_macs": None,
            "source": None,
            "convention": None,
            "within": None,
        }
        for depth in depths
        for shortcut in shortcuts
    ]
    plan = {"audit": audit, "deviations": [_ledger(str(row["cell_id"]), str(row["label"])) for row in audit]}
    return plan if claims is None else {**plan, "claims": list(claims)}


def _ledger(cell_id: str, label: str) -> dict[str, Any]:
    """Return the harness's record of deviations from the first paper; it has no training of the shallowest network."""
    deviations = [
        {"name": "dataset.name", "published": "cifar10", "used": "digits"},
        {"name": "recipe.length", "published": "64000 iterations", "used": f"{EPOCHS} epochs"},
    ]
    if label.endswith("-8") or "-8-" in label:
        return {"cell_id": cell_id, "label": label, "source": None, "deviations": []}
    source = "He 2015 (arXiv 1512.03385), section 4.2"
    return {"cell_id": cell_id, "label": label, "source": source, "deviations": deviations}


def label_of(shortcut: str, depth: int) -> str:
    """Return the harness's label of a cell."""
    return f"plain-{depth}" if shortcut == "plain" else f"resnet-{depth}-{shortcut}"


def _row(shortcut: str, depth: int, seed: int, error_pct: float, outcome: str, reason: str) -> dict[str, Any]:
    label = label_of(shortcut, depth)
    row: dict[str, Any] = {
        "trial_id": f"{zlib.crc32(f'{label}/{seed}'.encode()):08x}" * 2,
        "cell_id": f"cell-{label}",
        "label": label,
        "seed": seed,
        "run_id": None if outcome == "missing" else f"{zlib.crc32(f'run/{label}/{seed}'.encode()):08x}" * 4,
        "outcome": str(outcome),
        "reason": reason,
        "attempt": None if outcome == "missing" else 1,
        "model.name": "resnet_cifar",
        "model.depth": depth,
        "model.shortcut": shortcut,
        "model.width": 16,
        "dataset.name": "digits",
        "dataset.fingerprint": "d161750d161750d1",
        "recipe.epochs": EPOCHS,
        "recipe.batch_size": 64,
        "recipe.lr": 0.1,
        "recipe.schedule": "linear",
        "scale.workers": 1,
        "scale.device": "cpu",
    }
    if outcome in (Outcome.FINISHED, Outcome.DIVERGED):
        row |= _metrics(shortcut, depth, seed, error_pct) | _tags()
    return row


def _metrics(shortcut: str, depth: int, seed: int, error_pct: float) -> dict[str, float]:
    speed = 60_000 / depth * (1 + 0.03 * jitter("speed", shortcut, depth, seed))
    return {
        "final/train_error_pct": error_pct,
        "final/test_error_pct": test_error(shortcut, depth, seed, error_pct),
        "final/train_images": TRAIN_IMAGES,
        "final/test_images": TEST_IMAGES,
        "model/params": params_of(shortcut, depth),
        "model/macs": macs_of(shortcut, depth),
        "speed/images_per_s": speed,
        "time/total_s": EPOCHS * TRAIN_IMAGES / speed + 0.4,
        **_milestones(test_error(shortcut, depth, seed, error_pct), TRAIN_IMAGES / speed),
        "device/memory_peak_gib": 0.02 * depth,
    }


def _milestones(final_error_pct: float, epoch_s: float) -> dict[str, float]:
    """Return the times of an error that falls evenly from 90 % in the first epoch; an evaluation takes 0.05 s."""
    times = {}
    for pct in ERROR_LADDER_PCT:
        if final_error_pct <= pct:
            epoch = 1 + math.ceil((EPOCHS - 1) * (90 - pct) / (90 - final_error_pct))
            times[time_to_error(pct, evaluation=False)] = epoch * epoch_s
            times[time_to_error(pct, evaluation=True)] = epoch * (epoch_s + 0.05)
    return times


def _tags() -> dict[str, str]:
    return {
        "device.name": "AMD EPYC 7B13",
        "device.count": "1",
        "version.python": "3.11.9",
        "version.torch": "2.9.1",
        "version.ray": "2.60.0",
        "git.commit": "0" * 40,
    }


def test_error(shortcut: str, depth: int, seed: int, error_pct: float) -> float:
    """Return a test error slightly above the training error, in whole images."""
    wanted = error_pct + 2.2 - 0.02 * depth + 0.6 * jitter("test", shortcut, depth, seed)
    return 100 * round(wanted / 100 * TEST_IMAGES) / TEST_IMAGES


def _curves(
    key: tuple[str, int, int], row: Mapping[str, Any], error_pct: float, epochs: int
) -> list[tuple[str, str, int, float]]:
    if "final/train_error_pct" not in row:
        return []
    last = epochs // 2 if row["outcome"] == Outcome.DIVERGED else epochs
    return [
        (row["trial_id"], name, epoch, max(0.0, end + (90 - end) * 0.62**epoch + 1.5 * jitter(*key, name, epoch)))
        for name, end in (("test/error_pct", row["final/test_error_pct"]), ("train/error_pct", error_pct))
        for epoch in range(1, last + 1)
    ]


MOST_WATCHED = 6


def _longest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the longest trial of each depth, for the first six depths."""
    longest: dict[int, Mapping[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["model.depth"]):
        if row.get("time/total_s", 0.0) > longest.get(row["model.depth"], {}).get("time/total_s", 0.0):
            longest[row["model.depth"]] = row
    return list(longest.values())[:MOST_WATCHED]


def _activity(row: Mapping[str, Any]) -> list[tuple[str, str, str, str, float, float]]:
    """Return the activity of a host without a GPU, per second: more load for deeper networks, growing memory."""
    trial_id, depth, seconds = row["trial_id"], row["model.depth"], range(int(row["time/total_s"]) + 1)
    busy = [min(99.0, 50 + 0.8 * depth + 4 * jitter("cpu", trial_id, second)) for second in seconds]
    used = [min(99.0, 20 + 0.05 * depth * (1 - 0.8**second)) for second in seconds]
    return [
        (trial_id, "", "host", quantity, second + 0.5, value)
        for quantity, values in (("host_cpu_pct", busy), ("host_memory_pct", used))
        for second, value in zip(seconds, values, strict=True)
    ]

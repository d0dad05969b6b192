"""MLflow's own names for the activity of a node, so that its System metrics tab shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.measure import host, nvml
from harness.schema import ACTIVITIES

MOST_SERIES = 5
"""Most series of one run: with some 60 metrics MLflow's compare page is unusable. The file of readings has all of
them."""

_NAMES = {
    # Most useful first: if there are too many devices, all of them get the first name before any gets the next.
    nvml.BUSY: ACTIVITIES["busy_pct"].name,
    nvml.POWER: ACTIVITIES["power_w"].name,
    host.CPU: ACTIVITIES["host_cpu_pct"].name,
    nvml.MEMORY_PCT: ACTIVITIES["memory_pct"].name,
    host.MEMORY_PCT: ACTIVITIES["host_memory_pct"].name,
}


def series_name(node: str, source: str, metric: str, *, alone: bool) -> str:
    """Return a name such as `system/gpu_0_utilization_percentage`. With several nodes it has the node, as in MLflow."""
    where = "" if alone else re.sub(r"[^A-Za-z0-9_.-]", "_", node) + "/"
    return f"system/{where}{_NAMES[metric].format(source=source)}"


def shown_series(sources: Mapping[str, Sequence[str]]) -> dict[tuple[str, str, str], str]:
    """Choose the readings that become series of the run: (host, source, metric) -> name.

    Args:
        sources: host -> names of its sources: `gpu_0`, `gpu_1`, ..., `host`.
    """
    everything = [
        (node, source, metric)
        for metric in _NAMES
        for node, names in sources.items()
        for source in names
        if (metric in host.COLUMNS) == (source == "host")
    ]
    alone = len(sources) == 1
    return {key: series_name(*key, alone=alone) for key in everything[:MOST_SERIES]}

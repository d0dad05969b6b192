"""Removal of names of machines and people from a sweep's results, before they are given away.

Names of hosts become `host-1`, `host-2`, ..., so that trials on one host can still be recognized. Paths and addresses
become placeholders. Names of devices and versions stay, because a number means nothing without them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.network import without_secrets
from harness.schema import Tag

if TYPE_CHECKING:
    import pandas as pd

    from harness.tracking.results import SweepResults

ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>)\]]+", re.IGNORECASE)
"""Pattern of an address with its scheme: a tracking server, a bucket, a file."""
IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?(?![\w.])")
PATH = re.compile(r"(?<![\w.:/<])~?/(?:[\w.@%+~=-]+/?)+")

_HOSTS, _LAYOUT = "host.names", Tag.GROUP_LAYOUT.value
_FREE_TEXT = {"reason", _HOSTS, _LAYOUT, Tag.MONITOR_ABSENT.value}
"""Columns whose texts can name a host. Settings and labels hold only the sweep's own words."""
_SERIAL = Tag.DEVICE_IDS.value
"""Column that identifies a machine's devices worldwide; it is removed."""
_PRIVATE_FACTS = {"host", "user", "cwd", "argv", "storage", "tracking_uri", "address"}
"""Facts of the environment that reveal where it is and do not affect the measurements."""


def scrubbed(results: SweepResults) -> SweepResults:
    """Return the results without names of hosts, paths and addresses."""
    hosts = _hosts(results)
    everything = _cleaner(hosts)
    environment = {key: value for key, value in results.environment.items() if key not in _PRIVATE_FACTS}
    return dataclasses.replace(
        results,
        description=everything(results.description),
        workload_text=everything(results.workload_text),
        plan=_walk(results.plan, _without_addresses),
        environment=_walk(environment, everything),
        trials=_clean_columns(results.trials.drop(columns=_SERIAL, errors="ignore"), everything),
        activity=results.activity.assign(node=results.activity["node"].map(everything)),
    )


def _hosts(results: SweepResults) -> Sequence[str]:
    """Return every host name in the results, in a fixed order."""
    names = {str(results.environment.get("host") or ""), *map(str, results.activity["node"].unique())}
    for column in {_HOSTS} & set(results.trials.columns):
        names.update(name for text in results.trials[column].dropna() for name in str(text).split())
    for column in {_LAYOUT} & set(results.trials.columns):
        parts = (part for text in results.trials[column].dropna() for part in str(text).split(";"))
        names.update(part.partition(":")[0].strip() for part in parts)
    return sorted(names - {""})


def _cleaner(hosts: Sequence[str]) -> Callable[[str], str]:
    pseudonyms = {name: f"host-{number}" for number, name in enumerate(hosts, 1)}
    longest_first = "|".join(re.escape(name) for name in sorted(hosts, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])(?:{longest_first})(?![\w-])") if hosts else None

    def clean(text: str) -> str:
        named = text if pattern is None else pattern.sub(lambda found: pseudonyms[found[0]], text)
        return IPV4.sub("<address>", _without_addresses(named))

    return clean


def _without_addresses(text: str) -> str:
    return PATH.sub("<path>", ADDRESS.sub("<address>", without_secrets(text)))  # a password may hold spaces


def _clean_columns(trials: pd.DataFrame, everything: Callable[[str], str]) -> pd.DataFrame:
    cleaned = {
        name: trials[name].map(
            lambda value, clean=everything if name in _FREE_TEXT else _without_addresses: _walk(value, clean)
        )
        for name in trials.columns
        if any(isinstance(value, str | list | dict) for value in trials[name])
    }
    return trials.assign(**{name: column.astype(trials[name].dtype) for name, column in cleaned.items()})


def _walk(value: Any, clean: Callable[[str], str]) -> Any:
    """Apply a function to every text in a value of nested mappings and lists."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {key: _walk(inner, clean) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(inner, clean) for inner in value]
    return value

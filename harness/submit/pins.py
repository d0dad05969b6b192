"""The requirements that `--pip` installs: every package that the harness needs, in the version installed here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.package import DISTRIBUTION

LEFT_OUT = frozenset({"ray"})
"""Packages that are not pinned. A job runs with the Ray of its cluster, and Ray refuses to install another."""


def pinned_requirements(distribution: str = DISTRIBUTION) -> tuple[str, ...]:
    """Return `name==version` of every distribution that the named one needs here, by name, without itself and Ray.

    The suffix of a local build (+cu130) is left out too: an index knows the version without it.
    """
    found: dict[str, str] = {}
    waiting = list(_needed(Requirement(distribution)))
    seen = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue  # needed on another platform only
        found[key[0]] = re.sub(r"\+.*", "", version)
        waiting += _needed(requirement)
    return tuple(f"{name}=={found[name]}" for name in sorted(found) if name not in LEFT_OUT)


def _needed(requirement: Requirement) -> Iterator[Requirement]:
    """Yield the requirements of a requirement, with its extras, on this platform."""
    for text in metadata.requires(requirement.name) or []:
        needed = Requirement(text)
        extras = requirement.extras or {""}
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
            yield needed

"""Private names of Ray: each is still there, and none is used elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.cluster.ray_internals import PRIVATE_NAMES

ROOT = Path(__file__).parents[3]
PRIVATE = re.compile(
    r"\bray\.[\w.]*_(?:private|internal|raylet|common)\b|\bray\.train\.v2\.api\.(?!callback\b)|\bray\.dashboard\.utils\b"
)


@pytest.mark.parametrize("name", PRIVATE_NAMES)
def test_this_version_of_ray_has_the_private_name(name: str) -> None:
    found = PRIVATE_NAMES[name]
    assert found.find() is not None, f"{found.path} is gone; without it: {found.without}"


def test_no_other_file_uses_a_private_name_of_ray() -> None:
    files = [path for path in (ROOT / "harness").rglob("*.py") if path.name != "ray_internals.py"]
    assert [str(path) for path in files if PRIVATE.search(path.read_text())] == []

"""Docstrings are sentences or noun phrases that a reader understands at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "models", "reports", "tests", "workloads")


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring of a file, those below constants and fields included."""
    bodies = [
        node.body for node in ast.walk(ast.parse(path.read_text())) if isinstance(getattr(node, "body", None), list)
    ]
    for statement in (one for body in bodies for one in body if isinstance(one, ast.Expr)):
        if isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
            yield statement.lineno, statement.value.value


def test_no_docstring_begins_with_of() -> None:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        for line, text in docstrings(path)
        if text.startswith("Of ")
    ]
    assert found == []
    assert sum(1 for path in files for _ in docstrings(path)) > 2000

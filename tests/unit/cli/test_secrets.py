"""No command shows a secret of an address, wherever the address stands and however a library repeats it."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from harness.results.anonymize import scrubbed
from harness.results.bundle import SAMPLE, read_bundle
from tests.unit.cli.conftest import Harness

ROOT = Path(__file__).parents[3]
SECRETS = (
    "http://me:planted@127.0.0.1:9",
    "http://planted:@127.0.0.1:9",
    "http://me:a/planted@127.0.0.1:9",
    "http://me:a@planted@127.0.0.1:9",
    "http://me:a planted b@127.0.0.1:9",
    "http://127.0.0.1:9/?token=planted",
    "postgresql://me:planted/x@127.0.0.1:9/db",
    "htp://me:planted@127.0.0.1:9",
    "me:planted@127.0.0.1:9",
)


@pytest.mark.parametrize("uri", SECRETS)
@pytest.mark.parametrize("command", [("ui",), ("doctor",), ("list", "sweeps"), ("list", "sweeps", "--debug")])
def test_no_command_shows_a_secret_of_the_tracking_address(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, uri: str, command: tuple[str, ...]
) -> None:
    arguments: list[object] = []
    monkeypatch.setattr(os, "execve", lambda _program, given, _environment: arguments.extend(given))
    done = harness(*command, "--tracking-uri", uri)
    assert "planted" not in f"{done.out} {done.err} {arguments}"
    assert "127.0.0.1" in done.out + done.err


def test_a_report_links_to_a_server_without_its_password(harness: Harness, folder: Path) -> None:
    done = harness("report", "--sample", "--mlflow-url", "http://me:planted@mlflow.example/ml?token=planted")
    assert done.code == 0, done.err
    page = (folder / next(folder.glob("out/sample/*/index.html"))).read_text()
    assert "http://mlflow.example/ml/#/runs/" in page
    assert "planted" not in page


def test_a_bundle_holds_no_part_of_a_password_with_spaces() -> None:
    from dataclasses import replace

    results = replace(read_bundle(SAMPLE), description="as in HTTP://me:a planted b@mlflow.example/x, read it")
    assert scrubbed(results).description == "as in <address> read it"


def test_no_message_is_made_with_a_whole_address() -> None:
    """Every text with an address in it goes through `display` or `hide`, or names it as a value that is no text."""
    found = set()
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name | ast.Attribute):
                name = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
                if name in {"uri", "_uri", "tracking_uri", "mlflow_url"}:
                    found.add(f"{path.relative_to(ROOT)}: {ast.unparse(node.value)}")
    assert found == set()

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.tracking import address


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000",
        "https://tracking.example",
        "sqlite:////var/lib/mlflow.db",
        "postgresql://me@db.example/mlflow",
        "mysql+pymysql://me:secret@db.example:3306/mlflow",
        "databricks",
    ],
)
def test_what_mlflow_can_use_is_left_as_it_is(uri: str) -> None:
    assert address.resolve(uri) == uri


def test_a_relative_sqlite_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address.resolve("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert address.resolve("") == f"sqlite:///{tmp_path}/mlflow.db"
    assert address.sqlite_path(address.resolve("sqlite:///a/b.db")) == tmp_path / "a" / "b.db"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("htp://127.0.0.1:5000", "give a server"),
        ("127.0.0.1:5000", "give a server"),
        ("mlruns", "give a server"),
        ("file:///tmp/mlruns", "give a server"),
        ("http://", "names no host"),
        ("http://:5000", "names no host"),
        ("postgresql:///mlflow", "names no host"),
        ("http://host:fivethousand", "malformed"),
        ("http://[::1", "malformed"),
        ("sqlite://", "give a server"),
        ("sqlite:///", "keeps nothing"),
        ("sqlite:///:memory:", "keeps nothing"),
    ],
)
def test_what_cannot_be_used_is_told_with_what_can(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        address.resolve(uri)


def test_a_password_is_never_shown() -> None:
    assert address.display("https://me:hunter2@tracking.example/x") == "https://me:***@tracking.example/x"
    assert "hunter2" not in address.display("cannot ask http://me:hunter2@host:5000/api: refused")
    for malformed in ("http://me:hunter2@host:port", "http://me:hunter2@[::1"):
        with pytest.raises(UsageError) as caught:
            address.resolve(malformed)
        assert "hunter2" not in str(caught.value)


def test_the_fingerprint_tells_stores_apart() -> None:
    assert address.fingerprint("http://a:1") == address.fingerprint("http://a:1")
    assert address.fingerprint("http://a:1") != address.fingerprint("http://a:2")

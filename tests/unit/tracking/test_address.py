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


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "mysql+pymysql", "s3", "ray"])
@pytest.mark.parametrize(
    "secret",
    ["me:planted@", "me:p/planted@", "me:p@planted@", "me:a planted b@", "planted@", ":planted@", "me:planted%40@"],
)
def test_no_secret_of_an_address_is_shown(scheme: str, secret: str) -> None:
    assert address.display(f"{scheme}://{secret}host:5000/x") == f"{scheme}://***@host:5000/x"
    shown = address.display(f"cannot ask {scheme}://{secret}host:5000/api: refused; see https://docs.example/a")
    assert "planted" not in shown
    assert shown.startswith("cannot ask ")
    assert shown.endswith("@host:5000/api: refused; see https://docs.example/a")


@pytest.mark.parametrize("query", ["?token=planted", "?a=1&password=planted#x", "?sslmode=require&sslpassword=planted"])
def test_no_value_of_a_query_is_shown(query: str) -> None:
    assert "planted" not in address.display(f"postgresql://host/db{query}")


def test_what_holds_no_secret_is_shown_whole() -> None:
    for text in ("sqlite:////home/me@work/mlflow.db", "http://127.0.0.1:5000", "no host; ask me@example.org"):
        assert address.display(text) == text


def test_a_malformed_address_keeps_its_password_too() -> None:
    for malformed in ("http://me:planted@host:port", "http://me:planted@[::1"):
        with pytest.raises(UsageError) as caught:
            address.resolve(malformed)
        assert "planted" not in str(caught.value)


def test_the_fingerprint_tells_stores_apart() -> None:
    assert address.fingerprint("http://a:1") == address.fingerprint("http://a:1")
    assert address.fingerprint("http://a:1") != address.fingerprint("http://a:2")

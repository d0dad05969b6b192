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
        "postgresql://me:a/b?c@db.example/mlflow",
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


@pytest.mark.parametrize("scheme", ["http", "HTTPS", "postgresql", "mysql+pymysql", "sqlite+pysqlcipher", "s3", "ray"])
@pytest.mark.parametrize(
    "secret",
    [
        *(
            "me:planted@",
            "me:p/planted@",
            "me:p@planted@",
            "me:a planted b@",
            "planted@",
            ":planted@",
            "me:planted%40@",
        ),
        *("planted:@", "me:planted://x@", "me:x\nplanted@", "me:p#planted@"),
    ],
)
def test_no_secret_of_an_address_is_shown(scheme: str, secret: str) -> None:
    uri = f"{scheme}://{secret}host:5000/x"
    assert address.display(uri) == f"{scheme}://***@host:5000/x"
    shown = address.hide(f"cannot ask {uri}api: refused; see https://docs.example/a", uri)
    assert "planted" not in shown
    assert shown.startswith("cannot ask ")
    assert shown.endswith("@host:5000/xapi: refused; see https://docs.example/a")


@pytest.mark.parametrize(
    "query",
    [
        *("?token=planted", "?a=1&password=planted#x", "?sslmode=require&sslpassword=planted", "?key=a planted&b=c"),
        *("?token='planted", "?token=a@planted"),
    ],
)
def test_no_value_of_a_query_is_shown(query: str) -> None:
    assert "planted" not in address.display(f"postgresql://host/db{query}")
    assert "planted" not in address.hide("url: /api/2.0" + query.replace(" ", "%20"), f"http://host/{query}")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        # As urllib.parse, urllib3 and psycopg say it of such addresses: with parts of them, and no address.
        ("http://me:planted/x@host", "Port could not be cast to integer value as 'planted'"),
        ("http://me/x:planted@host", "HTTPConnectionPool(host='me', port=80): exceeded with url: /x:planted@host/api"),
        ("postgresql://me:p@planted@host/db", 'could not translate host name "planted@host" to address'),
        ("postgresql://me:plant%65d@host/db", 'password "planted" is wrong'),
        ("https://planted:@host", 'no user "planted"'),
    ],
)
def test_no_part_of_a_secret_is_left_in_a_librarys_message(uri: str, message: str) -> None:
    assert "planted" not in address.hide(message, uri)
    assert address.hide("Connection refused", uri) == "Connection refused"


def test_what_holds_no_secret_is_shown_whole() -> None:
    for text in ("sqlite:////home/me@work/mlflow.db", "http://127.0.0.1:5000", "mlruns"):
        assert address.display(text) == text
    assert address.display("postgresql://mlflow:secret@mlflow-db/mlflow") == "postgresql://***@mlflow-db/mlflow"
    assert address.hide("no host; ask me@example.org", "http://me:secret@host") == "no host; ask me@example.org"


@pytest.mark.parametrize(
    "malformed",
    [
        *("http://me:planted@host:port", "http://me:planted@[::1", "http://me:planted/x@host", "me:planted@host:5000"),
        *("http://me/x:planted@host", "postgresql://me:p@planted@host/db", "htp://me:planted/x@host"),
    ],
)
def test_a_malformed_address_keeps_its_password_too(malformed: str) -> None:
    with pytest.raises(UsageError) as caught:
        address.resolve(malformed)
    assert "planted" not in str(caught.value)


def test_an_address_that_must_be_encoded_says_how() -> None:
    with pytest.raises(UsageError, match="write / as %2F"):
        address.resolve("http://me:a/b@host:5000")


def test_a_page_of_a_server_is_shown_without_its_user_and_its_query() -> None:
    assert address.page_url("http://me:planted@host:5000/ml/?token=planted", "#/x") == "http://host:5000/ml/#/x"


def test_the_fingerprint_tells_stores_apart() -> None:
    assert address.fingerprint("http://a:1") == address.fingerprint("http://a:1")
    assert address.fingerprint("http://a:1") != address.fingerprint("http://a:2")

"""The id of a submission, and the arguments of its driver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from harness.errors import UsageError
from harness.submit.send import entrypoint
from harness.submit.submission import (
    Submission,
    attempt_id,
    attempt_of,
    check_storage,
    driver_environment,
    last_attempt,
)
from harness.workload.load import parse_workload

WORKLOAD = """\
name: tiny
dataset: digits
matrix: {model: resnet_cifar, depth: 8, shortcut: plain}
recipe: quick
seeds: 1
"""
CODE = "c" * 64


def submission(text: str = WORKLOAD) -> Submission:
    return Submission(
        workload=parse_workload("tiny.yaml", text),
        storage=PurePosixPath("/shared/runs"),
        experiment="tiny",
        environment={"MLFLOW_TRACKING_URI": "http://mlflow:5000", "MLFLOW_TRACKING_PASSWORD": "planted"},
    )


def test_the_same_workload_and_code_have_the_same_id_whatever_the_password() -> None:
    changed = replace(submission(), environment={"MLFLOW_TRACKING_URI": "http://mlflow:5000"})
    assert submission().base_id(CODE) == changed.base_id(CODE)
    assert submission().base_id(CODE).startswith("harness-tiny-")


@pytest.mark.parametrize(
    "other",
    [
        submission(WORKLOAD.replace("depth: 8", "depth: 14")),
        replace(submission(), storage=PurePosixPath("/elsewhere")),
        replace(submission(), experiment="other"),
        replace(submission(), environment={"MLFLOW_TRACKING_URI": "http://other:5000"}),
        replace(submission(), arguments=("--max-attempts=5",)),
        replace(submission(), pip=("numpy==2.1.0",)),
        replace(submission(), python="/opt/python"),
        replace(submission(), fresh=True),
    ],
)
def test_whatever_else_the_driver_is_told_is_in_the_id(other: Submission) -> None:
    assert other.base_id(CODE) != submission().base_id(CODE)


def test_other_code_is_another_submission() -> None:
    assert submission().base_id("d" * 64) != submission().base_id(CODE)


def test_two_fresh_submissions_are_never_the_same() -> None:
    fresh = replace(submission(), fresh=True)
    assert fresh.base_id(CODE) != fresh.base_id(CODE)


def test_attempts_are_numbered_from_the_second_on() -> None:
    base = "harness-tiny-2-0123456789ab"
    assert [attempt_id(base, number) for number in (1, 2, 10)] == [base, f"{base}-2", f"{base}-10"]
    assert [attempt_of(attempt_id(base, number)) for number in (1, 2, 10)] == [(base, 1), (base, 2), (base, 10)]
    assert last_attempt(base, [f"{base}-2", f"{base}-10", base, "harness-tiny-0123456789ab-11"]) == 10
    assert last_attempt(base, ["raysubmit_1"]) == 0


def test_the_entrypoint_is_one_process_and_holds_neither_address_nor_password() -> None:
    line = entrypoint(replace(submission(), storage=PurePosixPath("/shared/my runs")))
    assert line.startswith("exec python -m harness.submit.driver run --address auto --storage '/shared/my runs' ")
    assert "mlflow:5000" not in line
    assert "planted" not in line


def test_no_secret_is_shown_where_a_submission_is_printed() -> None:
    assert "planted" not in repr(submission())


@pytest.mark.parametrize("storage", ["runs", "./runs", "../runs", "/shared/../etc", ""])
def test_storage_is_an_absolute_path_on_the_cluster(storage: str) -> None:
    with pytest.raises(UsageError, match="every node sees the same"):
        check_storage(storage)


@pytest.mark.parametrize("uri", [None, "", "sqlite:///mlflow.db"])
def test_a_store_of_this_machine_is_refused(uri: str | None) -> None:
    with pytest.raises(UsageError, match="tracking"):
        driver_environment(uri, (), {})


def test_credentials_of_the_tracking_server_go_along_and_others_only_when_named() -> None:
    here = {"MLFLOW_TRACKING_TOKEN": "t", "MLFLOW_TRACKING_USERNAME": "", "AWS_SECRET_ACCESS_KEY": "s", "HOME": "/h"}
    assert driver_environment("http://mlflow:5000", (), here) == {
        "MLFLOW_TRACKING_TOKEN": "t",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    }
    assert driver_environment("http://m:5000", ["AWS_SECRET_ACCESS_KEY"], here)["AWS_SECRET_ACCESS_KEY"] == "s"


def test_a_variable_to_pass_that_is_not_set_is_named() -> None:
    with pytest.raises(UsageError, match="AWS_PROFILE, which is not set"):
        driver_environment("http://mlflow:5000", ["AWS_PROFILE"], {})

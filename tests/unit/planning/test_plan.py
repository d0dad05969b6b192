"""The costs of a sweep, the audit of its networks against the published ones, and the order of its trials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

import pytest

from harness.errors import WorkloadError
from harness.planning.plan import Plan, check_audit, make_plan, order
from harness.trial import Trial
from harness.workload.load import Workload, parse_workload
from harness.workload.matrix import expand
from models.audit import AuditLine
from models.spec import ModelSpec
from workloads.datasets.spec import DatasetSpec

TEXT = """
name: tiny
dataset: digits
matrix: {model: resnet_cifar, depth: [8, 20], shortcut: [plain, A]}
recipe: {name: quick, epochs: [2, 10]}
seeds: 2
"""


@dataclass(frozen=True)
class FakeCost:
    params: int
    macs: int
    train_flops_per_image: int


class FakeCount:
    """A counter with costs by depth, one more for shortcut A, that notes its calls."""

    def __init__(self) -> None:
        self.asked: list[tuple[ModelSpec, DatasetSpec]] = []

    def __call__(self, model: ModelSpec, dataset: DatasetSpec) -> FakeCost:
        self.asked.append((model, dataset))
        weight = model.axes["depth"] * 10 + (model.axes["shortcut"] == "A")  # type: ignore[operator]
        return FakeCost(params=weight, macs=weight * 100, train_flops_per_image=weight * 600)


def swept(text: str = TEXT) -> tuple[Workload, tuple[Trial, ...]]:
    workload = parse_workload("tiny.yaml", text)
    return workload, expand(workload, dict.fromkeys(workload.datasets, "a"))


def audited(within: bool, text: str = TEXT) -> tuple[Workload, Plan]:
    def audit(_model: ModelSpec, _dataset: DatasetSpec, cost: FakeCost) -> list[AuditLine]:
        line = {"ours": cost.params, "published": 82.0, "difference": cost.params - 82.0, "source": "Table 6"}
        return [AuditLine(quantity="params", convention="all parameters", within_rounding=within, **line)]

    workload, trials = swept(text)
    return workload, make_plan(workload, trials, {}, count=FakeCount(), audit=audit)


def test_training_flops_are_those_of_all_whole_batches() -> None:
    workload, trials = swept()
    [cheapest] = [t for t in make_plan(workload, trials, {}, count=FakeCount()).trials if t.trial_id == trials[0].id]
    assert trials[0].name == "plain-8 epochs=2 seed 0"
    assert cheapest.train_flops == 2 * 22 * 64 * 48_000  # digits: 1,442 training and 355 test images
    assert cheapest.evaluate_flops == 2 * 8_000 * (3 * 355 + 1442)


def test_each_network_is_counted_once_however_many_trials_it_has() -> None:
    workload, trials = swept()
    count = FakeCount()
    make_plan(workload, trials, {}, count=count)
    assert len(trials) == 16
    assert len(count.asked) == len(set(count.asked)) == 4


def test_a_trial_with_a_result_names_its_run_and_is_not_counted_as_remaining() -> None:
    workload, trials = swept()
    plan = make_plan(workload, trials, {trials[3].id: "run-7", "of another sweep": "run-8"}, count=FakeCount())
    assert [trial.run_id for trial in plan.trials].count("run-7") == 1
    assert (plan.totals["trials"], plan.totals["cells"], plan.totals["done"]) == (16, 8, 1)
    done = next(trial for trial in plan.trials if trial.run_id)
    assert plan.totals["train_flops"] - plan.totals["remaining_train_flops"] == done.train_flops


def test_the_record_is_json_and_holds_every_trial_and_every_cell() -> None:
    workload, trials = swept()
    record = json.loads(json.dumps(make_plan(workload, trials, {}, count=FakeCount()).record()))
    assert [trial["trial_id"] for trial in record["trials"]] == [trial.id for trial in trials]
    assert len(record["audit"]) == 8
    assert set(record["audit"][0]) >= {
        "cell_id", "label", "params", "macs", "published_params", "published_macs", "source", "convention", "within",
    }  # fmt: skip


def test_the_record_says_which_claims_the_workload_names_so_that_its_report_checks_no_others() -> None:
    assert make_plan(*swept(), {}, count=FakeCount()).record()["claims"] == []
    named = swept(TEXT + "claims: [residual-does-not-degrade]\n")
    assert make_plan(*named, {}, count=FakeCount()).record()["claims"] == ["residual-does-not-degrade"]


def test_what_was_never_published_is_none_and_not_a_mismatch() -> None:
    workload, trials = swept()
    plan = make_plan(workload, trials, {}, count=FakeCount())
    cell = plan.audit[0]
    assert (cell.published_params, cell.published_macs, cell.source, cell.within) == (None, None, None, None)
    check_audit(workload, plan)


def test_a_published_count_stands_beside_ours_with_its_source() -> None:
    workload, plan = audited(within=True)
    cell = plan.audit[0]
    assert (cell.params, cell.published_params, cell.published_macs) == (80, 82.0, None)
    assert (cell.source, cell.convention, cell.within) == ("Table 6", "params: all parameters", True)
    check_audit(workload, plan)


def test_a_network_that_is_not_the_published_one_stops_the_sweep_before_it_starts() -> None:
    workload, plan = audited(within=False)
    with pytest.raises(WorkloadError, match=r"plain-8 epochs=2: params 80 here, 82 in Table 6") as caught:
        check_audit(workload, plan)
    assert "audit: warn" in str(caught.value)


def test_a_workload_that_says_so_is_only_warned_of_a_mismatch() -> None:
    workload, plan = audited(within=False, text=TEXT + "audit: warn\n")
    check_audit(workload, plan)
    assert plan.audit[0].mismatches == ("params 80 here, 82 in Table 6 (all parameters)",)


def test_a_network_that_cannot_take_the_images_is_the_workload_files_mistake() -> None:
    def count(_model: ModelSpec, _dataset: DatasetSpec) -> FakeCost:
        raise ValueError("8 pixels are too few")

    with pytest.raises(WorkloadError, match=r"tiny\.yaml: plain-8 on digits: 8 pixels are too few"):
        make_plan(*swept(), {}, count=count)


def test_the_costliest_network_runs_first_with_its_trials_together_and_its_seeds_in_a_row() -> None:
    _, trials = swept()
    assert [trial.name for trial in order(reversed(trials), count=FakeCount())] == [
        f"{network} epochs={epochs} seed {seed}"
        for network in ("resnet-20-A", "plain-20", "resnet-8-A", "plain-8")
        for epochs in (10, 2)
        for seed in (0, 1)
    ]


def test_networks_of_equal_cost_are_not_mixed() -> None:
    _, trials = swept()
    ordered = order(trials, count=lambda _model, _dataset: FakeCost(1, 1, 1))
    networks = [trial.model for trial in ordered]
    assert sum(left != right for left, right in pairwise(networks)) == 3


def test_real_counts_reach_the_plan() -> None:
    text = TEXT.replace("[8, 20]", "20").replace("[plain, A]", "A").replace("[2, 10]", "1")
    [first, _] = make_plan(*swept(text), {}).trials
    # 269,722 parameters with three input channels (the oracle's figure); one channel has 2 x 9 x 16 fewer in the stem.
    assert first.params == 269_722 - 2 * 9 * 16

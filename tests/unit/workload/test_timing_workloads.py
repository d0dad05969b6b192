"""Timing workloads: their trials, and the content of the shipped ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.planning.plan import make_plan
from harness.trial import Machine, Trial
from harness.workload.load import Workload, load_workload, parse_workload
from harness.workload.matrix import expand

TIMING = """
name: tiny
dataset: digits
measure: throughput
matrix: {model: resnet_cifar, depth: 8}
recipe: {name: timing, iterations: 50, batch_size: 64}
scale: {cpus_per_worker: 1}
seeds: 1
"""


def trials_of(workload: Workload) -> tuple[Trial, ...]:
    return expand(workload, dict.fromkeys(workload.datasets, "0123456789abcdef"))


def only_trial(text: str) -> Trial:
    (trial,) = trials_of(parse_workload("w.yaml", text))
    return trial


def test_to_train_a_network_and_to_time_it_are_two_trials() -> None:
    trained, timed = only_trial(TIMING.replace("measure: throughput\n", "")), only_trial(TIMING)
    assert trained.id != timed.id
    assert "measure" not in trained.settings()
    assert timed.settings()["measure"] == "throughput"


@pytest.mark.parametrize("setting", ["cpus_per_worker: 2", "gpus_per_worker: 0.5", "placement: spread"])
def test_what_decides_the_speed_alone_tells_timing_trials_apart_and_no_others(setting: str) -> None:
    other = TIMING.replace("cpus_per_worker: 1", setting)
    assert only_trial(TIMING).id != only_trial(other).id
    trained, other_trained = (text.replace("measure: throughput\n", "") for text in (TIMING, other))
    assert only_trial(trained).id == only_trial(other_trained).id


@pytest.mark.parametrize(
    "change", [{"device_name": "B"}, {"torch": "2.9"}, {"cuda": "13.0"}, {"driver": "580.1"}, {"driver": None}]
)
def test_another_machine_makes_another_timing_trial_and_the_same_training_trial(change: dict[str, str]) -> None:
    machine = Machine(device_name="A", torch="2.8", cuda="12.8", driver="570.2")

    def identity(text: str, machine: Machine) -> str:
        workload = replace(parse_workload("w.yaml", text), machines={"cuda": machine})
        return trials_of(workload)[0].id

    timed = TIMING.replace("cpus_per_worker: 1", "device: cuda")
    trained = timed.replace("measure: throughput\n", "")
    other = replace(machine, **change)
    assert identity(timed, machine) != identity(timed, other)
    assert identity(trained, machine) == identity(trained, other)


def test_how_many_gpus_take_part_is_part_of_a_timing_trial() -> None:
    settings = only_trial(
        TIMING.replace("cpus_per_worker: 1", "workers: 4, device: cuda, gpus_per_worker: 2")
    ).settings()
    assert settings["machine.device_count"] == 8


def test_a_timing_trial_costs_its_timed_steps_and_no_evaluation() -> None:
    """50 steps of 64 images."""
    workload = parse_workload("w.yaml", TIMING)
    trials = trials_of(workload)
    plan = make_plan(workload, trials, {})
    assert plan.trials[0].train_flops == 50 * 64 * plan.trials[0].train_flops_per_image
    assert plan.trials[0].evaluate_flops == 0
    assert plan.deviations[0].source is None


def test_the_shipped_imagenet_file_times_plain_and_residual_networks_of_18_to_152_layers_on_noise() -> None:
    workload = load_workload("throughput-imagenet")
    cells = {(model.axes["depth"], model.axes["shortcut"]) for model in workload.models}
    assert cells == {(depth, shortcut) for depth in (18, 34, 50, 101, 152) for shortcut in ("plain", "B")}
    assert {(dataset.image_size, dataset.classes) for dataset in workload.datasets} == {(224, 1000)}
    assert (workload.measure, len(workload.seeds)) == ("throughput", 3)


def test_the_shipped_scaling_file_has_strong_and_weak_lines_from_1_to_8_workers() -> None:
    pairs = {(trial.scale.workers, trial.recipe.batch_size) for trial in trials_of(load_workload("scaling"))}
    assert {(workers, 2048) for workers in (1, 2, 4, 8)} <= pairs
    assert {(workers, 256 * workers) for workers in (1, 2, 4, 8)} <= pairs


def test_the_shipped_cifar_file_times_each_combination_of_three_settings() -> None:
    recipes = load_workload("throughput-cifar").recipes
    found = {(recipe.precision, recipe.channels_last, recipe.compile) for recipe in recipes}
    assert len(recipes) == len(found) == 8

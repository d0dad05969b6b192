"""From a workload to its trials and their names."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import WorkloadError
from harness.trial import Trial
from harness.workload.load import load_workload, parse_workload
from harness.workload.matrix import expand, sweep_id, sweep_name

BASE: dict[str, Any] = {
    "name": "tiny",
    "dataset": "digits",
    "matrix": [{"model": "resnet_cifar", "depth": 8, "shortcut": "A"}],
    "recipe": {"name": "quick"},
    "seeds": 1,
}

# An axis: the block it stands in, its name, and values to draw from.
AXES: list[tuple[str, str, list[Any]]] = [
    ("matrix", "depth", [8, 14, 20, 26]),
    ("matrix", "shortcut", ["plain", "A", "B", "C"]),
    ("matrix", "width", [8, 16, 32]),
    ("recipe", "lr", [0.1, 0.05, 0.01]),
    ("recipe", "epochs", [1, 2, 3]),
    ("recipe", "precision", ["fp32", "bf16"]),
    ("recipe", "compile", [True, False]),
    ("scale", "workers", [1, 2, 4]),
    ("scale", "device", ["cpu", "cuda"]),
]


def trials_of(content: dict[str, Any], *, file: str = "w.yaml") -> tuple[Trial, ...]:
    workload = parse_workload(file, yaml.safe_dump(content, sort_keys=False))
    return expand(workload, dict.fromkeys(workload.datasets, "0123456789abcdef"))


def with_axes(axes: dict[tuple[str, str], list[Any]], seeds: Any = 1) -> dict[str, Any]:
    block = {name: values for (where, name), values in axes.items() if where == "matrix"}
    changes = {name: values for (where, name), values in axes.items() if where == "recipe"}
    scale = {name: values for (where, name), values in axes.items() if where == "scale"}
    return {
        **BASE,
        "matrix": [{**BASE["matrix"][0], **block}],
        "recipe": {"name": "quick", **changes},
        "scale": scale,
        "seeds": seeds,
    }


def test_a_trials_data_set_is_called_by_its_options_and_tells_no_password() -> None:
    content = BASE | {"dataset": {"name": "cifar10", "split": "train45k", "root": "s3://me:hunter2@bucket/cifar"}}
    [trial] = trials_of(content)
    assert trial.dataset_record() == {
        "name": "cifar10 split=train45k",
        "digest": "0123456789abcdef",
        "root": "s3://bucket/cifar",
        "origin": trial.dataset.origin,
        "profile": {"train_images": 45_000, "test_images": 5_000, "classes": 10, "channels": 3, "image_size": 32},
    }
    [digits] = trials_of(BASE)
    assert (digits.dataset_record()["name"], digits.dataset_record()["root"]) == ("digits", None)


def test_whether_weights_are_kept_goes_with_a_trial_and_makes_it_no_other() -> None:
    [plain], [kept] = trials_of(BASE), trials_of(BASE | {"keep": "weights"})
    assert (plain.keep_weights, kept.keep_weights) == (False, True)
    assert plain.id == kept.id


some_axes = st.fixed_dictionaries(
    {},
    optional={
        (where, name): st.lists(st.sampled_from(values), min_size=1, unique=True) for where, name, values in AXES
    },
).filter(lambda axes: math.prod(map(len, axes.values())) <= 100)


@settings(max_examples=40, deadline=None)
@given(axes=some_axes, seeds=st.integers(1, 3))
def test_a_sweep_is_the_product_of_its_axes_and_every_trial_is_another(
    axes: dict[tuple[str, str], list[Any]], seeds: int
) -> None:
    trials = trials_of(with_axes(axes, seeds))
    cells = math.prod(len(values) for values in axes.values())
    assert len(trials) == cells * seeds
    assert len({trial.id for trial in trials}) == len(trials)
    assert len({trial.cell_id for trial in trials}) == cells
    assert len({trial.label for trial in trials}) == cells
    assert len({trial.name for trial in trials}) == len(trials)


@settings(max_examples=30, deadline=None)
@given(axes=some_axes, order=st.randoms(use_true_random=False))
def test_neither_the_order_of_keys_nor_the_names_of_things_changes_a_trial(
    axes: dict[tuple[str, str], list[Any]], order: Any
) -> None:
    content = with_axes(axes)
    shuffled = {**shuffle(content, order), "name": "other", "description": "other"}
    assert [trial.id for trial in trials_of(content)] == [trial.id for trial in trials_of(shuffled, file="other.yaml")]


def shuffle(value: Any, order: Any) -> Any:
    """Return the same content with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffle(value[key], order) for key in keys}
    return [shuffle(item, order) for item in value] if isinstance(value, list) and value[:1] == [{}] else value


@pytest.mark.parametrize(
    "axis",
    [*AXES, ("recipe", "momentum", [0.9, 0.0]), ("recipe", "channels_last", [False, True])],
    ids=lambda axis: axis[1],
)
def test_any_changed_setting_is_another_trial(axis: tuple[str, str, list[Any]]) -> None:
    where, name, values = axis
    ids = [trials_of(with_axes({(where, name): [value]}))[0].id for value in values]
    assert len(set(ids)) == len(values)


def test_another_seed_or_other_data_is_another_trial_and_only_the_seed_leaves_the_cell_the_same() -> None:
    workload = parse_workload("w.yaml", yaml.safe_dump({**BASE, "seeds": [3, 4]}))
    three, four = expand(workload, dict.fromkeys(workload.datasets, "a"))
    other, _ = expand(workload, dict.fromkeys(workload.datasets, "b"))
    assert len({three.id, four.id, other.id}) == 3
    assert three.cell_id == four.cell_id != other.cell_id


def test_a_default_written_out_is_the_same_trial_as_the_default() -> None:
    written = with_axes({("matrix", "width"): [16], ("recipe", "epochs"): [12], ("scale", "workers"): [1]})
    assert trials_of(written)[0].id == trials_of(BASE)[0].id


def test_the_digits_sweep_is_32_trials_named_after_their_networks() -> None:
    workload = load_workload("digits")
    trials = expand(workload, dict.fromkeys(workload.datasets, "a"))
    assert len(trials) == (3 * 2 + 2) * 4
    assert [trial.name for trial in trials[:4]] == [
        "plain-8 seed 0",
        "plain-8 seed 1",
        "plain-8 seed 2",
        "plain-8 seed 3",
    ]


def test_a_label_says_what_varies_and_nothing_else() -> None:
    axes = {("matrix", "depth"): [8, 14], ("recipe", "lr"): [0.1, 0.05], ("scale", "workers"): [1, 2]}
    labels = [trial.label for trial in trials_of(with_axes(axes))]
    assert labels[:4] == [
        "resnet-8-A lr=0.1 workers=1",
        "resnet-8-A lr=0.1 workers=2",
        "resnet-8-A lr=0.05 workers=1",
        "resnet-8-A lr=0.05 workers=2",
    ]


@pytest.mark.parametrize(
    ("device", "name", "values"),
    [
        ("cuda", "cpus_per_worker", [1, 2]),
        ("cuda", "gpus_per_worker", [0.5, 2]),
        ("cuda", "placement", ["pack", "spread"]),
        ("cpu", "placement", ["pack", "spread"]),
    ],
)
def test_an_axis_that_decides_no_result_is_refused(device: str, name: str, values: list[Any]) -> None:
    with pytest.raises(WorkloadError, match=f"{name}={values[0]}.*{name}={values[1]}.*are the same trial"):
        trials_of(with_axes({("scale", "device"): [device], ("scale", name): values}))


def test_the_threads_of_a_cpus_workers_make_another_trial_and_the_cores_of_a_gpus_do_not() -> None:
    def trial(device: str, cores: int) -> Trial:
        [made] = trials_of(with_axes({("scale", "device"): [device], ("scale", "cpus_per_worker"): [cores]}))
        return made

    assert len({trial("cpu", cores).id for cores in (1, 2, 3)}) == 3
    assert len({trial("cuda", cores).id for cores in (1, 2, 3)}) == 1
    assert set(trial("cpu", 1).settings()) - set(trial("cuda", 1).settings()) == {"scale.cpus_per_worker"}


def test_no_result_from_when_threads_were_in_no_id_is_taken_for_one_of_now() -> None:
    """This holds for results of one thread too, since results of several threads had the same id."""
    [now] = trials_of(with_axes({("scale", "device"): ["cpu"]}))
    then = {key: value for key, value in now.settings().items() if key != "scale.cpus_per_worker"}
    text = json.dumps(then, sort_keys=True, separators=(",", ":"))
    assert now.id != hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_same_workload_is_the_same_sweep_and_a_nonce_makes_it_a_fresh_one() -> None:
    trials = trials_of(with_axes({("matrix", "depth"): [8, 14]}))
    identity = sweep_id("tiny", trials)
    assert identity == sweep_id("tiny", tuple(reversed(trials)))
    others = [sweep_id("other", trials), sweep_id("tiny", trials[:1]), sweep_id("tiny", trials, nonce="x")]
    assert len({identity, *others}) == 4
    assert len(identity) == 16


def test_a_sweep_is_named_after_its_workload_and_the_name_is_never_too_long_for_a_path() -> None:
    assert sweep_name("digits", "0123456789abcdef") == "digits-01234567"
    assert len(sweep_name("x" * 128, "0123456789abcdef")) == 128

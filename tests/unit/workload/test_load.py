"""The allowed content of a workload file, and the workload that results."""

from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path

import pytest

from harness.errors import WorkloadError
from harness.trial import Scale
from harness.workload.load import check_claims, load_workload, parse_workload
from harness.workload.matrix import expand
from models.resnet_spec import ResNetCifar
from workloads.recipes import RECIPES, Recipe

MINIMAL = """
name: tiny
dataset: digits
matrix: {model: resnet_cifar, depth: 8}
recipe: quick
seeds: 1
"""


def with_line(key: str, line: str) -> str:
    """Return the minimal file with one top-level line exchanged or added."""
    lines = [old for old in MINIMAL.strip().splitlines() if not old.startswith(f"{key}:")]
    return "\n".join([*lines, line]) + "\n"


def test_the_shipped_digits_file_compares_plain_a_and_b_from_depth_8_to_44_with_four_seeds() -> None:
    workload = load_workload("digits")
    found = {(model.depth, model.shortcut) for model in workload.models if isinstance(model, ResNetCifar)}
    assert found >= {(depth, shortcut) for depth in (8, 44) for shortcut in ("plain", "A", "B")}
    assert len(workload.models) == 8
    assert workload.seeds == (0, 1, 2, 3)
    assert workload.recipes == (dataclasses.replace(RECIPES["quick"], channels_last=True),)
    assert workload.claims == ("plain-degrades-with-depth", "residual-does-not-degrade", "residual-beats-plain")


def test_what_a_file_leaves_out_has_the_documented_default() -> None:
    workload = parse_workload("tiny.yaml", MINIMAL)
    assert workload.scales == (Scale(),)
    assert (workload.audit, workload.isolation, workload.max_attempts) == ("strict", "group", 3)
    assert (workload.trial_timeout_s, workload.claims, workload.description) == (None, (), "")


@pytest.mark.parametrize("axis", ["depth: 8", "depth: [8]", "depth: [8,]"])
def test_one_value_and_a_list_of_one_mean_the_same(axis: str) -> None:
    text = with_line("matrix", f"matrix: [{{model: resnet_cifar, {axis}}}]")
    assert parse_workload("w.yaml", text).models == (ResNetCifar(depth=8),)


def test_a_list_of_blocks_is_the_union_of_their_products_and_an_overlap_is_one_network() -> None:
    text = with_line(
        "matrix",
        "matrix:\n- {model: resnet_cifar, depth: [8, 14], shortcut: plain}\n"
        "- {model: resnet_cifar, depth: [14, 20], shortcut: [plain, A]}",
    )
    models = parse_workload("w.yaml", text).models
    assert [model.label for model in models] == ["plain-8", "plain-14", "resnet-14-A", "plain-20", "resnet-20-A"]


def test_a_named_recipe_keeps_what_is_not_said_beside_it_and_a_list_of_values_is_an_axis() -> None:
    text = with_line("recipe", "recipe: {name: quick, lr: [0.1, 0.05], epochs: 2}")
    fast, slow = parse_workload("w.yaml", text).recipes
    assert (fast.lr, slow.lr) == (0.1, 0.05)
    assert (fast.epochs, fast.batch_size, fast.warmup_fraction) == (2, 64, 0.25)


def test_a_recipe_without_a_name_gives_its_fields_itself() -> None:
    text = with_line("recipe", "recipe: {epochs: 3, batch_size: [32, 64], lr: 1}")
    assert parse_workload("w.yaml", text).recipes == (
        Recipe(epochs=3, batch_size=32, lr=1.0),
        Recipe(epochs=3, batch_size=64, lr=1.0),
    )


BLOCKS = """
name: blocks
dataset: cifar10
matrix:
  - {model: resnet_cifar, depth: [20, 110], block: basic}
  - {model: resnet_cifar, depth: 110, recipe: he2016-cifar}
  - {model: resnet_cifar, depth: 164, block: bottleneck, shortcut: B,
     dataset: cifar100, recipe: {name: he2016-cifar, lr: [0.1, 0.05]}}
recipe: he2015-cifar
seeds: 1
"""


def test_a_block_of_the_matrix_may_have_a_data_set_and_a_recipe_of_its_own() -> None:
    cells = parse_workload("w.yaml", BLOCKS).cells
    named = {recipe: name for name, recipe in RECIPES.items()}
    found = [(cell.model.axes["depth"], type(cell.dataset).__name__, named.get(cell.recipe)) for cell in cells]
    assert found == [
        (20, "Cifar10", "he2015-cifar"),
        (110, "Cifar10", "he2015-cifar"),
        (110, "Cifar10", "he2016-cifar"),
        (164, "Cifar100", "he2016-cifar"),
        (164, "Cifar100", None),
    ]


def test_a_label_names_a_recipe_only_where_a_network_has_several() -> None:
    workload = parse_workload("w.yaml", BLOCKS)
    assert [trial.label for trial in expand(workload, dict.fromkeys(workload.datasets, "a"))] == [
        "resnet-20-A cifar10",
        "resnet-110-A cifar10 he2015-cifar",
        "resnet-110-A cifar10 he2016-cifar",
        "resnet-164-B-bottleneck cifar100 lr=0.1",
        "resnet-164-B-bottleneck cifar100 lr=0.05",
    ]


def test_a_label_names_of_a_data_set_only_what_others_of_its_kind_have_otherwise() -> None:
    """It does not name settings that another kind lacks, as CIFAR lacks ImageNet's `subset`."""
    photos = (
        "  - {model: resnet_imagenet, depth: 50, dataset: imagenet, recipe: he2015-imagenet}\nrecipe: he2015-cifar\n"
    )
    other = BLOCKS.replace("recipe: he2015-cifar\n", photos).replace(
        "dataset: cifar100", "dataset: {name: cifar100, split: [all, train45k]}"
    )
    workload = parse_workload("w.yaml", other.replace("lr: [0.1, 0.05]", "lr: 0.1"))
    labels = [trial.label for trial in expand(workload, dict.fromkeys(workload.datasets, "a"))]
    assert labels[0] == "resnet-20-A cifar10"
    assert labels[-1] == "resnet-50-B imagenet"
    assert [label.partition(" ")[2] for label in labels[-3:-1]] == [
        "cifar100 split=all",
        "cifar100 split=train45k",
    ]


def test_a_whole_number_where_a_float_stands_is_the_same_setting_as_the_float() -> None:
    whole, point = (
        parse_workload("w.yaml", with_line("recipe", f"recipe: {{epochs: 1, batch_size: 1, lr: {lr}}}"))
        for lr in ("1", "1.0")
    )
    assert repr(whole.recipes) == repr(point.recipes)


@pytest.mark.parametrize(("written", "value"), [("1e-4", 1e-4), ("5E2", 500.0), ("0.1", 0.1), (".5", 0.5), ("2", 2.0)])
def test_numbers_are_read_as_yaml_1_2_reads_them(written: str, value: float) -> None:
    text = with_line("recipe", f"recipe: {{epochs: 1, batch_size: 1, lr: {written}}}")
    assert parse_workload("w.yaml", text).recipes[0].lr == value


def test_a_leading_zero_does_not_make_a_number_octal_and_no_is_not_false() -> None:
    workload = parse_workload("w.yaml", with_line("seeds", "seeds: [010, 0o10]\ndescription: no"))
    assert workload.seeds == (10, 8)
    assert workload.description == "no"


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90.0), ("90s", 90.0), ("15m", 900.0), ("1.5h", 5400.0), ("2d", 172_800.0)]
)
def test_a_trial_timeout_is_in_seconds_or_says_its_unit(written: str, seconds: float) -> None:
    assert parse_workload("w.yaml", MINIMAL + f"trial_timeout: {written}\n").trial_timeout_s == seconds


def test_scale_settings_are_axes_too() -> None:
    workload = parse_workload("w.yaml", MINIMAL + "scale: {workers: [1, 2, 4], device: cpu}\n")
    assert [(scale.workers, scale.device) for scale in workload.scales] == [(1, "cpu"), (2, "cpu"), (4, "cpu")]


def test_anchors_and_merge_keys_are_understood() -> None:
    text = with_line(
        "matrix",
        "matrix:\n- &a {model: resnet_cifar, depth: 8, shortcut: A}\n- {<<: *a, depth: 14}",
    )
    assert [model.label for model in parse_workload("w.yaml", text).models] == ["resnet-8-A", "resnet-14-A"]


def test_the_text_is_kept_as_it_was_written() -> None:
    assert parse_workload("w.yaml", MINIMAL).text == MINIMAL


def test_a_workload_survives_pickling() -> None:
    workload = load_workload("digits")
    assert pickle.loads(pickle.dumps(workload)) == workload


def test_a_claim_that_does_not_exist_is_refused_at_its_line_with_the_nearest() -> None:
    workload = parse_workload("w.yaml", MINIMAL.strip() + "\nclaims:\n  - known\n  - knwon\n")
    with pytest.raises(WorkloadError, match=r"w\.yaml:8: unknown claim 'knwon'; did you mean 'known'\? Valid: known"):
        check_claims(workload, ["known"])
    check_claims(workload, ["known", "knwon"])


@pytest.mark.parametrize("name", ["digits", "digits.yaml", "workloads/digits.yaml"])
def test_a_shipped_workload_is_found_from_an_empty_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workload = load_workload(name)
    assert (workload.name, workload.shipped, workload.file) == ("digits", True, name)


def test_a_file_that_is_here_goes_before_a_shipped_one_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits").write_text(MINIMAL)
    workload = load_workload("digits")
    assert (workload.name, workload.shipped) == ("tiny", False)


def test_a_folder_of_a_shipped_name_does_not_hide_the_shipped_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    assert load_workload("digits").shipped


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.strip().replace("\n", "\r\n").encode())
    assert load_workload(path).name == "tiny"


def test_a_pipe_can_be_read_as_a_workload(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, MINIMAL.encode())
    os.close(write)
    assert load_workload(f"/dev/fd/{read}").name == "tiny"
    os.close(read)

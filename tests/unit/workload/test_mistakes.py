"""A careless user's mistakes in a workload file, and the messages about them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import WorkloadError
from harness.workload.load import load_workload, parse_workload

GOOD = """\
name: tiny
dataset: digits
matrix:
  - model: resnet_cifar
    depth: [8, 14]
    shortcut: A
recipe: {name: quick, epochs: 1}
scale: {workers: 1}
seeds: 2
"""

# The correct text, the mistake in its place, the line of the mistake, and the texts that the message must contain.
MISTAKES = [
    (
        "name: tiny",
        "nmae: tiny",
        1,
        ["unknown key 'nmae'", "did you mean 'name'?", "Valid: name, description, dataset"],
    ),
    ("name: tiny", "name: a/b", 1, ["name is 'a/b'", "letters, digits"]),
    ("name: tiny", "name: ../x", 1, ["name is '../x'"]),
    ("name: tiny", "name: 7", 1, ["name is 7", "must be text"]),
    ("name: tiny", f"name: {'x' * 129}", 1, ["128 at most"]),
    ("dataset: digits", "dataset: digts", 2, ["unknown data set 'digts'", "did you mean 'digits'?", "Valid: digits"]),
    ("dataset: digits", "dataset: 5", 2, ["dataset is 5", "a name, or a mapping"]),
    ("dataset: digits", "dataset: {nam: digits}", 2, ["dataset lacks 'name'", "Valid: digits"]),
    ("dataset: digits", "dataset: {name: digits, rot: 1}", 2, ["unknown key 'rot' in dataset"]),
    ("dataset: digits", "description: x", 1, ["lacks 'dataset'"]),
    (
        "- model: resnet_cifar",
        "- model: resnet_cifr",
        4,
        ["unknown model 'resnet_cifr'", "did you mean 'resnet_cifar'?"],
    ),
    ("- model: resnet_cifar", "- model: [resnet_cifar]", 4, ["one name, not a list"]),
    ("- model: resnet_cifar", "- mdel: resnet_cifar", 4, ["matrix[0] lacks 'model'"]),
    ("depth: [8, 14]", "dpeth: [8, 14]", 5, ["unknown key 'dpeth' in matrix[0]", "did you mean 'depth'?", "shortcut"]),
    ("    depth: [8, 14]\n", "", 4, ["matrix[0] lacks 'depth'"]),
    ("depth: [8, 14]", "depth: [8, 21]", 5, ["21", "6n+2", "20, 26"]),
    ("depth: [8, 14]", "depth:\n    - 8\n    - 21", 7, ["21", "6n+2"]),
    ("depth: [8, 14]", "depth: 2", 5, ["6n+2"]),
    ("depth: [8, 14]", "depth: twenty", 5, ["matrix[0].depth is 'twenty'", "whole number"]),
    ("depth: [8, 14]", "depth: [8, '14']", 5, ["matrix[0].depth[1] is '14'", "whole number"]),
    ("depth: [8, 14]", "depth: 8.0", 5, ["is 8.0", "whole number"]),
    ("depth: [8, 14]", "depth: true", 5, ["is True", "whole number"]),
    ("depth: [8, 14]", "depth:", 5, ["matrix[0].depth is empty"]),
    ("depth: [8, 14]", "depth: []", 5, ["matrix[0].depth is an empty list"]),
    ("depth: [8, 14]", "depth: [8, 8]", 5, ["matrix[0].depth has 8 more than once"]),
    ("depth: [8, 14]", "depth: {from: 8}", 5, ["matrix[0].depth is {'from': 8}"]),
    ("shortcut: A", "shortcut: D", 6, ["'D'", "plain, A, B, C"]),
    ("recipe: {name: quick,", "recipe: {name: quik,", 7, ["unknown recipe 'quik'", "did you mean 'quick'?"]),
    ("name: quick", "nmae: quick", 7, ["unknown key 'nmae' in recipe", "did you mean 'name'?"]),
    ("epochs: 1", "epochs: 0", 7, ["epochs is 0", "at least 1"]),
    ("epochs: 1", "epoch: 1", 7, ["unknown key 'epoch' in recipe", "did you mean 'epochs'?", "batch_size"]),
    ("epochs: 1", "lr: .nan", 7, ["recipe.lr is nan", "finite"]),
    ("epochs: 1", "lr: .inf", 7, ["finite"]),
    ("epochs: 1", "compile: 1", 7, ["is 1", "true or false"]),
    (
        "epochs: 1",
        "schedule: linaer",
        7,
        ["is 'linaer'", "'constant', 'linear', 'steps' or 'plateau'", "did you mean 'linear'?"],
    ),
    ("{name: quick, epochs: 1}", "{epochs: 1}", 7, ["recipe lacks 'batch_size'"]),
    ("{name: quick, epochs: 1}", "{batch_size: 1, lr: 1}", 7, ["lacks its length: epochs or iterations"]),
    ("epochs: 1", "batch_size: 1443", 7, ["batch_size is 1443", "only 1442 training images"]),
    ("epochs: 1", "micro_batch_size: 24", 7, ["micro_batch_size 24 does not divide the 64 images"]),
    ("{name: quick, epochs: 1}", "{name: he2015-cifar, iterations: 99}", 7, ["lr_drop_iterations", "ends after 99"]),
    ("{name: quick, epochs: 1}", "{name: he2016-cifar, epochs: 3}", 7, ["lr_drop_iterations", "33 iterations"]),
    ("workers: 1", "workers: 3", 7, ["batch_size 64 cannot be shared by 3 workers", "nearest that can is 63"]),
    ("shortcut: A", "recipe: quik", 6, ["unknown recipe 'quik'", "did you mean 'quick'?"]),
    ("shortcut: A", "recipe: {name: quick, epochs: 0}", 6, ["epochs is 0", "at least 1"]),
    ("shortcut: A", "recipe: he2015-imagenet", 6, ["augmentation scale-jitter does not fit digits"]),
    ("shortcut: A", "recipe: [quick]", 6, ["matrix[0].recipe is ['quick']", "a name, or a mapping"]),
    ("shortcut: A", "dataset: digts", 6, ["unknown data set 'digts'", "did you mean 'digits'?"]),
    ("shortcut: A", "recpe: quick", 6, ["unknown key 'recpe' in matrix[0]", "did you mean 'recipe'?"]),
    ("workers: 1", "workers: 0", 8, ["workers is 0", "at least 1"]),
    ("workers: 1", "wokers: 1", 8, ["unknown key 'wokers' in scale", "did you mean 'workers'?"]),
    ("workers: 1", "gpus_per_worker: 1.5", 8, ["gpus_per_worker is 1.5", "whole number"]),
    ("workers: 1", "workers: 2, gpus_per_worker: 0.5", 8, ["gpus_per_worker is 0.5 with workers 2", "device: cpu"]),
    (
        "{workers: 1}",
        "\n  workers: [1, 2]\n  device: cuda\n  gpus_per_worker: 0.25",
        9,
        ["gpus_per_worker is 0.25 with workers 2", "workers: 1"],
    ),
    ("workers: 1", "device: tpu", 8, ["is 'tpu'", "'auto', 'cpu' or 'cuda'"]),
    ("seeds: 2", "seeds: 0", 9, ["seeds is 0"]),
    ("seeds: 2", "seeds: -1", 9, ["seeds is -1"]),
    ("seeds: 2", "seeds: []", 9, ["seeds is an empty list"]),
    ("seeds: 2", "seeds: [1, 1]", 9, ["seeds has 1 more than once"]),
    ("seeds: 2", "seeds: [1, -1]", 9, ["seeds[1] is -1"]),
    ("seeds: 2", "seeds: [1, 4294967296]", 9, ["seeds[1] is 4294967296"]),
    ("seeds: 2", "seeds: three", 9, ["seeds is 'three'", "count"]),
    ("seeds: 2", f"seeds: {list(range(10_001))}", 9, ["seeds is a list of 10,001", "at most 10,000"]),
    ("seeds: 2", "seeds: true", 9, ["seeds is True"]),
    ("seeds: 2", "seeds: 1000000000", 9, ["10,000"]),
    ("seeds: 2", "seeds: 2\naudit: sctrict", 10, ["is 'sctrict'", "did you mean 'strict'?"]),
    ("seeds: 2", "seeds: 2\nmax_attempts: 0", 10, ["max_attempts is 0"]),
    ("seeds: 2", "seeds: 2\ntrial_timeout: soon", 10, ["trial_timeout is 'soon'"]),
    ("seeds: 2", "seeds: 2\ntrial_timeout: -1", 10, ["trial_timeout is -1"]),
    ("seeds: 2", "seeds: 2\nmeasure: troughput", 10, ["is 'troughput'", "did you mean 'throughput'?"]),
    ("seeds: 2", "seeds: 2\nmeasure: [throughput]", 10, ["it must be 'training' or 'throughput'"]),
    ("epochs: 1}", "epochs: 500}\nmeasure: throughput", 7, ["epochs is 500, 11,000 steps", "20 to 10,000"]),
    ("epochs: 1}", "iterations: 19}\nmeasure: throughput", 7, ["iterations is 19, 19 steps", "20 to 10,000"]),
    ("seeds: 2", "measure: throughput\nclaims: a\nseeds: 2", 10, ["claims are about trained networks"]),
    ("epochs: 1", "cuda_graphs: true", 7, ["cuda_graphs needs compile: true"]),
    ("seeds: 2", "seeds: 2\nclaims: [a, a]", 10, ["claims has 'a' more than once"]),
    ("seeds: 2", "seeds: 2\nseeds: 3", 10, ["'seeds'", "second time", "line 9"]),
    ("shortcut: A", "depth: 20", 6, ["'depth'", "second time", "line 5"]),
    ("seeds: 2", "2: seeds", 9, ["a key must be text", "'2'"]),
    ("seeds: 2", "? [a, b]\n: c", 9, ["a key must be text"]),
    ("seeds: 2", "seeds: [2", 10, ["not valid YAML"]),
    ("seeds: 2", "seeds: *nothing", 9, ["not valid YAML", "nothing"]),
    (
        "seeds: 2",
        "seeds: !!python/object/apply:os.getcwd []",
        9,
        ["tag !!python/object/apply:os.getcwd is not allowed"],
    ),
    ("seeds: 2", "seeds: 2\n---\nname: other", 10, ["not valid YAML", "another document"]),
]


def refusal(text: str) -> str:
    with pytest.raises(WorkloadError) as caught:
        parse_workload("w.yaml", text)
    return str(caught.value)


def test_the_file_that_every_mistake_is_made_in_is_good() -> None:
    assert len(parse_workload("w.yaml", GOOD).models) == 2


@pytest.mark.parametrize(("old", "new", "line", "said"), MISTAKES, ids=[mistake[1][:40] for mistake in MISTAKES])
def test_a_mistake_is_shown_with_its_line_and_what_is_allowed(old: str, new: str, line: int, said: list[str]) -> None:
    assert GOOD.count(old) == 1
    message = refusal(GOOD.replace(old, new))
    [shown] = [part for part in message.splitlines() if f"w.yaml:{line}: " in part and said[0] in part]
    assert all(words in shown for words in said)


@pytest.mark.parametrize(
    "scale", ["gpus_per_worker: 0.5", "workers: 2, device: cpu, gpus_per_worker: 0.5", "workers: 2, gpus_per_worker: 1"]
)
def test_shares_of_gpus_are_taken_where_no_two_workers_of_a_group_can_meet_on_one(scale: str) -> None:
    assert len(parse_workload("w.yaml", GOOD.replace("workers: 1", scale)).scales) == 1


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (("shortcut: A", "shortcut: plain"), ("epochs: 1", "zero_gamma: true"), "zero_gamma does not fit plain-8"),
        (("shortcut: A", "activation: full_preact"), ("epochs: 1", "zero_gamma: true"), "does not fit preresnet-8-A"),
        (("workers: 1", "device: cpu"), ("epochs: 1", "precision: tf32"), "precision tf32 needs a GPU"),
        (("workers: 1", "device: cpu"), ("epochs: 1", "compile: true, cuda_graphs: true"), "cuda_graphs needs a GPU"),
        (
            ("model: resnet_cifar\n    depth: [8, 14]\n    shortcut: A", "model: vgg16"),
            ("epochs: 1", "evaluation: multi-scale"),
            "evaluation multi-scale does not fit vgg16",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_at_the_recipes_setting(
    first: tuple[str, str], second: tuple[str, str], said: str
) -> None:
    message = refusal(GOOD.replace(*first).replace(*second))
    assert said in message
    assert f"w.yaml:{5 if 'vgg16' in said else 7}: " in message


@pytest.mark.parametrize("matrix", ["matrix: []", "matrix: {}", "matrix:", "matrix: 5"])
def test_an_empty_matrix_is_refused_where_it_stands(matrix: str) -> None:
    before, rest = GOOD.split("matrix:", 1)
    message = refusal(before + matrix + "\n" + rest[rest.index("recipe:") :])
    assert "w.yaml:3: matrix" in message


def test_all_mistakes_are_shown_at_once_in_the_order_of_the_file() -> None:
    message = refusal(GOOD.replace("digits", "digts").replace("[8, 14]", "[9, 14]").replace("epochs: 1", "epochs: 0"))
    assert message.splitlines()[0] == "3 mistakes in w.yaml"
    assert [int(line) for line in re.findall(r"w\.yaml:(\d+):", message)] == [2, 5, 7]


def test_a_wrong_depth_is_shown_once_and_not_for_each_shortcut() -> None:
    message = refusal(GOOD.replace("[8, 14]", "9").replace("shortcut: A", "shortcut: [plain, A, B, C]"))
    assert message.count("6n+2") == 1


def test_more_mistakes_than_fit_a_screen_are_counted() -> None:
    message = refusal(GOOD + "".join(f"key{i}: 1\n" for i in range(40)))
    assert message.splitlines()[0] == "40 mistakes in w.yaml"
    assert "... and 28 more" in message


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n", "---\n"])
def test_an_empty_file_says_so(text: str) -> None:
    message = refusal(text)
    assert "empty" in message or "mapping" in message


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "5"])
def test_a_file_that_is_no_mapping_says_so(text: str) -> None:
    assert "a workload file is a mapping" in refusal(text)


def test_a_matrix_of_millions_is_refused_before_it_is_made() -> None:
    widths = ", ".join(str(width) for width in range(1, 2001))
    message = refusal(GOOD.replace("shortcut: A", f"width: [{widths}]").replace("seeds: 2", "seeds: 10000"))
    assert "40,000,000" in message
    assert "100,000" in message


def test_a_file_that_is_not_there_is_told_with_the_nearest_shipped_one(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"there is no workload file .*digts.yaml; did you mean 'digits'\?"):
        load_workload(tmp_path / "digts.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not text"),
        (b"a: \x00", r":1: character U\+0000 is not allowed"),
        (b"a" * (2 << 20), "larger than 1 MiB"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(content)
    with pytest.raises(WorkloadError, match=said):
        load_workload(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="is a folder"):
        load_workload(tmp_path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "", "w.yaml/below"])
def test_a_name_that_no_file_can_have_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.yaml").touch()
    with pytest.raises(WorkloadError):
        load_workload(name)


def test_brackets_a_thousand_deep_are_refused() -> None:
    assert "nested too deeply" in refusal("[" * 1000 + "]" * 1000)


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["name", "dataset", "matrix", "recipe", "scale", "seeds", "claims", "audit", "trial_timeout", "max_attempts"]


@settings(max_examples=100, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, NESTED)))
def test_whatever_stands_where_a_setting_should_is_refused_with_our_own_error(content: dict[str, object]) -> None:
    with pytest.raises(WorkloadError):
        parse_workload("w.yaml", yaml.safe_dump(content, allow_unicode=True))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_no_text_makes_reading_fail_in_any_other_way(text: str) -> None:
    with pytest.raises(WorkloadError, match=r"w\.yaml"):  # none of it can be a whole workload by chance
        parse_workload("w.yaml", text)

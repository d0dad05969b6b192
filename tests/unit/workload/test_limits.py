"""Limits of a workload file: its size, its numbers, its text, and the length of each refusal."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from harness.errors import WorkloadError
from harness.trial import Scale
from harness.workload.fields import FileFields, axes_of
from harness.workload.load import load_workload, parse_workload
from harness.workload.source import Mistakes, parse
from models import MODELS
from models.published.entries import PUBLISHED
from workloads.datasets import DATASETS
from workloads.recipes import RECIPES, Recipe

GOOD = """\
name: tiny
dataset: digits
matrix:
  - model: resnet_cifar
    depth: [8, 14]
    shortcut: A
recipe: {name: quick, epochs: 1}
seeds: 2
"""


def refusal(text: str) -> str:
    with pytest.raises(WorkloadError) as caught:
        parse_workload("w.yaml", text)
    return str(caught.value)


@pytest.mark.parametrize(
    "text", ["&a {name: *a}", "&a {<<: *a, name: x}", "name: &a [*a]", "name: &a [&b {x: *a}, *b]", "seeds: &a [1, *a]"]
)
def test_a_file_that_repeats_itself_in_itself_is_refused(text: str) -> None:
    assert refusal(text) == "w.yaml:1: alias '*a' is inside the value that it repeats"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("first", "later"), [("[x, x]", "[NINE]"), ("{x: y}", "{<<: [NINE]}")], ids=["lists", "merge keys"]
)
def test_aliases_that_multiply_fill_neither_memory_nor_time(first: str, later: str) -> None:
    lines = [f"a0: &a0 {first}"]
    lines += [f"a{i}: &a{i} {later.replace('NINE', ', '.join([f'*a{i - 1}'] * 9))}" for i in range(1, 40)]
    message = refusal("\n".join([*lines, GOOD]))
    assert re.match(r"w\.yaml:[56]: the file has more than 20,000 keys and values", message)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        GOOD + "".join(f"key{i}: 1\n" for i in range(80_000)),
        GOOD.replace("[8, 14]", f"{list(range(100_000))}"),
        GOOD + f"claims: {[f'claim{i}' for i in range(50_000)]}\n",
        GOOD.replace("matrix:\n", "matrix:\n" + "  - {model: resnet_cifr}\n" * 30_000),
    ],
    ids=["keys", "an axis", "claims", "blocks"],
)
def test_a_file_of_more_values_than_a_sweep_has_is_refused_before_they_are_looked_at(text: str) -> None:
    message = refusal(text)
    assert re.fullmatch(r"w\.yaml:[0-9]+: the file has more than 20,000 keys and values.*", message)


@pytest.mark.timeout(60)
def test_reading_ends_where_nobody_would_read_on() -> None:
    message = refusal(GOOD + "".join(f"key{i}: 1\n" for i in range(9_000)))
    assert message.startswith("at least 100 mistakes in w.yaml")
    assert message.endswith("... and at least 88 more")


@pytest.mark.timeout(60)
def test_combinations_are_counted_over_all_blocks_before_any_is_made() -> None:
    axes = f"{{model: resnet_cifar, width: {list(range(1, 301))}, se: {list(range(300))}, depth: 8}}"
    message = refusal(GOOD.replace("matrix:\n", "matrix:\n" + f"  - {axes}\n" * 25))
    assert "asks for 4,500,004 combinations" in message


@pytest.mark.parametrize("depth", [300, 1000, 100_000])
def test_brackets_nested_without_end_are_refused(depth: int) -> None:
    assert refusal("[" * depth + "]" * depth).startswith("w.yaml:1: ")


LONG = "x" * 200_000


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("digits", f"!{LONG} digits"),
        GOOD.replace("digits", f"!!{LONG} digits"),
        GOOD.replace("digits", f"*{LONG}"),
        GOOD.replace("digits", f"!{LONG}!a digits"),
        GOOD.replace("digits", LONG),
        GOOD.replace("resnet_cifar", LONG),
        GOOD.replace("shortcut: A", f"shortcut: {LONG}"),
        GOOD.replace("quick", LONG),
        GOOD.replace("name: tiny", f"name: {LONG}"),
        GOOD + f"? {LONG}\n: 1\n",
        GOOD + f"? {LONG}\n: 1\n" * 2,
        GOOD + f"audit: {LONG}\n",
        GOOD + f"trial_timeout: {LONG}\n",
        GOOD + f"claims: [{LONG}, {LONG}]\n",
        GOOD.replace("epochs: 1", f"epochs: 1, schedule: steps, lr_drop_iterations: {list(range(1, 9_000))}"),
    ],
)
def test_a_message_is_short_however_long_what_it_is_about_is(text: str) -> None:
    assert len(refusal(text)) < 1_100


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("!!bool zzz", "tag !!bool does not fit 'zzz'"),
        ("!!bool", "tag !!bool does not fit ''"),
        ("!!int x", "tag !!int does not fit 'x'"),
        ("!!int ''", "tag !!int does not fit ''"),
        ("!!float ''", "tag !!float does not fit ''"),
        ("!!null x", "tag !!null does not fit 'x'"),
        ("!!timestamp x", "tag !!timestamp is not allowed for one value"),
        ("!!timestamp 2020-13-45", "tag !!timestamp is not allowed for one value"),
        ("!!binary é", "tag !!binary is not allowed for one value"),
        ("!!python/name:os.system x", "tag !!python/name:os.system is not allowed for one value"),
        ("!!set {a}", "tag !!set is not allowed for a mapping"),
        ("!!omap [a: 1]", "tag !!omap is not allowed for a list"),
        ("!!str [a]", "tag !!str is not allowed for a list"),
        ("!!map x", "tag !!map is not allowed for one value"),
        ("!mine x", "tag !mine is not allowed for one value"),
        (f"0x{'f' * 3573}", "a number of 3,575 characters; at most 1,000 are allowed"),
        (f"{'9' * 5000}", "a number of 5,000 characters"),
        (f"{'9' * 5000}.0", "a number of 5,002 characters"),
        (r'"\U00110000"', "not valid YAML: a number in an escape"),
        (r'"\Uffffffff"', "not valid YAML: a number in an escape"),
    ],
)
@pytest.mark.parametrize("key", ["description", "seeds", "max_attempts", "unheard_of"])
def test_a_value_that_yaml_itself_cannot_make_is_the_files_mistake(key: str, written: str, said: str) -> None:
    assert refusal(f"name: tiny\n{key}: {written}\n").startswith(f"w.yaml:2: {said}")


def test_text_that_looks_like_a_number_may_be_marked_as_text() -> None:
    assert parse_workload("w.yaml", GOOD + "description: !!str 7\n").description == "7"


@pytest.mark.parametrize("written", ["1_", "1__0", "<<"])
def test_what_only_begins_like_something_else_is_text(written: str) -> None:
    assert parse_workload("w.yaml", GOOD + f"description: {written}\n").description == written


UNFIT = {
    "half of a pair": "D800",
    "a pair in two halves": "D83D",
    "NUL": "0000",
    "bell": "0007",
    "escape": "001B",
    "carriage return": "000D",
    "delete": "007F",
    "next line": "0085",
    "control sequence": "009B",
    "right-to-left override": "202E",
    "right-to-left isolate": "2067",
    "no character": "FFFF",
}
"""Character that MLflow, JSON, HTML or a terminal cannot carry unchanged -> its code point."""


@pytest.mark.parametrize(
    "text",
    [
        "description: TEXT\n",
        "description: [{a: TEXT}]\n",
        "TEXT: 1\n",
        "claims: [TEXT]\n",
        "name: TEXT\n",
        "dataset: {name: cifar10, root: TEXT}\n",
        "recipe: {name: TEXT}\n",
        "matrix: {model: TEXT}\n",
    ],
)
@pytest.mark.parametrize("code", UNFIT.values(), ids=UNFIT)
def test_text_that_not_everything_can_carry_is_refused_wherever_it_stands(code: str, text: str) -> None:
    pair = r"\ude00" if code == "D83D" else ""
    message = refusal("# first line\n" + text.replace("TEXT", rf'"a\u{code}{pair}b"'))
    assert message.startswith(f"w.yaml:2: character U+{code} is not allowed")


@pytest.mark.parametrize("code", sorted(set(UNFIT.values()) - {"000D"}))
def test_a_character_that_is_refused_as_an_escape_is_refused_as_it_is(code: str) -> None:
    message = refusal(f"name: tiny\r\n\r\n# {chr(int(code, 16))}\r\n")
    assert message.startswith(f"w.yaml:3: character U+{code} is not allowed")


@pytest.mark.parametrize("text", ["Tiếng Việt", "עברית", "😀", "a\tb"])
def test_text_of_any_language_is_taken(text: str) -> None:
    assert parse_workload("w.yaml", GOOD + f'description: "{text}"\n').description == text


def numbers_of(hints: dict[str, Any]) -> list[str]:
    """Return the fields that are numbers, or may be."""
    return [name for name, hint in hints.items() if {int, float} & {hint, *get_args(hint)}]


def numbers_of_settings(kind: type) -> list[str]:
    names = {field.name for field in dataclasses.fields(kind) if field.init}
    return numbers_of({name: hint for name, hint in get_type_hints(kind).items() if name in names})


NUMBERS = [
    *[("matrix", {"model": name}, number) for name, kind in MODELS.items() for number in numbers_of_settings(kind)],
    *[("dataset", {"name": name}, number) for name, kind in DATASETS.items() for number in numbers_of_settings(kind)],
    *[("recipe", {"name": "quick"}, number) for number in numbers_of_settings(Recipe)],
    *[("scale", {}, number) for number in numbers_of_settings(Scale)],
    *[
        ("", {}, number) for number in numbers_of(get_type_hints(FileFields)) if number != "seeds"
    ],  # in words of its own
]


def test_there_are_numbers_of_every_kind() -> None:
    found = {(block, field) for block, _, field in NUMBERS}
    assert found >= {
        *[("matrix", name) for name in ("depth", "width", "cardinality", "group_width", "se", "gate_bias")],
        *[("dataset", name) for name in ("image_size", "classes", "channels", "train_images", "decoders")],
        *[("recipe", name) for name in ("epochs", "iterations", "batch_size", "lr", "weight_decay", "warmup_epochs")],
        *[("recipe", name) for name in ("lr_drop_epochs", "lr_drop_iterations", "micro_batch_size", "warmup_lr")],
        *[("scale", name) for name in ("workers", "cpus_per_worker", "gpus_per_worker")],
        *[("", name) for name in ("trial_timeout", "stall_timeout", "checkpoint_every", "max_attempts")],
    }


@pytest.mark.parametrize("number", [10**30, -(10**30)], ids=["large", "small"])
@pytest.mark.parametrize(
    ("block", "beside", "field"), NUMBERS, ids=["-".join([b, *n.values(), f]) for b, n, f in NUMBERS]
)
def test_every_number_has_a_least_and_a_most(block: str, beside: dict[str, str], field: str, number: int) -> None:
    data = yaml.safe_load(GOOD)
    value = [number] if field.startswith("lr_drop_") and field != "lr_drop_factor" else number
    data = {**data, block: {**beside, field: value}} if block else {**data, field: value}
    message = refusal(yaml.safe_dump(data))
    assert re.search(rf"\b{field}(\[0\])? is -?1.*; it must be at least .* and at most ", message)


@pytest.mark.parametrize("number", ["1e999", "-1e999", ".nan"])
def test_a_number_that_overflows_is_refused(number: str) -> None:
    assert "it must be a finite number" in refusal(GOOD.replace("epochs: 1", f"lr: {number}"))


@pytest.mark.parametrize("seeds", ["[4294967296]", "[-1]", f"[{10**30}]"])
def test_a_seed_is_what_every_generator_takes(seeds: str) -> None:
    assert "it must be at least 0 and at most 4,294,967,295" in refusal(GOOD.replace("seeds: 2", f"seeds: {seeds}"))


def test_every_published_network_is_within_bounds() -> None:
    specs = list(dict.fromkeys(entry.spec for entry in PUBLISHED))
    data = yaml.safe_load(GOOD)
    data["dataset"] = {"name": "synthetic", "image_size": 224}
    data["matrix"] = [
        {"model": spec.name, **{axis: value for axis, value in spec.axes.items() if value is not None}}
        for spec in specs
    ]
    assert list(parse_workload("w.yaml", yaml.safe_dump(data)).models) == specs


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_within_bounds(name: str) -> None:
    given = {key: value for key, value in dataclasses.asdict(RECIPES[name]).items() if value is not None}
    source = parse("w.yaml", yaml.safe_dump({key: list(v) if isinstance(v, tuple) else v for key, v in given.items()}))
    mistakes = Mistakes(source)
    axes = axes_of(Recipe, source.data, (), mistakes)
    mistakes.check()
    assert axes is not None
    assert Recipe(**{key: value for key, [value] in axes.items()}) == RECIPES[name]


def test_a_zero_with_a_sign_is_the_same_setting_as_one_without() -> None:
    with_sign, without = (
        parse_workload("w.yaml", GOOD.replace("epochs: 1", f"momentum: {zero}")).recipes for zero in ("-0.0", "0.0")
    )
    assert repr(with_sign) == repr(without)


def test_a_mistake_in_what_overrides_a_merged_value_is_shown_at_its_own_line() -> None:
    text = GOOD.replace("  - model", "  - &a\n    model").replace("recipe:", "  - <<: *a\n    depth: 9\nrecipe:")
    assert refusal(text).startswith("w.yaml:9: depth 9 is not 6n+2")


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/full", "/dev/null"])
def test_what_may_never_end_is_not_read(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WorkloadError, match="is a pipe or a device, which may never end; name a workload file"):
        load_workload(tmp_path / name)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "is not text"),
        ("utf-16-le", r":1: character U\+0000"),
        ("utf-32", "is not text"),
        ("cp037", "is not text"),
    ],
)
def test_text_in_another_encoding_is_refused(encoding: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_bytes(GOOD.encode(encoding))
    with pytest.raises(WorkloadError, match=said):
        load_workload(tmp_path / "w.yaml")


@pytest.mark.parametrize("name", ["x" * 250, "two\nlines", "a\udcffb"])
def test_a_files_name_is_shown_as_one_short_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkloadError) as caught:
        load_workload(name * 2)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600

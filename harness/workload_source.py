"""A YAML file whose every value knows its line, so that a mistake is shown where it was made."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, cast

import yaml

from harness.errors import WorkloadError

Place = Sequence[str | int]
"""Keys and indices from the top of the file: `("matrix", 0, "depth", 2)`."""

_SHOWN = 12
"""Mistakes shown at once."""

_BRIEFLY = reprlib.Repr()
_BRIEFLY.maxlevel = 2
_BRIEFLY.maxstring = 60


class _Loader(yaml.SafeLoader):
    """Scalars as YAML 1.2 reads them: `1e-4` is a number, `010` is ten, `no` and `12:30` and a date are text."""


_Loader.yaml_implicit_resolvers = {}


def _construct_int(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value, 0) if re.match(r"0[ox]", node.value) else int(node.value)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


@dataclass(frozen=True)
class Source:
    """A parsed workload file."""

    file: str
    """As the user named it."""
    root: yaml.MappingNode
    data: dict[str, Any]

    def line(self, place: Place, *, key: bool = False) -> int:
        """The line, from 1, of the value at a place, or of its key.

        Steps that the file does not have are skipped: a default, or one value where a list would be allowed too.
        """
        nodes = [found for _, *found in self._walk(place)]
        return _line(nodes[-1][0 if key else 1]) if nodes else _line(self.root)

    def spell(self, place: Place) -> str:
        """A place as people write it, as far as the file has it: `matrix[0].depth`."""
        steps = [step for step, *_ in self._walk(place)]
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
        return text.removeprefix(".") or "the file"

    def _walk(self, place: Place) -> Iterator[tuple[str | int, yaml.Node, yaml.Node]]:
        node: yaml.Node = self.root
        for step in place:
            found = _step(node, step)
            if found is not None:
                yield step, *found
                node = found[1]


class Mistakes:
    """What is wrong with a file: collected, so that one reading shows all of it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: dict[tuple[int, str], None] = {}

    def add(self, place: Place, message: str, *, key: bool = False) -> None:
        """Note a mistake at a place; the same one twice is noted once."""
        self._found[self.source.line(place, key=key), message] = None

    def spell(self, place: Place) -> str:
        """As `Source.spell`."""
        return self.source.spell(place)

    def check(self) -> None:
        """Raise WorkloadError if there are any."""
        if not self._found:
            return
        lines = [f"{self.source.file}:{line}: {message}" for line, message in sorted(self._found)]
        if len(lines) == 1:
            raise WorkloadError(lines[0])
        more = [f"... and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        raise WorkloadError("\n  ".join([f"{len(lines)} mistakes in {self.source.file}", *lines[:_SHOWN], *more]))


def parse(file: str, text: str) -> Source:
    """Read YAML text.

    Raises:
        WorkloadError: not YAML, not a mapping, a key twice, or a key that is not text.
    """
    try:
        root = yaml.compose(text, _Loader)
        _check_root(file, root)
        _check_keys(file, cast(yaml.MappingNode, root))
        data = _Loader("").construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        raise WorkloadError(f"{where}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise WorkloadError(f"{file}: not valid YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise WorkloadError(f"{file}: nested too deeply to be a workload file") from error
    return Source(file, cast(yaml.MappingNode, root), data)


def show(value: object) -> str:
    """A value from a file, short whatever it is."""
    return "empty" if value is None else _BRIEFLY.repr(value)


def suggest(wrong: object, valid: Sequence[str]) -> str:
    """`; did you mean 'depth'? Valid: depth, shortcut`, the first part only where something is near."""
    near = get_close_matches(str(wrong), valid, n=1)
    return (f"; did you mean {near[0]!r}?" if near else ".") + f" Valid: {', '.join(valid) or 'none'}"


def _check_root(file: str, root: yaml.Node | None) -> None:
    if root is None:
        raise WorkloadError(f"{file}: the file is empty; a workload needs name, dataset, matrix, recipe and seeds")
    if not isinstance(root, yaml.MappingNode):
        raise WorkloadError(
            f"{file}:{_line(root)}: a workload file is a mapping of `key: value` lines, not {_kind(root)}"
        )


def _check_keys(file: str, root: yaml.MappingNode) -> None:
    for mapping in _mappings(root):
        first: dict[str, int] = {}
        for key, _ in mapping.value:
            line = _line(key)
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _TEXT_TAGS:
                raise WorkloadError(f"{file}:{line}: a key must be text, not {_show_key(key)}")
            if key.value in first:
                raise WorkloadError(
                    f"{file}:{line}: key {key.value!r} is here for the second time, "
                    f"first in line {first[key.value]}; keep one"
                )
            first[key.value] = line


_TEXT_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def _show_key(key: yaml.Node) -> str:
    return repr(key.value) if isinstance(key, yaml.ScalarNode) else _kind(key)


def _kind(node: yaml.Node) -> str:
    return {"MappingNode": "a mapping", "SequenceNode": "a list"}.get(type(node).__name__, "one value")


def _mappings(root: yaml.Node) -> Iterator[yaml.MappingNode]:
    """Every mapping, each once: aliases can make a node its own ancestor."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The key node and the value node one step down."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

"""A YAML file in which every value knows its line, so that a message about a mistake can give it."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NoReturn, cast

import yaml

from harness.errors import WorkloadError

KeyPath = Sequence[str | int]
"""Keys and indices from the top of the file: `("matrix", 0, "depth", 2)`."""

MAX_NODES = 20_000
"""Maximum keys and values of a file, counted again at each repetition by an alias. A list of 10,000 seeds fits."""
MAX_CHARS = 1_000
"""Maximum characters of a key, and of a number. Python refuses to write whole numbers of more than 4,300 digits."""

_SHOWN = 12
"""Maximum mistakes in the message."""
_COLLECTED = 100
"""Number of mistakes at which reading ends."""
_YAML_MESSAGE_CHARS, _MESSAGE_CHARS = 200, 1_000
"""Maximum characters of a YAML library's message, and of one of ours. Either may contain a long text from the file."""

_BRIEFLY = reprlib.Repr()
_BRIEFLY.maxlevel = 2
_BRIEFLY.maxstring = 60

_UNFIT = re.compile("[^\t\n\x20-\x7e\xa0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that are refused: control characters, lone surrogates and noncharacters, which MLflow, JSON or HTML cannot
carry; and marks that turn the direction of text (U+202A to U+202E, U+2066 to U+2069) and can disguise it."""
_LINE_END = re.compile("\r\n|[\r\n\u2028\u2029]")
"""Line ends of PyYAML, as far as they may be in a file."""

_YAML = "tag:yaml.org,2002:"
_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+(?:_[0-9]+)*|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
)
"""Tag, pattern and first characters of each kind of value that is not plain text."""
_PATTERNS = {_YAML + tag: re.compile(f"(?:{pattern})$") for tag, pattern, _ in _SCALARS}
_TEXT = f"{_YAML}str"
_TAGS = {
    yaml.ScalarNode: {_TEXT, *_PATTERNS},
    yaml.SequenceNode: {f"{_YAML}seq"},
    yaml.MappingNode: {f"{_YAML}map"},
}
"""Kind of node -> its allowed tags."""


class _Refusal(yaml.MarkedYAMLError):
    """Valid YAML that no workload file needs, such as a Python tag."""


class _Loader(yaml.SafeLoader):
    """Reads scalars like YAML 1.2: `1e-4` is a number, `010` is ten, `no` and `12:30` and a date are text.

    Aliases may repeat nodes, but not endlessly, and not to more than `MAX_NODES`.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = 0
        self._counts: dict[int, int] = {}
        """Identity of each finished node -> number of nodes in it."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node, and count it."""
        peek: Any = self.peek_event  # has no type, and neither has the event
        event: Any = peek()
        before = self._count
        node = super().compose_node(parent, index)
        if not isinstance(event, yaml.AliasEvent):
            self._count += 1
            self._counts[id(node)] = self._count - before
        elif id(node) in self._counts:
            self._count += self._counts[id(node)]
        else:
            _refuse(event, f"alias {show(f'*{event.anchor}')} is inside the value that it repeats")
        if self._count > MAX_NODES:
            _refuse(
                event,
                f"the file has more than {MAX_NODES:,} keys and values, counted again wherever an alias repeats them; "
                "write a shorter one",
            )
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Apply the merges. Of each key keep the value that counts, so that a mistake is shown at its line."""
        super().flatten_mapping(node)
        node.value = list({key.value: (key, value) for key, value in node.value}.values())


_Loader.yaml_implicit_resolvers = {}


def _construct_int(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value, 0) if re.match(r"0[ox]", node.value) else int(node.value)


for _tag, _, _first in _SCALARS:
    _Loader.add_implicit_resolver(_YAML + _tag, _PATTERNS[_YAML + _tag], _first)
_Loader.add_constructor(f"{_YAML}int", _construct_int)
_Loader.add_constructor(f"{_YAML}merge", lambda _, node: node.value)  # merge keys are gone by now; elsewhere it is text


@dataclass(frozen=True)
class Source:
    """A parsed workload file."""

    file: str
    """The file's name as the user wrote it."""
    root: yaml.MappingNode
    data: dict[str, Any]

    def line(self, key_path: KeyPath, *, key: bool = False) -> int:
        """Return the line, from 1, of the value at a key path, or of its key.

        Steps that the file does not have are skipped: a default, or one value where a list would be allowed too.
        """
        nodes = [found for _, *found in self._walk(key_path)]
        return _line(nodes[-1][0 if key else 1]) if nodes else _line(self.root)

    def spell(self, key_path: KeyPath) -> str:
        """Return a key path in the notation of messages, as far as the file has it: `matrix[0].depth`."""
        steps = [step for step, *_ in self._walk(key_path)]
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
        return text.removeprefix(".") or "the file"

    def _walk(self, key_path: KeyPath) -> Iterator[tuple[str | int, yaml.Node, yaml.Node]]:
        node: yaml.Node = self.root
        for step in key_path:
            found = _step(node, step)
            if found is not None:
                yield step, *found
                node = found[1]


class Mistakes:
    """The mistakes in a file, collected so that one reading shows all of them."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._found: dict[tuple[int, str], None] = {}

    def add(self, key_path: KeyPath, message: str, *, key: bool = False) -> None:
        """Note a mistake at a key path; a repeated one is noted once.

        Raises:
            WorkloadError: the maximum number of mistakes is reached.
        """
        self._found[self.source.line(key_path, key=key), _cut(message, _MESSAGE_CHARS)] = None
        if len(self._found) == _COLLECTED:
            self.check()

    def spell(self, key_path: KeyPath) -> str:
        """Return a key path in the notation of messages; see `Source.spell`."""
        return self.source.spell(key_path)

    def check(self) -> None:
        """Raise WorkloadError if there are mistakes."""
        if not self._found:
            return
        lines = [f"{self.source.file}:{line}: {message}" for line, message in sorted(self._found)]
        if len(lines) == 1:
            raise WorkloadError(lines[0])
        least = "at least " if len(lines) == _COLLECTED else ""
        more = [f"... and {least}{len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        head = f"{least}{len(lines)} mistakes in {self.source.file}"
        raise WorkloadError("\n  ".join([head, *lines[:_SHOWN], *more]))


def parse(file: str, text: str) -> Source:
    """Read YAML text.

    Raises:
        WorkloadError: not YAML, not a mapping, a key twice, a key that is not text, a tag that does not fit its value,
            more than `MAX_NODES`, or a character that MLflow, JSON or HTML cannot carry.
    """
    _check_characters(file, text)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        _check_root(file, root)
        _check_nodes(cast("yaml.MappingNode", root))
        data = loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}" if mark else file
        kind = () if isinstance(error, _Refusal) else ("not valid YAML", error.context)
        message = _cut(": ".join(filter(None, (*kind, error.problem))), _YAML_MESSAGE_CHARS)
        raise WorkloadError(f"{where}: {message}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        message = "not valid YAML: a number in an escape or after %YAML is too large"
        raise WorkloadError(f"{file}:{loader.line + 1}: {message}") from error
    except RecursionError as error:
        raise WorkloadError(f"{file}:{loader.line + 1}: nested too deeply to be a workload file") from error
    return Source(file, cast("yaml.MappingNode", root), data)


def show(value: object) -> str:
    """Return a value from a file as text of limited length."""
    return "empty" if value is None else _BRIEFLY.repr(value)


def suggest(wrong: object, valid: Sequence[str]) -> str:
    """Return `; did you mean 'depth'? Valid: depth, shortcut`; the first part only if a valid name is similar."""
    text = str(wrong) if isinstance(wrong, str | int) else ""
    near = get_close_matches(text[:MAX_CHARS], valid, n=1)
    return (f"; did you mean {near[0]!r}?" if near else ".") + f" Valid: {', '.join(valid) or 'none'}"


def _cut(text: str, limit: int) -> str:
    """Return a message, cut off at the limit."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def _check_characters(file: str, text: str) -> None:
    found = _UNFIT.search(text.replace("\r", "\n"))
    if found:
        line = 1 + len(_LINE_END.findall(text, 0, found.start()))
        raise WorkloadError(f"{file}:{line}: {_unfit(found[0])}")


def _unfit(character: str) -> str:
    return (
        f"character U+{ord(character):04X} is not allowed: control characters, lone surrogates and marks that turn the "
        "direction of text are refused; remove it"
    )


def _check_root(file: str, root: yaml.Node | None) -> None:
    if root is None:
        raise WorkloadError(f"{file}: the file is empty; a workload needs name, dataset, matrix, recipe and seeds")
    if not isinstance(root, yaml.MappingNode):
        raise WorkloadError(
            f"{file}:{_line(root)}: a workload file is a mapping of `key: value` lines, not {_kind(root)}"
        )


def _check_nodes(root: yaml.MappingNode) -> None:
    for node in _nodes(root):
        if node.tag not in _TAGS[type(node)]:
            _refuse(node, f"tag {_show_tag(node)} is not allowed for {_kind(node)}; leave the tag out")
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node)
        elif isinstance(node, yaml.MappingNode):
            _check_keys(node)


def _check_scalar(node: yaml.ScalarNode) -> None:
    pattern = _PATTERNS.get(node.tag)
    found = _UNFIT.search(node.value)
    if found:
        _refuse(node, _unfit(found[0]))
    if pattern and not pattern.fullmatch(node.value):
        _refuse(node, f"tag {_show_tag(node)} does not fit {show(node.value)}; leave the tag out")
    if pattern and len(node.value) > MAX_CHARS:
        _refuse(node, f"a number of {len(node.value):,} characters; at most {MAX_CHARS:,} are allowed")


def _check_keys(mapping: yaml.MappingNode) -> None:
    first: dict[str, int] = {}
    for key, _ in mapping.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (_TEXT, f"{_YAML}merge"):
            _refuse(key, f"a key must be text, not {_show_key(key)}")
        if len(key.value) > MAX_CHARS:
            _refuse(key, f"a key of {len(key.value):,} characters; at most {MAX_CHARS:,} are allowed")
        if key.value in first:
            _refuse(
                key,
                f"key {show(key.value)} is here for the second time, first in line {first[key.value]}; keep one",
            )
        first[key.value] = _line(key)


def _refuse(at: yaml.Node | yaml.Event, message: str) -> NoReturn:
    mark: Any = at.start_mark
    raise _Refusal(problem=message, problem_mark=mark)


def _show_tag(node: yaml.Node) -> str:
    return show(node.tag.replace(_YAML, "!!")).strip("'")


def _show_key(key: yaml.Node) -> str:
    return show(key.value) if isinstance(key, yaml.ScalarNode) else _kind(key)


def _kind(node: yaml.Node) -> str:
    return {"MappingNode": "a mapping", "SequenceNode": "a list"}.get(type(node).__name__, "one value")


def _nodes(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield every node once, even if several aliases repeat it."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the key node and the value node one step down."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

"""The keys of a workload file and the types of their values, as pydantic models, with error messages in plain words."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from harness.trial import Measure
from harness.workload.source import KeyPath, Mistakes, show, suggest

Axes = dict[str, tuple[Any, ...]]
"""Setting -> its values: one, or several if the setting is an axis. In the order of the settings' dataclass."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
"""Pattern of names, which become parts of paths."""

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION_S = (0.001, 366 * 86400)
"""Smallest and largest duration, in seconds: a year is longer than any trial."""
SEEDS = 10_000
"""Maximum seeds of a sweep."""


def _listed(value: Any) -> Any:
    """Return a tuple, from one value or a list of several."""
    return tuple(value) if isinstance(value, list) else (value,)


def _named(value: Any) -> Any:
    """Return a name alone as a mapping; leave a mapping, which may have settings beside the name, as it is."""
    if not isinstance(value, str | dict):
        raise ValueError(f"is {show(value)}; it must be a name, or a mapping with settings beside the name")
    return {"name": value} if isinstance(value, str) else value


def _filled(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("is an empty list; a sweep needs at least one value")
    return values


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    for value, count in Counter(values).items():
        if count > 1:
            raise ValueError(f"has {show(value)} more than once")
    return values


def _seeds(value: Any) -> Any:
    """Turn a count n into the seeds 0 to n-1."""
    if isinstance(value, list) and len(value) > SEEDS:
        raise ValueError(f"is a list of {len(value):,}; at most {SEEDS:,} seeds are allowed")
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"is {show(value)}; it must be a count, or a list of whole numbers")
    if not 1 <= value <= SEEDS:
        raise ValueError(f"is {show(value)}; a count of seeds must be between 1 and {SEEDS:,}")
    return tuple(range(value))


def within(least: float, most: float, unit: str = "") -> AfterValidator:
    """Return a check of a number, or of each in a tuple, against its bounds. It turns -0.0 into 0.0."""

    def check(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(check, value))
        if value is not None and not least <= value <= most:
            raise ValueError(f"is {show(value)}; it must be at least {least:,}{unit} and at most {most:,}{unit}")
        return value + 0.0 if isinstance(value, float) else value

    return AfterValidator(check)


def seconds(value: Any) -> Any:
    """Return a duration such as `90`, `90s`, `15m` or `2h` in seconds. The type check refuses anything else later."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd]?)", value) if isinstance(value, str) else None
    return float(match[1]) * _SECONDS[match[2] or "s"] if match else value


def as_block(value: Any, key_path: KeyPath, mistakes: Mistakes) -> dict[str, Any]:
    """Return a name, alone or with settings, as a mapping. On a mistake, note it and return an empty one."""
    try:
        block: dict[str, Any] = _named(value)
    except ValueError as error:
        mistakes.add(key_path, f"{mistakes.spell(key_path)} {error}")
        return {}
    return block


class _Fields(BaseModel):
    model_config = _STRICT


class FileFields(_Fields):
    """The top-level fields of a workload file."""

    name: Annotated[str, Field(pattern=NAME)]
    description: str = ""
    dataset: Annotated[dict[str, Any], BeforeValidator(_named)]
    matrix: Annotated[tuple[dict[str, Any], ...], BeforeValidator(_listed), AfterValidator(_filled)]
    recipe: Annotated[dict[str, Any], BeforeValidator(_named)]
    scale: dict[str, Any] = {}
    seeds: Annotated[
        tuple[Annotated[int, within(0, 2**32 - 1)], ...],
        BeforeValidator(_seeds),
        AfterValidator(_filled),
        AfterValidator(_distinct),
    ]
    claims: Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_distinct)] = ()
    measure: Measure = "training"
    audit: Literal["strict", "warn"] = "strict"
    isolation: Literal["group", "process"] = "group"
    keep: Literal["nothing", "weights"] = "nothing"
    max_attempts: Annotated[int, within(1, 1_000)] = 3
    trial_timeout: Annotated[float | None, within(*DURATION_S, " s"), BeforeValidator(seconds)] = None
    stall_timeout: Annotated[float, within(*DURATION_S, " s"), BeforeValidator(seconds)] = 1800.0
    checkpoint_every: Annotated[float, within(*DURATION_S, " s"), BeforeValidator(seconds)] = 600.0
    checkpoint_every_steps: Annotated[int | None, within(1, 100_000_000)] = None


_FIELDS = TypeVar("_FIELDS", bound=BaseModel)


def read(
    kind: type[_FIELDS], data: Any, key_path: KeyPath, mistakes: Mistakes, *, beside: tuple[str, ...] = ()
) -> _FIELDS | None:
    """Return the fields at a key path of the file, or None with the mistakes noted."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _note(kind, detail, key_path, mistakes, beside)
        return None


def axes_of(
    kind: type,
    data: Mapping[str, Any],
    key_path: KeyPath,
    mistakes: Mistakes,
    *,
    beside: tuple[str, ...] = (),
    optional: bool = False,
) -> Axes | None:
    """Return the settings that `data` gives for a dataclass, or None with the mistakes noted.

    Args:
        kind: the dataclass.
        data: setting -> value, or a list of values.
        key_path: key path of `data` in the file.
        mistakes: collects the mistakes.
        beside: keys that are allowed beside the settings; the message on an unknown key lists them too.
        optional: no setting is required, because every one has a value elsewhere.
    """
    fields = read(_axes_model(kind, optional), dict(data), key_path, mistakes, beside=beside)
    if fields is None:
        return None
    return {name: getattr(fields, name) for name in type(fields).model_fields if name in fields.model_fields_set}


@cache
def _axes_model(kind: type, optional: bool) -> type[BaseModel]:
    """Return a pydantic model with a dataclass's fields. Each takes one value or a list, with numbers within bounds."""
    hints = get_type_hints(kind, include_extras=True)
    fields: dict[str, Any] = {
        field.name: (_axis(hints[field.name]), () if optional or _has_default(field) else ...)
        for field in dataclasses.fields(kind)
        if field.init
    }
    return create_model(kind.__name__, __config__=_STRICT, **fields)


def _axis(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        plain, bounds = get_args(hint)
        hint, listed = Annotated[plain, within(*bounds)], _listed_tuples if get_origin(plain) is tuple else _listed
    else:
        listed = _listed
    return Annotated[tuple[hint, ...], BeforeValidator(listed), AfterValidator(_filled), AfterValidator(_distinct)]


def _listed_tuples(value: Any) -> Any:
    """Return a tuple of tuples, for a setting whose value is a list. Only a list of lists gives several values."""
    if isinstance(value, list) and any(isinstance(inner, list) for inner in value):
        return tuple(tuple(inner) if isinstance(inner, list) else inner for inner in value)
    return (tuple(value),) if isinstance(value, list) else (value,)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _note(
    kind: type[BaseModel], detail: ErrorDetails, key_path: KeyPath, mistakes: Mistakes, beside: tuple[str, ...]
) -> None:
    at = (*key_path, *detail["loc"])
    if detail["type"] == "extra_forbidden":
        valid = [*beside, *kind.model_fields]
        message = f"unknown key {show(at[-1])} in {mistakes.spell(at[:-1])}{suggest(at[-1], valid)}"
        mistakes.add(at, message, key=True)
    elif detail["type"] == "missing":
        mistakes.add(at[:-1], f"{mistakes.spell(at[:-1])} lacks {str(at[-1])!r}")
    else:
        mistakes.add(at, f"{mistakes.spell(at)} {_explain(detail)}")


def _explain(detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    if detail["type"] == "string_pattern_mismatch":
        allowed = "letters, digits, '_', '.' and '-' are allowed, a letter or digit first, 128 at most"
        return f"is {show(detail['input'])}; {allowed}"
    wanted = _WANTED.get(detail["type"], detail["msg"].removeprefix("Input should be "))
    near = suggest(detail["input"], re.findall(r"'([^']*)'", wanted)) if detail["type"] == "literal_error" else ""
    hint = near.split("?")[0] + "?" if "?" in near else ""
    return f"is {show(detail['input'])}; it must be {wanted}{hint}"


_WANTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping of `key: value` lines",
    "tuple_type": "a list",
}

"""How commands write: data to stdout, messages to stderr, numbers for people."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.errors import HarnessError

DASH = "\N{EN DASH}"
"""Stands for what is not known."""

_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class OutputClosed(Exception):
    """Whoever read stdout has had enough, as `head` does."""


def emit(text: str) -> None:
    """Write data to stdout.

    Raises:
        OutputClosed: nobody reads it any more.
        HarnessError: it cannot be written.
    """
    encoding = sys.stdout.encoding or "utf-8"
    shown = text.encode(encoding, "replace").decode(encoding)  # a terminal without Unicode shows question marks
    try:
        sys.stdout.write(shown.rstrip("\n") + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise OutputClosed from None
    except OSError as error:
        raise HarnessError(f"stdout cannot be written: {error.strerror}") from error


def emit_json(value: Any) -> None:
    """Write a value to stdout as JSON. NaN and infinity, which JSON lacks, are refused rather than written."""
    emit(json.dumps(value, indent=2, allow_nan=False, default=str))


def note(message: str) -> None:
    """Write a message to stderr."""
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Aligned columns: numbers to the right, the rest to the left, a dash for None. No column is cut or wrapped."""
    rows = [list(row) for row in rows]
    numeric = [
        any(isinstance(row[i], int | float) for row in rows) or header[i].startswith(" ") for i in range(len(header))
    ]
    cells = [[name.strip() for name in header], *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    )


def stanzas(records: Iterable[Mapping[str, Any]]) -> str:
    """A paragraph each, for what is too long for a table: the first value, then the others as indented `key: value`."""
    return "\n\n".join("\n".join(_stanza(record)) for record in records)


def wrap(text: str, *, first: str, later: str) -> str:
    """Text in lines of readable length, each behind its indent."""
    return textwrap.fill(text, 80, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)


def si(value: float | None, unit: str = "") -> str:
    """Three digits and a prefix: 6071936 is `6.07 M`, and with the unit FLOP `6.07 MFLOP`."""
    if value is None:
        return DASH
    size, prefix = next(((size, prefix) for size, prefix in _PREFIXES if abs(value) >= 0.9995 * size), (1.0, ""))
    scaled = abs(value / size)
    decimals = 0 if scaled >= 99.95 or (not prefix and value == int(value)) else 1 if scaled >= 9.995 else 2
    return f"{value / size:.{decimals}f} {prefix}{unit}".strip()


def _stanza(record: Mapping[str, Any]) -> Iterator[str]:
    title, *others = record.items()
    yield str(title[1])
    for key, value in others:
        yield wrap(_text(value), first=f"  {key}: ", later="    ")


def _text(value: Any) -> str:
    if value is None or value == "":
        return DASH
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

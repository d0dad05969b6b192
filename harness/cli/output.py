"""Output of commands: data to stdout, messages to stderr, numbers in a readable form."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.errors import HarnessError
from harness.network import without_secrets
from harness.waits import say_on_stderr
from reports.formatting import DASH

_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class OutputClosed(Exception):
    """The reader of stdout has closed it, as `head` does."""


def emit(text: str) -> None:
    """Write data to stdout.

    Raises:
        OutputClosed: stdout was closed by its reader.
        HarnessError: stdout cannot be written.
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
    """Write a value to stdout as JSON. NaN and infinity, which JSON lacks, raise an error."""
    emit(json.dumps(value, indent=2, allow_nan=False, default=str))


def note(message: str) -> None:
    """Write a message to stderr, without the secrets of addresses in it."""
    say_on_stderr(without_secrets(message))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return aligned columns: numbers right, the rest left, a dash for None. No column is cut or wrapped."""
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
    """Return a paragraph per record, for long records: the first value, then the others as indented `key: value`."""
    return "\n\n".join("\n".join(_stanza(record)) for record in records)


def wrap(text: str, *, first: str, later: str) -> str:
    """Return the text in lines of readable length, each behind its indent."""
    return textwrap.fill(text, 80, initial_indent=first, subsequent_indent=later, break_on_hyphens=False)


def si(value: float | None, unit: str = "") -> str:
    """Return three digits and a prefix: 6071936 is `6.07 M`, and with the unit FLOP `6.07 MFLOP`."""
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

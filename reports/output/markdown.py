"""The report as Markdown for GitHub. Every value is escaped when it enters the template."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from reports.output.templating import template_environment
from reports.tables.report_tables import Table

SPECIAL = re.compile(r"[<>&@|`*\\$~#]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")
"""Characters that could begin markup, HTML, a mention or the next cell of a table. A `_` inside a word and a bracket
without a link are left."""
LINE_BREAKS = re.compile(r"\s*[\r\n]+\s*")


class MarkdownText(str):
    """Text that is Markdown already."""

    __slots__ = ()


def render(context: Mapping[str, Any]) -> str:
    """Render the whole document."""
    environment = template_environment(finalize=finalize)  # HTML's escapes are not Markdown's
    environment.filters["table"] = table
    return environment.get_template("report.md.j2").render(context)


def finalize(value: object) -> str:
    """Convert the value of a template's `{{ }}`."""
    return value if isinstance(value, MarkdownText) else escape(str(value))


def escape(text: str) -> str:
    """Escape text: no markup, no HTML, no mention, no line break, and no cell border."""
    return SPECIAL.sub(lambda found: f"&#{ord(found[0])};", LINE_BREAKS.sub(" ", text))


def table(value: Table) -> MarkdownText:
    """Return a table with its caption above and its note below."""
    head = [escape(f"{column.group}: {column.title}" if column.group else column.title) for column in value.columns]
    rule = ["---:" if column.numeric else "---" for column in value.columns]
    lines = [f"**{escape(value.caption)}**", "", _line(head), _line(rule)]
    lines += [
        _line([_entry(cell, value.links.get((place, column))) for column, cell in enumerate(row)])
        for place, row in enumerate(value.rows)
    ]
    lines += ["", escape(value.note)] if value.note else []
    return MarkdownText("\n".join(lines))


def _entry(text: str, link: str | None) -> str:
    """Return an entry, linked to an address. Links within the page are left to the HTML page."""
    return escape(text) if link is None or link.startswith("#") else f"[{escape(text)}](<{quote(link, safe=':/#?&=')}>)"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"

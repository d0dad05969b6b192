r"""A report's tables for papers: LaTeX with booktabs, for use with `\input`. Every value is escaped."""

from __future__ import annotations

import re

from reports.tables.report_tables import Table

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EM DASH}": "---",
    "\N{NO-BREAK SPACE}": "~",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
}
ANY_SPECIAL = re.compile("|".join(map(re.escape, SPECIAL)))


def escape(text: str) -> str:
    """Escape text, on one line."""
    return ANY_SPECIAL.sub(lambda found: SPECIAL[found[0]], " ".join(text.split(" ")).replace("\n", " "))


def table(value: Table) -> str:
    """Return a floating table with caption and label; it needs the package booktabs."""
    alignment = "".join("r" if column.numeric else "l" for column in value.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(value.caption)}.}}",
        rf"\label{{tab:{value.name}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        *_groups(value),
        _row([column.title for column in value.columns]),
        r"\midrule",
        *(_row(row) for row in value.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *([rf"\par\smallskip\footnotesize {escape(value.note)}"] if value.note else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    """Return a row. Braces keep LaTeX from reading a bracket at its start as an argument of the last line break."""
    return " & ".join(f"{{{escape(cell)}}}" if cell.startswith("[") else escape(cell) for cell in cells) + r" \\"


def _groups(value: Table) -> list[str]:
    if not value.groups:
        return []
    heads, rules, first = [], [], 1
    for group, span in value.groups:
        heads.append(rf"\multicolumn{{{span}}}{{c}}{{{escape(group)}}}")
        rules += [rf"\cmidrule(lr){{{first}-{first + span - 1}}}"] if group else []
        first += span
    return [" & ".join(heads) + r" \\", " ".join(rules)]

"""Tables for papers: characters that LaTeX reads as commands appear as text."""

from __future__ import annotations

from reports.claims.assessment import assess
from reports.output.latex import escape, table
from reports.output.render import Settings, report_files
from reports.tables.report_tables import Column, Table
from reports.testing.synthetic import synthetic_sweep

EXAMPLE = Table(
    name="errors",
    caption="Errors in %",
    columns=(Column(title="Net"), Column(title="a_b", numeric=True, group="Test"), Column(title="c", group="Test")),
    rows=(("r&d", "\N{MINUS SIGN}1.00 [1,\N{NO-BREAK SPACE}2]", "\N{EM DASH}"), ("[x]", "{}", "\\input{/etc/passwd}")),
    note="n_1 = 3",
)


def test_a_table_reads_as_a_paper_has_it() -> None:
    assert table(EXAMPLE).splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Errors in \%.}",
        r"\label{tab:errors}",
        r"\begin{tabular}{lrl}",
        r"\toprule",
        r"\multicolumn{1}{c}{} & \multicolumn{2}{c}{Test} \\",
        r"\cmidrule(lr){2-3}",
        r"Net & a\_b & c \\",
        r"\midrule",
        r"r\&d & $-$1.00 [1,~2] & --- \\",
        r"{[x]} & \{\} & \textbackslash{}input\{/etc/passwd\} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip\footnotesize n\_1 = 3",
        r"\end{table}",
    ]


def test_no_special_character_is_left_alone() -> None:
    assert escape("#$%&_{}~^\\") == (r"\#\$\%\&\_\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}")


def test_tables_for_papers_are_written_only_where_asked_for() -> None:
    results = synthetic_sweep()
    asked = {name for name in report_files(assess(results), Settings(latex=True)) if name.endswith(".tex")}
    assert asked == {f"tables/{name}.tex" for name in ("errors", "cells", "complexity", "milestones")}
    assert not [name for name in report_files(assess(results)) if name.endswith(".tex")]

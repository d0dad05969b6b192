"""Published claims as data: a statement, the tests that decide it, and the figures behind them."""

from __future__ import annotations

from dataclasses import dataclass

from reports.stats.cells import TEST_ERROR


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A published number behind a claim. A test checks that it equals the one in `models.published.entries`.

    Reports may not import that module.
    """

    network: str
    """The label of its specification."""
    dataset: str
    printed: str
    """The number as the paper prints it: `6.61`, `>60`, `19.6`."""
    where: str
    """Table or section of the claim's paper."""
    sd: float | None = None
    """Standard deviation between the paper's runs; None if the paper prints none."""
    runs: int = 1

    @property
    def value(self) -> float:
        """The number, without `<` or `>`."""
        return float(self.printed.lstrip("<>"))


@dataclass(frozen=True, kw_only=True)
class ClaimTest:
    """A condition that some cells must meet."""

    contrast: str
    """The cells that are compared: a key of `CONTRASTS`."""
    kind: str
    """The condition on each difference: a key of `KINDS`."""
    rule: str
    """The condition in words, with `{margin}` in place of the margin."""
    metric: str = TEST_ERROR
    margin: float = 0.0
    """The bound for the difference: percentage points, or percent of a cost."""
    published: tuple[Figure, ...] = ()
    """The published figures behind the test. Two figures: first and second of the smallest gap that the paper prints.
    Four: a gap to subtract and then the gap itself, if the claim is about a difference between gaps. One: the figure
    that cells are compared with. Empty if the paper prints none."""
    others: tuple[Figure, ...] = ()
    """Further published figures of the compared cells. If both cells of a pair are among these figures and `published`,
    planning takes the pair's gap from them."""
    spread: float | None = None
    """Standard deviation between seeds, in points, for planning; None for the usual one."""

    @property
    def published_gap(self) -> float | None:
        """The second figure minus the first, as the paper prints them; None if it prints no gap."""
        values = [figure.value for figure in self.published]
        if len(values) == 4:
            return (values[3] - values[2]) - (values[1] - values[0])
        return values[1] - values[0] if len(values) == 2 else None

    @property
    def reference(self) -> Figure | None:
        """The published figure that cells are compared with; None if there is none."""
        return self.published[0] if len(self.published) == 1 else None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published statement and the tests that decide it. All tests must hold."""

    id: str
    statement: str
    """The statement as one sentence."""
    brief: str
    """A short form of the statement that fits on one line."""
    source: str
    """Paper, and section, table or figure."""
    needs: str
    """The cells that the claim needs, in words."""
    tests: tuple[ClaimTest, ...]
    alpha: float = 0.05

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are compared, each once."""
        return tuple(dict.fromkeys(test.metric for test in self.tests))

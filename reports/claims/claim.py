"""What a claim is: a published statement, the tests that decide it, and the figures behind them, as data."""

from __future__ import annotations

from dataclasses import dataclass

from reports.stats.cells import TEST_ERROR


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A published number behind a claim. Reports may not import `models.published.entries`; a test holds both equal."""

    network: str
    """The label of its specification."""
    dataset: str
    printed: str
    """As it stands in the paper: `6.61`, `>60`, `19.6`."""
    where: str
    """Table or section of the claim's paper."""
    sd: float | None = None
    """Standard deviation between the paper's runs; None where it prints none."""
    runs: int = 1

    @property
    def value(self) -> float:
        """The number, without the sign of a bound."""
        return float(self.printed.lstrip("<>"))


@dataclass(frozen=True, kw_only=True)
class ClaimTest:
    """What must hold of some cells."""

    contrast: str
    """Which cells are compared: a key of `CONTRASTS`."""
    kind: str
    """What must hold of each difference: a key of `KINDS`."""
    rule: str
    """That in words, `{margin}` standing for the margin."""
    metric: str = TEST_ERROR
    margin: float = 0.0
    """What the difference is held against: percentage points, or percent of a cost."""
    published: tuple[Figure, ...] = ()
    """First and second figure of the smallest gap that the paper prints, less those of another gap where that is what
    the claim is about; the one figure that cells are held against; empty where the paper prints none."""
    others: tuple[Figure, ...] = ()
    """Further figures that the paper prints of cells that are compared. Planning takes the gap of a pair from these and
    from `published` where both of its cells are among them."""
    spread: float | None = None
    """Standard deviation between seeds, in points, that planning reckons with where it is not the usual one."""

    @property
    def published_gap(self) -> float | None:
        """Second less first as the paper prints them; None where it does not."""
        values = [figure.value for figure in self.published]
        if len(values) == 4:
            return (values[3] - values[2]) - (values[1] - values[0])
        return values[1] - values[0] if len(values) == 2 else None

    @property
    def reference(self) -> Figure | None:
        """The figure that cells are held against."""
        return self.published[0] if len(self.published) == 1 else None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published statement and the tests that decide it: all must hold."""

    id: str
    statement: str
    """One sentence, as a reader would say it."""
    brief: str
    """The statement where a line must hold it."""
    source: str
    """Paper, then section, table or figure."""
    needs: str
    """The cells it needs, for people."""
    tests: tuple[ClaimTest, ...]
    alpha: float = 0.05

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is compared, each once."""
        return tuple(dict.fromkeys(test.metric for test in self.tests))

"""What a contrast is: which cells of a sweep a claim compares, and why it compares none.

`Between` compares cells with each other. It says which settings it is about; in every other one that decides a result
(`Cell.settings`) the cells must be equal, also in those that a later version adds. An `Exemption` names what may differ
besides, where the paper itself trained its networks differently.

`Against` holds each cell on its own against a published figure. Network, data set, split and evaluation must be those
of the figure: else something else is measured. How the network was trained is free: whether other training reaches the
published error is a fair question, and the answer may be no. So two cells of one network that differ in their recipe
are both held against the figure, each under its own label. Two kinds of figures ask for more: one that was printed for
a setting of the recipe (batches of 64, a warm-up) needs that setting, and one that says that a network fails needs the
published recipe, because any short training would bear it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count
from typing import Any, Protocol

from reports.cells import Cell, as_text

Conditions = Mapping[str, tuple[Any, ...]]
"""Setting -> the values that it may have; None stands for a missing one."""
Alike = Callable[[Cell, Cell], bool]
Pick = Callable[[Sequence[Cell], Alike], list["Pair"]]
"""From a sweep's cells, and the test whether two of them are alike, to what is compared."""

FREE = (
    "dataset.fingerprint",
    "dataset.normalize",
    "recipe.warmup_shape",
    "recipe.plateau_epochs",
    "recipe.plateau_points",
    "recipe.precision",
    "recipe.channels_last",
    "recipe.compile",
    "recipe.cuda_graphs",
    "recipe.fused_optimizer",
)
"""Settings in which a cell may differ from any published network: the digest of its data, which follows from the other
settings; how pixels are normalized, a part of the training; what means nothing without a warm-up or a plateau; and how
a step is computed."""

MOST_NAMED = 3
"""Settings that a message names; it counts the others."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two cells; the difference is the second's mean less the first's."""

    label: str
    first: Cell | None
    """None where the second is held against a published figure or a threshold."""
    second: Cell
    path: tuple[Cell, ...] = ()
    """The cells from first to second, both included, where a trend is read along them."""
    less: tuple[Cell, Cell] | None = None
    """Another pair, whose difference is taken from this one's."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All that take part."""
        return tuple(cell for cell in (*(self.less or ()), self.first, self.second) if cell is not None)


class Contrast(Protocol):
    """Which cells a claim compares, and why it compares none."""

    def __call__(self, cells: Sequence[Cell]) -> list[Pair]:
        """Everything that is compared."""
        ...

    def obstacle(self, cells: Sequence[Cell]) -> str | None:
        """The settings that keep the nearest cells from being compared; None where other cells are needed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """Settings that may differ between two cells although a claim is not about them."""

    settings: tuple[str, ...]
    between: Callable[[Cell, Cell], bool]
    """Whether it holds for these two."""


@dataclass(frozen=True, kw_only=True)
class Between:
    """Compares cells with each other."""

    about: tuple[str, ...]
    """The settings that the claim is about. In all others, cells that are compared are equal."""
    pick: Pick
    exempt: tuple[Exemption, ...] = ()

    def __call__(self, cells: Sequence[Cell]) -> list[Pair]:
        return self.pick(cells, self._within(0))

    def differences(self, one: Cell, two: Cell) -> list[str]:
        """The settings that keep two cells from being alike."""
        apart = {key for key, _ in one.settings.items() ^ two.settings.items()}.difference(self.about)
        for exemption in self.exempt:
            if not apart.isdisjoint(exemption.settings) and exemption.between(one, two):
                apart.difference_update(exemption.settings)
        return [key for key in one.settings | two.settings if key in apart]

    def obstacle(self, cells: Sequence[Cell]) -> str | None:
        """`plain-8 and plain-14 differ in recipe.epochs (6, 1)`, of the cells that differ in the fewest settings."""
        if not self.pick(cells, lambda *_: True):
            return None
        nearest = next(pairs for most in count(1) if (pairs := self.pick(cells, self._within(most))))
        for one, two in (both for pair in nearest for both in combinations(pair.cells, 2)):
            if keys := self.differences(one, two):
                return _differ(one.label, two.label, [(key, _text(one, key), _text(two, key)) for key in keys])
        return None

    def _within(self, most: int) -> Alike:
        return lambda one, two: len(self.differences(one, two)) <= most


@dataclass(frozen=True, kw_only=True)
class Against:
    """Holds each cell of a network on its own against a published figure."""

    network: Conditions
    """The cells that a message calls by this network's name."""
    published: Conditions
    """What they must have besides."""
    held: tuple[str, ...] = ("model.", "dataset.")
    """Groups of settings. One that is named neither here nor in `FREE` must be off: none, 0, false or empty."""

    def __call__(self, cells: Sequence[Cell]) -> list[Pair]:
        fitting = [cell for cell in where(cells, self.network) if not self.differences(cell)]
        return [Pair(label=cell.label, first=None, second=cell) for cell in fitting]

    def differences(self, cell: Cell) -> list[str]:
        """The settings that keep a cell of the network from being held against the figure."""
        named = [key for key, allowed in self.published.items() if cell.settings.get(key) not in allowed]
        known = {*self.network, *self.published, *FREE}
        on = [key for key, value in cell.settings.items() if key.startswith(self.held) and value]
        return named + [key for key in on if key not in known]

    def obstacle(self, cells: Sequence[Cell]) -> str | None:
        """`resnet-110-A and the published network differ in dataset.split (train45k, all)`."""
        candidates = where(cells, self.network)
        if not candidates:
            return None
        nearest = min(candidates, key=lambda cell: len(self.differences(cell)))
        wanted = {key: self.published.get(key, (None,))[0] for key in self.differences(nearest)}
        values = [(key, _text(nearest, key), as_text(value) or "none") for key, value in wanted.items()]
        return _differ(nearest.label, "the published network", values) if values else None


def where(cells: Sequence[Cell], conditions: Conditions) -> list[Cell]:
    """The cells that meet all conditions."""
    return [cell for cell in cells if meets(cell, conditions)]


def meets(cell: Cell, conditions: Conditions) -> bool:
    """Whether a cell meets all conditions."""
    return all(cell.settings.get(key) in allowed for key, allowed in conditions.items())


def _differ(one: str, two: str, values: Sequence[tuple[str, str, str]]) -> str:
    shown = ", ".join(f"{key} ({first}, {second})" for key, first, second in values[:MOST_NAMED])
    more = len(values) - MOST_NAMED
    rest = f" and {more} more setting{'s' if more > 1 else ''}" if more > 0 else ""
    return f"{one} and {two} differ in {shown}{rest}"


def _text(cell: Cell, key: str) -> str:
    return as_text(cell.settings.get(key)) or "none"

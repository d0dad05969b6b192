"""Contrasts: the cells of a sweep that a claim compares, and the reason if there are none.

`Between` compares cells with each other. It names the settings that the claim is about. The cells must agree in every
other setting that decides a result (`Cell.settings`), including settings that a later version adds. An `Exemption`
names further settings that may differ, where the paper itself trained its networks differently.

`Against` compares each single cell with a published figure. Network, data set, split and evaluation must be those of
the figure, because otherwise another quantity is measured. For a published error the training must be the published one
too: an error above the figure after one epoch does not contradict the paper. For a published cost the training does not
matter. The settings in `FREE` and the machine never matter.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol

from reports.stats.cells import Cell, as_text

Conditions = Mapping[str, tuple[Any, ...]]
"""Setting -> its allowed values; None stands for a missing value."""
Alike = Callable[[Cell, Cell], bool]
Fits = Callable[[Cell, Cell], bool]
"""A test whether two alike cells may be compared: for instance, one of them must be deeper."""

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
settings; the normalization of pixels; settings that have no meaning without a warm-up or a plateau; and the way a step
is computed. If the published training has a warm-up, its shape is checked nevertheless."""

MOST_NAMED = 3
"""Maximum settings that a message names; it counts the others."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two cells; the difference is the second's mean minus the first's."""

    label: str
    first: Cell | None
    """The first cell; None if the second is compared with a published figure or a threshold."""
    second: Cell
    path: tuple[Cell, ...] = ()
    """The cells from first to second, both included, if a trend is read along them."""
    less: tuple[Cell, Cell] | None = None
    """Another pair, whose difference is subtracted from this one's."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells of the pair, including those of `less`."""
        return tuple(cell for cell in (*(self.less or ()), self.first, self.second) if cell is not None)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rule by which a contrast chooses cells."""

    pairs: Callable[[Sequence[Cell], Alike], list[Pair]]
    """Function that takes a sweep's cells and the test whether two of them are alike, and returns the pairs to
    compare."""
    roles: tuple[Callable[[Sequence[Cell]], Sequence[Cell]], ...]
    """One function for each cell of a comparison: the cells of a sweep that can take this role, preferred ones
    first."""
    links: Mapping[tuple[int, int], Fits]
    """Two roles, the earlier one first -> condition on their two cells, which must also be alike."""


class Contrast(Protocol):
    """The cells that a claim compares, and the reason if it compares none."""

    def __call__(self, cells: Sequence[Cell]) -> list[Pair]:
        """Return all pairs to compare."""
        ...

    def obstacle(self, cells: Sequence[Cell]) -> str | None:
        """Describe the settings that prevent a comparison of the nearest cells; None if other cells are needed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Exemption:
    """Settings that may differ between two cells although the claim is not about them."""

    settings: tuple[str, ...]
    between: Callable[[Cell, Cell], bool]
    """Condition on the two cells under which the exemption applies."""


@dataclass(frozen=True, kw_only=True)
class Between:
    """Comparison of cells with each other."""

    about: tuple[str, ...]
    """The settings that the claim is about. Compared cells must agree in all others."""
    selection: Selection
    exempt: tuple[Exemption, ...] = ()

    def __call__(self, cells: Sequence[Cell]) -> list[Pair]:
        return self.selection.pairs(cells, self._alike(cells))

    def differing_settings(self, one: Cell, two: Cell) -> set[str]:
        """Return the settings that make two cells unlike."""
        apart = {key for key, _ in one.settings.items() ^ two.settings.items()}.difference(self.about)
        for exemption in self.exempt:
            if not apart.isdisjoint(exemption.settings) and exemption.between(one, two):
                apart.difference_update(exemption.settings)
        return apart

    def obstacle(self, cells: Sequence[Cell]) -> str | None:
        """Describe the smallest differences: `plain-8 and plain-14 differ in recipe.epochs (6, 1)`."""
        nearest = self.selection.pairs(self._nearest(cells), lambda *_: True)
        for one, two in (both for pair in nearest for both in combinations(pair.cells, 2)):
            if apart := self.differing_settings(one, two):
                keys = [key for key in one.settings | two.settings if key in apart]
                return _differ(one.label, two.label, [(key, _text(one, key), _text(two, key)) for key in keys])
        return None

    def _alike(self, cells: Sequence[Cell]) -> Alike:
        """Compare the settings of each cell as one number; look at single settings only if an exemption may apply."""
        exempt = {key for exemption in self.exempt for key in exemption.settings}
        whole, fixed = _numbered(cells, {*self.about}), _numbered(cells, {*self.about, *exempt})

        def alike(one: Cell, two: Cell) -> bool:
            first, second = id(one), id(two)
            if whole[first] == whole[second]:
                return True
            return bool(exempt) and fixed[first] == fixed[second] and not self.differing_settings(one, two)

        return alike

    def _nearest(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return one cell per role, with the fewest differences between linked cells; none if a role is empty."""
        roles = [role(cells) for role in self.selection.roles]
        known: dict[frozenset[int], int] = {}

        def count(one: Cell, two: Cell) -> int:
            both = frozenset((id(one), id(two)))
            if both not in known:
                known[both] = len(self.differing_settings(one, two))
            return known[both]

        counts = {
            (first, second): [
                [count(one, two) if fits(one, two) else None for two in roles[second]] for one in roles[first]
            ]
            for (first, second), fits in self.selection.links.items()
        }
        sizes = [len(role) for role in roles]
        occurring = sorted(set(known.values()))
        fewest = bisect_left(occurring, True, key=lambda most: _fill(sizes, _within(counts, most)) is not None)
        if fewest == len(occurring):
            return []
        chosen = _fill(sizes, _within(counts, occurring[fewest])) or ()
        return [role[index] for role, index in zip(roles, chosen, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Against:
    """Comparison of each single cell of a network with a published figure."""

    network: Conditions
    """Conditions that identify the network; a message calls these cells by its name."""
    published: Conditions
    """Further conditions that the cells must meet."""
    held: tuple[str, ...] = ("model.", "dataset.")
    """Groups of settings. A setting of a group that is named neither here nor in `FREE` must be off: none, 0, false or
    empty."""

    def __call__(self, cells: Sequence[Cell]) -> list[Pair]:
        fitting = [cell for cell in where(cells, self.network) if not self.differences(cell)]
        return [Pair(label=cell.label, first=None, second=cell) for cell in fitting]

    def differences(self, cell: Cell) -> list[str]:
        """Return the settings that prevent a comparison of a cell of the network with the figure."""
        named = [key for key, allowed in self.published.items() if cell.settings.get(key) not in allowed]
        known = {*self.network, *self.published, *FREE}
        on = [key for key, value in cell.settings.items() if key.startswith(self.held) and value]
        return named + [key for key in on if key not in known]

    def obstacle(self, cells: Sequence[Cell]) -> str | None:
        """Return the text `resnet-110-A and the published network differ in dataset.split (train45k, all)`."""
        members = where(cells, self.network)
        if not members:
            return None
        nearest = min(members, key=lambda cell: len(self.differences(cell)))
        wanted = {key: self.published.get(key, (None,))[0] for key in self.differences(nearest)}
        values = [(key, _text(nearest, key), as_text(value) or "none") for key, value in wanted.items()]
        return _differ(nearest.label, "the published network", values) if values else None


def _numbered(cells: Sequence[Cell], without: set[str]) -> dict[int, int]:
    """Number the cells, by `id`: cells with equal settings, some left out, get the same number."""
    numbers: dict[frozenset[tuple[str, Any]], int] = {}
    settings = {id(cell): frozenset(one for one in cell.settings.items() if one[0] not in without) for cell in cells}
    return {cell: numbers.setdefault(kept, len(numbers)) for cell, kept in settings.items()}


Links = Mapping[tuple[int, int], Sequence[int]]
"""Two roles -> for each cell of the first role a number; its set bits are the matching cells of the second role."""


def _within(counts: Mapping[tuple[int, int], Sequence[Sequence[int | None]]], most: int) -> Links:
    """Return the cells that match because they differ in at most `most` settings. A count of None never matches."""
    return {
        roles: [sum(1 << place for place, one in enumerate(row) if one is not None and one <= most) for row in rows]
        for roles, rows in counts.items()
    }


def _fill(sizes: Sequence[int], links: Links, chosen: tuple[int, ...] = ()) -> tuple[int, ...] | None:
    """Return the first choice of one cell per role in which all linked cells match; None if there is none."""
    role = len(chosen)
    if role == len(sizes):
        return chosen
    free = (1 << sizes[role]) - 1
    for (first, second), together in links.items():
        free &= together[chosen[first]] if second == role else free
    found = (_fill(sizes, links, (*chosen, place)) for place in _bits(free))
    return next((choice for choice in found if choice is not None), None)


def _bits(number: int) -> Iterator[int]:
    """Yield the positions of the set bits, lowest first."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


def where(cells: Sequence[Cell], conditions: Conditions) -> list[Cell]:
    """Return the cells that meet all conditions."""
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

"""Which cells a claim compares: `CONTRASTS`, each a function of a sweep's cells.

Two cells are compared only where they are alike in all but what the contrast is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.cells import Cell, series_of

Contrast = Callable[[Sequence[Cell]], list["Pair"]]
Conditions = Mapping[str, tuple[Any, ...]]
"""Setting -> the values that it may have."""

DEFAULTS = {"model.activation": "original"}
"""Of settings that trials of older versions lack."""

RESIDUAL: Conditions = {"model.shortcut": ("A", "B", "C"), "model.activation": ("original",)}
"""The first paper's residual networks."""
PLAIN: Conditions = {"model.shortcut": ("plain",), "model.activation": ("original",)}
WARMUP = ("recipe.warmup_*",)
"""The first paper warms up its 110 residual layers only."""

ORIGINAL: Conditions = {"model.activation": ("original",), "model.shortcut": ("A", "B")}
PREACTIVATED: Conditions = {**ORIGINAL, "model.activation": ("full_preact",)}
UNCLEAN: Conditions = {**ORIGINAL, "model.activation": ("bn_after_add", "relu_before_add")}
IDENTITY: Conditions = {"model.shortcut": ("A",), "model.activation": ("original",)}
OTHER_SHORTCUTS: Conditions = {
    "model.shortcut": ("constant", "exclusive_gate", "shortcut_gate", "conv1x1", "dropout"),
    "model.activation": ("original",),
}
SHORTCUT_SETTINGS = (
    "model.shortcut",
    "model.shortcut_scale",
    "model.residual_scale",
    "model.gate_bias",
    "model.dropout_rate",
)


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


def ends(conditions: Conditions, *, up_to: int | None = None) -> Contrast:
    """In each series of such cells, the deepest against the shallowest."""

    def pairs(cells: Sequence[Cell]) -> list[Pair]:
        chosen = [cell for cell in _where(cells, conditions) if up_to is None or (cell.depth or 0) <= up_to]
        return [
            Pair(label=one.name, first=one.cells[0], second=one.cells[-1], path=one.cells)
            for one in series_of(chosen)
            if len(one.cells) > 1
        ]

    return pairs


def matched(first: Conditions, second: Conditions, *, apart: tuple[str, ...]) -> Contrast:
    """Each cell of the first kind against each of the second that is like it in all settings but some."""

    def pairs(cells: Sequence[Cell]) -> list[Pair]:
        partners: dict[Any, list[Cell]] = {}
        for cell in _where(cells, second):
            partners.setdefault(_alike(cell, apart), []).append(cell)
        return [
            Pair(label=f"{two.label} against {one.label}", first=one, second=two)
            for one in _where(cells, first)
            for two in partners.get(_alike(one, apart), ())
        ]

    return pairs


def deepest_residual_against_plain(cells: Sequence[Cell]) -> list[Pair]:
    """Of each series of residual cells the deepest that has a plain one of its depth, against that."""
    found = matched(RESIDUAL, PLAIN, apart=("model.shortcut", *WARMUP))(cells)
    plain_of = {id(pair.first): pair for pair in found}
    deepest = []
    for series in series_of(_where(cells, RESIDUAL)):
        here = [plain_of[id(cell)] for cell in series.cells if id(cell) in plain_of]
        deepest += here[-1:]
    return deepest


def options_in_order(*steps: tuple[str, str]) -> Contrast:
    """Shortcut options of ImageNet's networks beside each other, at each depth that has A, B and C."""
    apart = ("model.shortcut",)

    def pairs(cells: Sequence[Cell]) -> list[Pair]:
        groups: dict[Any, dict[str, Cell]] = {}
        for cell in _where(cells, {**RESIDUAL, "model.name": ("resnet_imagenet",)}):
            groups.setdefault(_alike(cell, apart), {})[str(cell.shortcut)] = cell
        return [
            Pair(label=f"{group[two].label} against {group[one].label}", first=group[one], second=group[two])
            for group in groups.values()
            if len(group) == len(RESIDUAL["model.shortcut"])
            for one, two in steps
        ]

    return pairs


def gain_with_depth(cells: Sequence[Cell]) -> list[Pair]:
    """What pre-activation takes off the error at the greatest depth, less what it takes off at the least."""
    gains = matched(PREACTIVATED, ORIGINAL, apart=("model.activation",))(cells)
    groups: dict[Any, list[Pair]] = {}
    for pair in gains:
        groups.setdefault(_alike(pair.second, ("model.depth", "model.activation")), []).append(pair)
    return [_growth(group) for group in groups.values() if len({pair.second.depth for pair in group}) > 1]


def _growth(gains: Sequence[Pair]) -> Pair:
    shallow, *_, deep = sorted(gains, key=lambda pair: pair.second.depth or 0)
    assert shallow.first is not None
    return Pair(
        label=f"gain at {deep.second.label} against {shallow.second.label}",
        first=deep.first,
        second=deep.second,
        less=(shallow.first, shallow.second),
    )


def alone(conditions: Conditions) -> Contrast:
    """Each such cell on its own, to be held against a figure."""

    def pairs(cells: Sequence[Cell]) -> list[Pair]:
        return [Pair(label=cell.label, first=None, second=cell) for cell in _where(cells, conditions)]

    return pairs


def _where(cells: Sequence[Cell], conditions: Conditions) -> list[Cell]:
    return [cell for cell in cells if all(_setting(cell, key) in allowed for key, allowed in conditions.items())]


def _setting(cell: Cell, key: str) -> Any:
    if key == "model.shortcut":
        return cell.shortcut
    if key == "model.depth":
        return cell.depth
    return cell.settings.get(key, DEFAULTS.get(key))


def _alike(cell: Cell, apart: Sequence[str]) -> Any:
    """The same for cells that differ in nothing but the settings named; `*` at the end stands for any."""
    prefixes = tuple(name[:-1] for name in apart if name.endswith("*"))
    return frozenset(_kept(cell, {*apart}, prefixes))


def _kept(cell: Cell, apart: set[str], prefixes: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for key, value in cell.settings.items():
        if key not in apart and not (prefixes and key.startswith(prefixes)):
            yield key, value


_CIFAR: Conditions = {
    "model.name": ("resnet_cifar",),
    "model.width": (16,),
    "model.cardinality": (1,),
    "model.se": (0,),
    "dataset.name": ("cifar10",),
}
_RESNET_110: Conditions = {
    **_CIFAR,
    **IDENTITY,
    "model.depth": (110,),
    "model.block": ("basic",),
}
_PREACT_1001: Conditions = {
    **_CIFAR,
    "model.depth": (1001,),
    "model.block": ("bottleneck",),
    "model.shortcut": ("B",),
    "model.activation": ("full_preact",),
}
_IMAGENET: Conditions = {
    **RESIDUAL,
    "model.name": ("resnet_imagenet",),
    "model.width": (64,),
    "model.cardinality": (1,),
    "model.se": (0,),
    "dataset.name": ("imagenet",),
}
_BOTTLENECK: Conditions = {**_IMAGENET, "model.stride_in": ("1x1",)}
"""Where the first paper's bottlenecks have their stride. In the 3x3 convolution it costs more."""

CONTRASTS: dict[str, Contrast] = {
    "deepest against shallowest, plain": ends(PLAIN),
    "deepest against shallowest, each shortcut": ends(RESIDUAL),
    "deepest against shallowest up to 110 layers, option A": ends(
        {**IDENTITY, "model.name": ("resnet_cifar",)}, up_to=110
    ),
    "deepest against shallowest, option B on ImageNet": ends(
        {**RESIDUAL, "model.shortcut": ("B",), "model.name": ("resnet_imagenet",)}
    ),
    "plain against residual, at the greatest depth that both have": deepest_residual_against_plain,
    "A against B, B against C": options_in_order(("B", "A"), ("C", "B")),
    "each two of A, B and C": options_in_order(("A", "B"), ("B", "C"), ("A", "C")),
    "1202 layers against 110": matched(
        {**IDENTITY, "model.depth": (110,)}, {**IDENTITY, "model.depth": (1202,)}, apart=("model.depth", *WARMUP)
    ),
    "plain-110 on CIFAR-10": alone({**_CIFAR, **PLAIN, "model.depth": (110,)}),
    "resnet-1202 on CIFAR-10": alone({**_RESNET_110, "model.depth": (1202,)}),
    "resnet-110 on CIFAR-10": alone({**_RESNET_110, "recipe.warmup_until_error_pct": (80, 80.0)}),
    "original against pre-activation, all else equal": matched(PREACTIVATED, ORIGINAL, apart=("model.activation",)),
    "gain by pre-activation, greatest depth against least": gain_with_depth,
    "unclean addition against original, all else equal": matched(ORIGINAL, UNCLEAN, apart=("model.activation",)),
    "each other shortcut against the identity, all else equal": matched(
        IDENTITY, OTHER_SHORTCUTS, apart=SHORTCUT_SETTINGS
    ),
    "preresnet-1001 on CIFAR-10": alone({**_PREACT_1001, "recipe.batch_size": (128,)}),
    "preresnet-1001 on CIFAR-10, batches of 64": alone({**_PREACT_1001, "recipe.batch_size": (64,)}),
    "preresnet-1001 on CIFAR-100": alone({**_PREACT_1001, "dataset.name": ("cifar100",), "recipe.batch_size": (128,)}),
    "bottleneck of 50 layers against basic of 34": matched(
        {**_IMAGENET, "model.depth": (34,)},
        {**_BOTTLENECK, "model.depth": (50,)},
        apart=("model.depth", "model.stride_in"),
    ),
    "resnet-152 on ImageNet": alone({**_BOTTLENECK, "model.depth": (152,)}),
}

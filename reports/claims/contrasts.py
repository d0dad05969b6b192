"""The cells that published claims compare: `CONTRASTS`, by name. `contrast` defines when cells are alike enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from typing import TypeVar

from reports.claims.contrast import (
    Against,
    Alike,
    Between,
    Conditions,
    Contrast,
    Exemption,
    Pair,
    Selection,
    meets,
    where,
)
from reports.stats.cells import Cell, as_text, shortcut_rank

_T = TypeVar("_T")

RESIDUAL: Conditions = {"model.shortcut": ("A", "B", "C"), "model.activation": ("original",)}
"""The first paper's residual networks."""
PLAIN: Conditions = {"model.shortcut": ("plain",), "model.activation": ("original",)}
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
NO_WARMUP: Conditions = {
    "recipe.warmup_fraction": (0, None),
    "recipe.warmup_epochs": (0, None),
    "recipe.warmup_iterations": (0, None),
    "recipe.warmup_until_error_pct": (None,),
    "recipe.warmup_lr": (None,),
    "recipe.warmup_shape": ("climb", None),
}


def _network(name: str, depth: int, kind: Conditions) -> Conditions:
    return {"model.name": (name,), "model.depth": (depth,), **kind}


HE_2015_CIFAR: Conditions = {
    "recipe.iterations": (64_000,),
    "recipe.batch_size": (128,),
    "recipe.lr": (0.1,),
    "recipe.schedule": ("steps",),
    "recipe.lr_drop_epochs": ("[]",),
    "recipe.lr_drop_iterations": ("[32000, 48000]",),
    "recipe.lr_drop_factor": (0.1,),
    "recipe.momentum": (0.9,),
    "recipe.weight_decay": (1e-4,),
    "recipe.weight_decay_norm": (True,),
    "recipe.augmentation": ("crop-flip",),
}
"""The training of the first paper's section 4.2. Reports may not import recipes; a test checks that each training here
equals its recipe. A setting that is not named must be off."""
_HELD_AT_A_TENTH: Conditions = {"recipe.warmup_lr": (0.01,), "recipe.warmup_shape": ("hold",)}
_UNTIL_80_PCT: Conditions = {"recipe.warmup_until_error_pct": (80,), **_HELD_AT_A_TENTH}
HE_2015_CIFAR_110: Conditions = {**HE_2015_CIFAR, **_UNTIL_80_PCT}
"""The training of the residual network of 110 layers in the same section."""
HE_2016_CIFAR: Conditions = {**HE_2015_CIFAR, "recipe.warmup_iterations": (400,), **_HELD_AT_A_TENTH}
"""The training of the second paper's appendix."""
HE_2016_CIFAR_64: Conditions = {
    **{key: values for key, values in HE_2015_CIFAR.items() if key != "recipe.iterations"},
    "recipe.epochs": (200,),
    "recipe.batch_size": (64,),
    "recipe.lr_drop_epochs": ("[80, 121]",),
    "recipe.lr_drop_iterations": ("[]",),
    "recipe.nesterov": (True,),
}
"""The training in batches of 64 in the second paper's Table 4."""
_WARMED_110: Conditions = {
    **_network("resnet_cifar", 110, RESIDUAL),
    "model.width": (16,),
    "model.block": ("basic",),
    "dataset.name": ("cifar10",),
    **NO_WARMUP,
    **_UNTIL_80_PCT,
}


def _warmed_110(one: Cell, two: Cell) -> bool:
    """Whether one is the residual network of 110 layers with its published warm-up, and the other has no warm-up."""
    return any(meets(warm, _WARMED_110) and meets(other, NO_WARMUP) for warm, other in ((one, two), (two, one)))


def _basic_and_bottleneck(one: Cell, two: Cell) -> bool:
    """Whether one of two ImageNet networks has basic blocks (below 50 layers) and the other has bottlenecks."""
    shallow, deep = sorted((_depth(one), _depth(two)))
    return one.settings.get("model.name") == "resnet_imagenet" and shallow < 50 <= deep


WARMUP_OF_110 = Exemption(settings=tuple(NO_WARMUP), between=_warmed_110)
"""The warm-up that the first paper uses for its residual network of 110 layers on CIFAR-10 only, because this network
starts to converge slowly at the full rate: a tenth of the rate until the training error is below 80 % (He et al. 2015,
section 4.2). Cells must agree in any other warm-up."""
STRIDE = Exemption(settings=("model.stride_in",), between=_basic_and_bottleneck)
"""The stride of basic blocks and bottlenecks. The first paper's ImageNet networks have bottlenecks from 50 layers on
(He et al. 2015, Table 1). A bottleneck halves the resolution in its 1x1 convolution; a basic block has none, and halves
it in its first 3x3."""


def ends(conditions: Conditions, *, up_to: int | None = None) -> Selection:
    """Compare the deepest with the shallowest cell in each set of alike cells."""

    def reached(cells: Sequence[Cell]) -> list[Cell]:
        return [cell for cell in where(cells, conditions) if up_to is None or _depth(cell) <= up_to]

    def pairs(cells: Sequence[Cell], alike: Alike) -> list[Pair]:
        paths = _paths(reached(cells), _depth, alike)
        return _labelled([Pair(label="", first=path[0], second=path[-1], path=path) for path in paths])

    def deepest(cells: Sequence[Cell]) -> list[Cell]:
        return _deepest_first(reached(cells))

    return Selection(
        pairs=pairs, roles=(lambda cells: sorted(reached(cells), key=_depth), deepest), links={(0, 1): _shallower}
    )


def matched(first: Conditions, second: Conditions) -> Selection:
    """Compare each cell of the first kind with each alike cell of the second."""

    def pairs(cells: Sequence[Cell], alike: Alike) -> list[Pair]:
        both = product(where(cells, first), where(cells, second))
        return [_beside(one, two) for one, two in both if alike(one, two)]

    return Selection(pairs=pairs, roles=_listed(first, second), links={(0, 1): _any})


def _deepest_against_plain(cells: Sequence[Cell], alike: Alike) -> list[Pair]:
    found = _at_equal_depth(RESIDUAL, PLAIN, cells, alike)
    deepest = [pair for pair in found if not any(_is_deeper(other, pair, alike) for other in found)]
    return [_beside(*pair) for pair in sorted(deepest, key=lambda pair: shortcut_rank(str(pair[0].shortcut)))]


def options_in_order(*steps: tuple[str, str]) -> Selection:
    """Compare shortcut options of ImageNet networks in each set of alike cells that has A, B and C."""
    on_imagenet: Conditions = {**RESIDUAL, "model.name": ("resnet_imagenet",)}
    roles = _listed(*({**on_imagenet, "model.shortcut": (name,)} for name in RESIDUAL["model.shortcut"]))

    def pairs(cells: Sequence[Cell], alike: Alike) -> list[Pair]:
        trios = _trios([role(cells) for role in roles], alike)
        by_option = [{str(cell.shortcut): cell for cell in trio} for trio in trios]
        return [_beside(trio[one], trio[two]) for trio in by_option for one, two in steps]

    return Selection(pairs=pairs, roles=roles, links={(0, 1): _any, (0, 2): _any, (1, 2): _any})


def _trios(options: Sequence[Sequence[Cell]], alike: Alike) -> Iterator[tuple[Cell, ...]]:
    first, *others = options
    for one in first:
        second, third = ([other for other in option if alike(one, other)] for option in others)
        yield from ((one, two, three) for two, three in product(second, third) if alike(two, three))


def _growing_gains(cells: Sequence[Cell], alike: Alike) -> list[Pair]:
    gains = _at_equal_depth(PREACTIVATED, ORIGINAL, cells, alike)
    paths = _paths(gains, lambda gain: _depth(gain[1]), lambda one, two: all(map(alike, one, two)))
    return [_growth(path[0], path[-1]) for path in paths]


def _deepest_first(cells: Sequence[Cell]) -> list[Cell]:
    """Sort cells by shortcut, then by depth, deepest first."""
    return sorted(cells, key=lambda cell: (shortcut_rank(str(cell.shortcut)), -_depth(cell)))


def _listed(*kinds: Conditions) -> tuple[Callable[[Sequence[Cell]], list[Cell]], ...]:
    return tuple(partial(where, conditions=conditions) for conditions in kinds)


def _any(*_: Cell) -> bool:
    return True


def _shallower(one: Cell, two: Cell) -> bool:
    return 0 < _depth(one) < _depth(two)


def _as_deep(one: Cell, two: Cell) -> bool:
    return one.depth == two.depth


DEEPEST_RESIDUAL_AGAINST_PLAIN = Selection(
    pairs=_deepest_against_plain,
    roles=(lambda cells: _deepest_first(where(cells, RESIDUAL)), *_listed(PLAIN)),
    links={(0, 1): _as_deep},
)
"""For each shortcut, in each set of alike cells, the deepest residual network that has a plain one of its depth."""
GAIN_WITH_DEPTH = Selection(
    pairs=_growing_gains,
    roles=_listed(PREACTIVATED, ORIGINAL, PREACTIVATED, ORIGINAL),
    links={(0, 1): _as_deep, (2, 3): _as_deep, (0, 2): _shallower, (1, 3): _shallower},
)
"""The error reduction by pre-activation at the greatest depth, minus that at the least depth."""


def _at_equal_depth(
    first: Conditions, second: Conditions, cells: Sequence[Cell], alike: Alike
) -> list[tuple[Cell, Cell]]:
    both = product(where(cells, first), where(cells, second))
    return [(one, two) for one, two in both if _as_deep(one, two) and alike(one, two)]


def _is_deeper(other: tuple[Cell, Cell], pair: tuple[Cell, Cell], alike: Alike) -> bool:
    """Whether the other residual and plain cells are like this pair, with the same shortcut, but deeper."""
    deeper = _depth(other[0]) > _depth(pair[0]) and other[0].shortcut == pair[0].shortcut
    return deeper and all(map(alike, other, pair))


def _growth(shallow: tuple[Cell, Cell], deep: tuple[Cell, Cell]) -> Pair:
    label = f"gain at {deep[1].label} against {shallow[1].label}"
    return Pair(label=label, first=deep[0], second=deep[1], less=shallow)


def _beside(one: Cell, two: Cell) -> Pair:
    return Pair(label=f"{two.label} against {one.label}", first=one, second=two)


def _paths(
    items: Sequence[_T], depth: Callable[[_T], int], alike: Callable[[_T, _T], bool]
) -> Iterator[tuple[_T, ...]]:
    """Yield the path through each set of alike items: from the shallowest to the deepest, one item of each depth.

    An item can be in several sets: a network without a warm-up may be alike to two networks whose warm-ups differ.
    """
    rising = sorted((item for item in items if depth(item)), key=depth)
    like = [
        {place for place, other in enumerate(rising) if depth(other) != depth(item) and alike(item, other)}
        for item in rising
    ]
    for first, last in combinations(range(len(rising)), 2):
        like_both = like[first] & like[last] if last in like[first] else {first}
        if all(first < place < last for place in like_both):
            path = [first]
            for place in (*sorted(like_both), last):
                path += [place] if like[place].issuperset(path) else []
            yield tuple(rising[place] for place in path)


def _depth(cell: Cell) -> int:
    return cell.depth or 0


def _labelled(pairs: Sequence[Pair]) -> list[Pair]:
    """Label pairs, shortcut by shortcut, with the shortcut and the settings that distinguish its pairs."""
    named = []
    for shortcut in sorted({str(pair.second.shortcut) for pair in pairs}, key=shortcut_rank):
        group = [pair for pair in pairs if pair.second.shortcut == shortcut]
        settings = _distinguishing_settings(group)
        named += [replace(pair, label=shortcut + text) for pair, text in zip(group, settings, strict=True)]
    return named


def _distinguishing_settings(pairs: Sequence[Pair]) -> list[str]:
    """Return for each pair the fewest settings that distinguish it from the others: `, width 16`."""
    texts = [""] * len(pairs)
    keys = dict.fromkeys(key for pair in pairs for cell in pair.cells for key in cell.settings if key != "model.depth")
    for key in (*keys, "model.depth"):
        name = key.removesuffix(".name").split(".")[-1]
        values = [dict.fromkeys(as_text(cell.settings.get(key)) or "none" for cell in pair.cells) for pair in pairs]
        longer = [f"{text}, {name} {'/'.join(one)}" for text, one in zip(texts, values, strict=True)]
        texts = longer if len(set(longer)) > len(set(texts)) else texts
    return texts


_CIFAR: Conditions = {
    "model.width": (16,),
    "model.cardinality": (1,),
    "model.block": ("basic",),
    "model.stride_in": ("3x3",),
    "dataset.name": ("cifar10",),
    "dataset.split": ("all",),
    "recipe.evaluation": ("single-crop",),
}
"""Settings that the papers' networks on CIFAR-10 share."""
_CIFAR_BOTTLENECK: Conditions = {**_CIFAR, "model.block": ("bottleneck",), "model.stride_in": ("1x1",)}
_ON_IMAGENET: Conditions = {"dataset.name": ("imagenet",), "dataset.subset": ("", None)}
_IMAGENET: Conditions = {
    **_ON_IMAGENET,
    "model.width": (64,),
    "model.cardinality": (1,),
    "model.se": (0, None),
}
_BOTTLENECK: Conditions = {**_IMAGENET, "model.stride_in": ("1x1",)}
"""Settings of the first paper's bottlenecks, with the stride in the 1x1 convolution. A stride in the 3x3 costs more."""

_PLAIN_110 = _network("resnet_cifar", 110, PLAIN)
_RESNET_110 = _network("resnet_cifar", 110, IDENTITY)
_RESNET_1202 = _network("resnet_cifar", 1202, IDENTITY)
_PRE_1001 = _network("resnet_cifar", 1001, {**PREACTIVATED, "model.shortcut": ("B",)})
_RESNET_152 = _network("resnet_imagenet", 152, RESIDUAL)


def _trained(network: Conditions, published: Conditions, training: Conditions) -> Against:
    """Compare with a published error: the training must be the published one."""
    return Against(network=network, published={**published, **training}, held=("model.", "dataset.", "recipe."))


CONTRASTS: dict[str, Contrast] = {
    "deepest against shallowest, plain": Between(about=("model.depth",), selection=ends(PLAIN)),
    "deepest against shallowest, each shortcut": Between(
        about=("model.depth",), exempt=(WARMUP_OF_110, STRIDE), selection=ends(RESIDUAL)
    ),
    "deepest against shallowest up to 110 layers, option A": Between(
        about=("model.depth",),
        exempt=(WARMUP_OF_110,),
        selection=ends({**IDENTITY, "model.name": ("resnet_cifar",)}, up_to=110),
    ),
    "deepest against shallowest, option B on ImageNet": Between(
        about=("model.depth",),
        exempt=(STRIDE,),
        selection=ends({**RESIDUAL, **_ON_IMAGENET, "model.shortcut": ("B",), "model.name": ("resnet_imagenet",)}),
    ),
    "plain against residual, at the greatest depth that both have": Between(
        about=("model.depth", "model.shortcut"),
        exempt=(WARMUP_OF_110, STRIDE),
        selection=DEEPEST_RESIDUAL_AGAINST_PLAIN,
    ),
    "A against B, B against C": Between(about=("model.shortcut",), selection=options_in_order(("B", "A"), ("C", "B"))),
    "each two of A, B and C": Between(
        about=("model.shortcut",), selection=options_in_order(("A", "B"), ("B", "C"), ("A", "C"))
    ),
    "1202 layers against 110": Between(
        about=("model.depth",),
        exempt=(WARMUP_OF_110,),
        selection=matched({**IDENTITY, "model.depth": (110,)}, {**IDENTITY, "model.depth": (1202,)}),
    ),
    "plain-110 on CIFAR-10": _trained(_PLAIN_110, _CIFAR, HE_2015_CIFAR),
    "resnet-1202 on CIFAR-10": _trained(_RESNET_1202, _CIFAR, HE_2015_CIFAR),
    "resnet-110 on CIFAR-10": _trained(_RESNET_110, _CIFAR, HE_2015_CIFAR_110),
    "original against pre-activation, all else equal": Between(
        about=("model.activation",), selection=matched(PREACTIVATED, ORIGINAL)
    ),
    "gain by pre-activation, greatest depth against least": Between(
        about=("model.depth", "model.activation"), selection=GAIN_WITH_DEPTH
    ),
    "unclean addition against original, all else equal": Between(
        about=("model.activation",), selection=matched(ORIGINAL, UNCLEAN)
    ),
    "each other shortcut against the identity, all else equal": Between(
        about=SHORTCUT_SETTINGS, selection=matched(IDENTITY, OTHER_SHORTCUTS)
    ),
    "preresnet-1001 on CIFAR-10": _trained(_PRE_1001, _CIFAR_BOTTLENECK, HE_2016_CIFAR),
    "preresnet-1001 on CIFAR-10, batches of 64": _trained(_PRE_1001, _CIFAR_BOTTLENECK, HE_2016_CIFAR_64),
    "preresnet-1001 on CIFAR-100": _trained(
        _PRE_1001, {**_CIFAR_BOTTLENECK, "dataset.name": ("cifar100",)}, HE_2016_CIFAR
    ),
    "bottleneck of 50 layers against basic of 34": Between(
        about=("model.depth",),
        exempt=(STRIDE,),
        selection=matched(
            {**_network("resnet_imagenet", 34, RESIDUAL), **_IMAGENET},
            {**_network("resnet_imagenet", 50, RESIDUAL), **_BOTTLENECK},
        ),
    ),
    "resnet-152 on ImageNet": Against(network=_RESNET_152, published={**_BOTTLENECK, "dataset.image_size": (224,)}),
}

__all__ = ["CONTRASTS", "Pair"]

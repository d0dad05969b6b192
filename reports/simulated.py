"""Sweeps drawn at random, with a known truth, and how often a report about them is wrong or decides.

Errors are drawn, one for each seed, cells are made of them, and `verdicts` judges them as it judges a real sweep's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reports.cells import Cell
from reports.claims import CLAIMS
from reports.synthetic_cells import cifar, imagenet
from reports.verdicts import Ruling, judge_claims

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""Standardized errors, mean 0 and standard deviation 1, of a shape."""


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def heavy_tailed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Student's t with five degrees of freedom: now and then a seed far off."""
    drawn: np.ndarray = rng.standard_t(5, shape) / np.sqrt(5 / 3)
    return drawn


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A gamma distribution of shape 4: most seeds good, some bad."""
    drawn: np.ndarray = (rng.gamma(4.0, 1.0, shape) - 4) / 2
    return drawn


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One cell: its true error and the spread of its seeds, in points."""

    mean: float
    spread: float


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A kind of sweep whose truth is known."""

    name: str
    claims: tuple[str, ...]
    cells: Mapping[str, Truth]
    """By label: `plain-20`, `resnet-56-A`; CIFAR's, or ImageNet's with options A to C at 34 layers."""
    seeds: int
    right: Mapping[str, Ruling]
    """The true ruling of each claim; claims that lie on their bound have none, and every ruling of them is wrong."""
    draw: Draw = normal
    images: int = 10_000


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Shares of the sweeps."""

    sweeps: int
    wrong: float
    """With any wrong verdict in the report: what Holm keeps below alpha."""
    decided: float
    """With the right verdict on every claim."""


def simulate(scenario: Scenario, sweeps: int, seed: int) -> Rates:
    """Judge that many sweeps, the same for the same seed."""
    rng = np.random.default_rng(seed)
    truths = list(scenario.cells.values())
    means = np.array([[one.mean] for one in truths])
    spreads = np.array([[one.spread] for one in truths])
    drawn = means + spreads * scenario.draw(rng, (sweeps, len(truths), scenario.seeds))
    errors = np.clip(np.round(drawn * scenario.images / 100), 0, scenario.images) * (100 / scenario.images)
    rulings = [_rulings(scenario, sweep) for sweep in errors.tolist()]
    return Rates(
        sweeps=sweeps,
        wrong=sum(_any_wrong(scenario, found) for found in rulings) / sweeps,
        decided=sum(found == dict(scenario.right) for found in rulings) / sweeps,
    )


def _rulings(scenario: Scenario, errors: Sequence[Sequence[float]]) -> dict[str, Ruling]:
    cells = [_cell(label, values, scenario.images) for label, values in zip(scenario.cells, errors, strict=True)]
    return {verdict.claim.id: verdict.ruling for verdict in judge_claims([CLAIMS[i] for i in scenario.claims], cells)}


def _any_wrong(scenario: Scenario, found: Mapping[str, Ruling]) -> bool:
    verdicts = {claim: ruling for claim, ruling in found.items() if ruling is not Ruling.INCONCLUSIVE}
    return any(scenario.right.get(claim) is not ruling for claim, ruling in verdicts.items())


def _cell(label: str, values: Sequence[float], images: int) -> Cell:
    """`plain-20`, `resnet-34-B`, `resnet-164-full_preact`."""
    _, depth, *rest = label.split("-")
    kind = rest[0] if rest else "plain"
    if depth == "34":
        return imagenet(label, values, depth=34, shortcut=kind)
    if kind in ("original", "full_preact"):
        return cifar(label, values, depth=int(depth), shortcut="B", block="bottleneck", activation=kind, images=images)
    made = cifar(label, values, depth=int(depth), shortcut=kind, images=images)
    if depth == "110" and kind == "A":
        made.trials[0].row["recipe.warmup_until_error_pct"] = 80.0
    return made


_SPREAD = 0.2


def _plain(gap: float, spread: float = _SPREAD, deep_spread: float | None = None) -> dict[str, Truth]:
    return {
        "plain-20": Truth(mean=28.0, spread=spread),
        "plain-56": Truth(mean=28.0 + gap, spread=deep_spread or spread),
    }


def _ordering(
    name: str, seeds: int, gap: float = 0.0, deep_spread: float | None = None, draw: Draw = normal
) -> Scenario:
    claim = "plain-test-error-grows"
    return Scenario(
        name=f"{name}, {seeds} seeds",
        claims=(claim,),
        cells=_plain(gap, deep_spread=deep_spread),
        seeds=seeds,
        right={claim: Ruling.SUPPORTED} if gap else {},
        draw=draw,
    )


def _options(
    name: str, means: tuple[float, float, float], right: Mapping[str, Ruling], claims: tuple[str, ...]
) -> Scenario:
    cells = {f"resnet-34-{option}": Truth(mean=mean, spread=_SPREAD) for option, mean in zip("ABC", means, strict=True)}
    return Scenario(name=f"{name}, 5 seeds", claims=claims, cells=cells, seeds=5, right=right, images=50_000)


_LITTLE, _ORDER, _REACHES = "options-differ-little", "options-in-order", "resnet-110-reaches-published"
_GAIN = "preactivation-gains-with-depth"
_FIVE = (
    "plain-test-error-grows",
    "residual-improves-to-110",
    "residual-beats-plain",
    "resnet-1202-overfits",
    _GAIN,
)


def _gain(name: str, original_1001: float, right: Mapping[str, Ruling]) -> Scenario:
    means = {"original-164": 5.93, "full_preact-164": 5.46, "original-1001": original_1001, "full_preact-1001": 4.92}
    cells = {
        f"resnet-{label.split('-')[1]}-{label.split('-')[0]}": Truth(mean=mean, spread=_SPREAD)
        for label, mean in means.items()
    }
    return Scenario(name=f"{name}, 5 seeds", claims=(_GAIN,), cells=cells, seeds=5, right=right)


def _whole_report(name: str, seeds: int) -> Scenario:
    """Nothing differs from anything: five claims of orderings, each false in both directions, share alpha."""
    labels = ["plain-20", "plain-110", "resnet-20-A", "resnet-110-A", "resnet-1202-A"]
    labels += ["resnet-164-original", "resnet-164-full_preact", "resnet-1001-original", "resnet-1001-full_preact"]
    cells = {label: Truth(mean=7.0, spread=_SPREAD) for label in labels}
    # That 1202 layers fit as well as 110 is true here; that they overfit is not, nor its contrary.
    return Scenario(name=f"{name}, {seeds} seeds", claims=_FIVE, cells=cells, seeds=seeds, right={})


SCENARIOS = (
    _ordering("no difference", 2),
    _ordering("no difference", 3),
    _ordering("no difference, spreads 1 : 5", 3, deep_spread=1.0),
    _ordering("no difference, spreads 1 : 5", 5, deep_spread=1.0),
    _ordering("no difference, heavy tails", 3, draw=heavy_tailed),
    _ordering("no difference, skewed, spreads 1 : 5", 3, deep_spread=1.0, draw=skewed),
    _options("A and C differ by the margin", (25.0, 24.0, 23.25), {}, (_LITTLE,)),
    Scenario(
        name="the published mean missed by the margin, 5 seeds",
        claims=(_REACHES,),
        cells={"resnet-110-A": Truth(mean=6.61 + 0.75, spread=_SPREAD)},
        seeds=5,
        right={},
    ),
    _gain("equal gains", 4.92 + 0.47, {}),
    _whole_report("five claims, no difference", 5),
    _ordering("as Table 2: 0.60 points", 3, gap=0.60),
    _ordering("as Table 2: 0.60 points", 5, gap=0.60),
    _options("as Table 3: A to C 0.84 points", (25.03, 24.52, 24.19), {_LITTLE: Ruling.SUPPORTED}, (_LITTLE,)),
    _options("as Table 3: steps of 0.51 and 0.33", (25.03, 24.52, 24.19), {_ORDER: Ruling.SUPPORTED}, (_ORDER,)),
    Scenario(
        name="as published: 6.61, 5 seeds",
        claims=(_REACHES,),
        cells={"resnet-110-A": Truth(mean=6.61, spread=_SPREAD)},
        seeds=5,
        right={_REACHES: Ruling.SUPPORTED},
    ),
    _gain("as Table 3: gain 2.69 after 0.47", 7.61, {_GAIN: Ruling.SUPPORTED}),
)
"""Null scenarios first: the truth lies on the claim's bound, where a wrong verdict is likeliest."""

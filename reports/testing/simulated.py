"""Random sweeps with known true values, and how often a report about them is wrong or reaches a verdict.

Errors are drawn, one for each seed. Cells are made of them, and `verdicts` judges these as it judges a real sweep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from reports.claims.assurance import Design
from reports.claims.measurement import Comparison, Side
from reports.claims.registry import CLAIMS
from reports.claims.seed_power import seed_power
from reports.claims.verdicts import Ruling, Verdict, judge_claims
from reports.stats.cells import TRAIN_ERROR, Cell
from reports.testing.synthetic_cells import cifar, imagenet

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
"""Function that draws an array of the given shape of standardized errors: mean 0 and standard deviation 1."""


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def exponential(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from an exponential distribution: the gamma distribution of shape 1."""
    return rng.standard_exponential(shape) - 1


def lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from a lognormal distribution whose logarithm has standard deviation 1: a few seeds are very bad."""
    drawn: np.ndarray = (rng.lognormal(0.0, 1.0, shape) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)
    return drawn


def nine_of_ten(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw errors where nine seeds of ten have the same error, and the tenth an error ten units higher."""
    drawn: np.ndarray = (10.0 * (rng.random(shape) < 0.1) - 1) / 3
    return drawn


def nine_of_ten_nearly(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw like `nine_of_ten`, plus a normal spread of a hundredth of the step between the two kinds of seeds."""
    return nine_of_ten(rng, shape) + rng.standard_normal(shape) / 30


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The true error of one cell, and the spread and shape of its seeds' errors, in points."""

    mean: float
    spread: float
    draw: Draw = normal
    seeds: int | None = None
    """Number of seeds; None for the scenario's number."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A kind of sweep whose true values are known."""

    name: str
    claims: tuple[str, ...]
    cells: Mapping[str, Truth]
    """Label -> true values: `plain-20`, `resnet-56-A`; networks for CIFAR, or for ImageNet with options A to C at 34
    layers."""
    seeds: int
    right: Mapping[str, Ruling]
    """Claim -> its true ruling. A claim that lies on its bound has none, and every ruling of it is wrong."""
    design: Design | None = None
    """The design whose rates the scenario measures; `shape` is the shape of its errors."""
    shape: str = "normal"
    unseen_pct: float = 0.0
    """Percent of sweeps that contain no seed of an existing rare kind, so that a verdict may be wrong."""
    images: int = 10_000
    train_spread: float | None = None
    """Spread of the training errors, whose mean is 1 % in every cell; None if they equal the test errors."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Shares of the sweeps or of their comparisons."""

    sweeps: int
    wrong: float
    """Share of sweeps with any wrong verdict in the report, which Holm keeps below alpha."""
    decided: float | None
    """Share of sweeps with the right verdict on every claim; None if the true values lie on the bound, where no verdict
    is right."""
    held: float
    """Share of sweeps with a claim that held so far."""
    covered: float
    """Share of comparisons whose 95 % interval contains the true difference."""
    promised: float | None
    """Chance of a verdict according to a plan with the true spread; None for several claims or spreads."""


def simulate(scenario: Scenario, sweeps: int, seed: int) -> Rates:
    """Judge `sweeps` random sweeps. The same seed gives the same rates."""
    rng = np.random.default_rng(seed)
    errors = [_errors(scenario, truth, sweeps, rng) for truth in scenario.cells.values()]
    spread = scenario.train_spread
    train = (
        errors if spread is None else [_errors(scenario, Truth(mean=1.0, spread=spread), sweeps, rng) for _ in errors]
    )
    claims = [CLAIMS[claim] for claim in scenario.claims]
    sheets = zip(*(zip(*(one.tolist() for one in kind), strict=True) for kind in (errors, train)), strict=True)
    judged = [judge_claims(claims, _cells(scenario, *sheet), look_ahead=False) for sheet in sheets]
    intervals = [_covers(scenario, one) for verdicts in judged for verdict in verdicts for one in verdict.comparisons]
    return Rates(
        sweeps=sweeps,
        wrong=sum(_any_wrong(scenario, verdicts) for verdicts in judged) / sweeps,
        decided=sum(_all_right(scenario, verdicts) for verdicts in judged) / sweeps if scenario.right else None,
        held=sum(any(verdict.ruling is Ruling.HELD for verdict in verdicts) for verdicts in judged) / sweeps,
        covered=sum(intervals) / len(intervals),
        promised=_promised(scenario),
    )


def _errors(scenario: Scenario, truth: Truth, sweeps: int, rng: np.random.Generator) -> np.ndarray:
    """Draw errors in whole images, in percent, [sweeps, seeds]."""
    drawn = truth.mean + truth.spread * truth.draw(rng, (sweeps, truth.seeds or scenario.seeds))
    wrong: np.ndarray = np.clip(np.round(drawn * scenario.images / 100), 0, scenario.images)
    return wrong * (100 / scenario.images)


def _promised(scenario: Scenario) -> float | None:
    spreads = {truth.spread for truth in scenario.cells.values()}
    if len(scenario.claims) > 1 or len(spreads) > 1 or not scenario.right:
        return None
    errors = [[truth.mean] * scenario.seeds for truth in scenario.cells.values()]
    planned = _cells(scenario, errors, errors)
    [found] = seed_power([CLAIMS[claim] for claim in scenario.claims], planned, spreads.pop())
    return found.power


def _cells(scenario: Scenario, test: Sequence[Sequence[float]], train: Sequence[Sequence[float]]) -> list[Cell]:
    return [_cell(*one, scenario.images) for one in zip(scenario.cells, test, train, strict=True)]


def _any_wrong(scenario: Scenario, verdicts: Sequence[Verdict]) -> bool:
    definite = [verdict for verdict in verdicts if verdict.ruling in (Ruling.SUPPORTED, Ruling.CONTRADICTED)]
    return any(scenario.right.get(verdict.claim.id) is not verdict.ruling for verdict in definite)


def _all_right(scenario: Scenario, verdicts: Sequence[Verdict]) -> bool:
    return {verdict.claim.id: verdict.ruling for verdict in verdicts} == dict(scenario.right)


def _covers(scenario: Scenario, comparison: Comparison) -> bool:
    """Whether the interval contains the true difference."""
    assert comparison.low is not None
    assert comparison.high is not None
    if scenario.train_spread is not None and comparison.test.metric == TRAIN_ERROR:
        return comparison.low <= 0 <= comparison.high
    *others, first, second = [_true_mean(scenario, side) for side in comparison.sides]
    truth = second - first - (others[1] - others[0] if others else 0.0)
    return comparison.low <= truth <= comparison.high


def _true_mean(scenario: Scenario, side: Side) -> float:
    if side.label in scenario.cells:
        return scenario.cells[side.label].mean
    assert side.estimate.mean is not None  # a published figure
    return side.estimate.mean


def _cell(label: str, test: Sequence[float], train: Sequence[float], images: int) -> Cell:
    """Build a cell by its label: `plain-20`, `resnet-34-B`, `resnet-164-full_preact`."""
    _, depth, *rest = label.split("-")
    kind = rest[0] if rest else "plain"
    if depth == "34":
        return imagenet(label, test, depth=34, shortcut=kind)
    form: dict[str, Any]
    if kind in ("original", "full_preact"):
        form = {"shortcut": "B", "block": "bottleneck", "activation": kind}
    elif kind.startswith("gate"):
        form = {"shortcut": "shortcut_gate", "gate_bias": -float(kind.removeprefix("gate"))}
    else:
        form = {"shortcut": kind}
    return cifar(label, test, train, depth=int(depth), images=images, **form)


SPREAD = 0.2
SEEDS = (2, 3, 5, 10)
_TEST_GROWS, _DOES_NOT_DEGRADE, _OVERFITS = (
    "plain-test-error-grows",
    "residual-does-not-degrade",
    "resnet-1202-overfits",
)
_LITTLE, _ORDER, _REACHES = "options-differ-little", "options-in-order", "resnet-110-reaches-published"
_IDENTITY = "identity-beats-other-shortcuts"
_FALLS, _GAIN = "residual-improves-to-110", "preactivation-gains-with-depth"


def _one(
    claim: str, name: str, seeds: int, cells: Mapping[str, Truth], *, right: bool = False, **more: Any
) -> Scenario:
    """Build a sweep about one claim, which is either true or lies on its bound."""
    return Scenario(
        name=f"{name}, {seeds} seeds",
        claims=(claim,),
        cells=cells,
        seeds=seeds,
        right={claim: Ruling.SUPPORTED} if right else {},
        **more,
    )


def _no_difference(shape: str, ratio: int, seeds: int, fewer: int | None = None) -> Scenario:
    draw = SHAPES[shape]
    cells = {
        "plain-20": Truth(mean=28.0, spread=SPREAD, draw=draw),
        "plain-56": Truth(mean=28.0, spread=ratio * SPREAD, draw=draw, seeds=fewer),
    }
    name = f"two means, {shape}, 1 : {ratio}" + (f", and {fewer} seeds" if fewer else "")
    return _one(_TEST_GROWS, name, seeds, cells, design=Design.TWO_MEANS, shape=shape)


def _no_growth(shape: str, ratio: int, seeds: int) -> Scenario:
    """Build networks with equal gains; one of the four has a larger spread than the others."""
    draw = SHAPES[shape]
    labels = ("164-original", "164-full_preact", "1001-original", "1001-full_preact")
    cells = {f"resnet-{label}": Truth(mean=28.0, spread=SPREAD, draw=draw) for label in labels}
    cells["resnet-1001-original"] = Truth(mean=28.0, spread=ratio * SPREAD, draw=draw)
    return _one(_GAIN, f"four means, {shape}, 1 : {ratio}", seeds, cells, design=Design.FOUR_MEANS, shape=shape)


def _missed_by_the_margin(shape: str, ratio: int, seeds: int) -> Scenario:
    cells = {"resnet-110-A": Truth(mean=6.61 + 0.75, spread=ratio * 0.04, draw=SHAPES[shape])}
    name = f"published mean, {shape}, {ratio * 0.04 / 0.16:g} of its spread"
    return _one(_REACHES, name, seeds, cells, design=Design.PUBLISHED, shape=shape)


def _many(others: int, shape: str, ratio: int, seeds: int) -> Scenario:
    """Build shortcuts that are as good as the identity, each compared with it, with a larger spread."""
    draw = SHAPES[shape]
    cells = {"resnet-56-A": Truth(mean=28.0, spread=SPREAD, draw=draw)}
    for number in range(others):
        cells[f"resnet-56-gate{number}"] = Truth(mean=28.0, spread=ratio * SPREAD, draw=draw)
    design = Design.UP_TO_3 if others <= 3 else Design.UP_TO_15
    return _one(_IDENTITY, f"{others} comparisons, {shape}, 1 : {ratio}", seeds, cells, design=design, shape=shape)


def _nine_of_ten(name: str, draw: Draw, seeds: int, unseen_pct: float = 0.0) -> Scenario:
    """Build a deep network whose mean is exactly at the margin of one point: one seed of ten ends ten points higher."""
    cells = {"resnet-20-A": Truth(mean=0.0, spread=0.0), "resnet-56-A": Truth(mean=1.0, spread=3.0, draw=draw)}
    return _one(_DOES_NOT_DEGRADE, name, seeds, cells, unseen_pct=unseen_pct)


def _nearly_alike(seeds: int) -> Scenario:
    """Build sweeps with rare seeds. If none of them runs, the verdict is wrong, because no test can detect them."""
    return _nine_of_ten("nine of ten seeds nearly alike", nine_of_ten_nearly, seeds, unseen_pct=100 * 0.9**seeds)


def _beside_nine_of_ten(seeds: int) -> Scenario:
    """Build two networks with equal means, one of which has one seed in ten that ends ten points higher."""
    cells = {"plain-20": Truth(mean=1.0, spread=3.0, draw=nine_of_ten), "plain-56": Truth(mean=1.0, spread=0.1)}
    return _one(_TEST_GROWS, "equal means, nine of ten alike beside normal", seeds, cells)


def _options(claim: str, name: str, means: tuple[float, float, float], seeds: int, *, right: bool = False) -> Scenario:
    cells = {f"resnet-34-{option}": Truth(mean=mean, spread=SPREAD) for option, mean in zip("ABC", means, strict=True)}
    return _one(claim, name, seeds, cells, right=right, images=50_000)


def _gain(name: str, original_1001: float, seeds: int, *, right: bool = False) -> Scenario:
    means = {"164-original": 5.93, "164-full_preact": 5.46, "1001-original": original_1001, "1001-full_preact": 4.92}
    cells = {f"resnet-{label}": Truth(mean=mean, spread=SPREAD) for label, mean in means.items()}
    return _one(_GAIN, name, seeds, cells, right=right)


def _whole_report(name: str, seeds: int) -> Scenario:
    """Build a report without any differences: five claims of orderings, false in both directions, share alpha."""
    labels = ["plain-20", "plain-110", "resnet-20-A", "resnet-110-A", "resnet-1202-A"]
    labels += ["resnet-164-original", "resnet-164-full_preact", "resnet-1001-original", "resnet-1001-full_preact"]
    cells = {label: Truth(mean=7.0, spread=SPREAD) for label in labels}
    claims = (_TEST_GROWS, _FALLS, "residual-beats-plain", _OVERFITS, _GAIN)
    # Here 1202 layers truly fit as well as 110. That they overfit is false, and so is the opposite.
    return Scenario(name=f"{name}, {seeds} seeds", claims=claims, cells=cells, seeds=seeds, right={})


def _published(seeds: int) -> list[Scenario]:
    """Build sweeps with the published true values, one for each kind of claim."""

    def truths(**means: float) -> dict[str, Truth]:
        return {label.replace("_", "-"): Truth(mean=mean, spread=SPREAD) for label, mean in means.items()}

    table_3 = (25.03, 24.52, 24.19)
    overfits = truths(resnet_110_A=6.61, resnet_1202_A=7.93)
    return [
        _one(_TEST_GROWS, "ordering: 0.60 points", seeds, truths(plain_20=27.94, plain_56=28.54), right=True),
        _one(_FALLS, "ordering, lower: 2.14 points", seeds, truths(resnet_20_A=8.75, resnet_110_A=6.61), right=True),
        _one(_DOES_NOT_DEGRADE, "not worse: no gap", seeds, truths(resnet_20_A=8.0, resnet_56_A=8.0), right=True),
        _options(_LITTLE, "equivalence of three: A to C 0.84 points", table_3, seeds, right=True),
        _options(_ORDER, "two orderings: 0.51 and 0.33 points", table_3, seeds, right=True),
        _one(_REACHES, "published mean: 6.61", seeds, truths(resnet_110_A=6.61), right=True),
        _gain("gap between gaps: 2.69 after 0.47 points", 7.61, seeds, right=True),
        _one(_OVERFITS, "not worse, and an ordering", seeds, overfits, right=True, train_spread=0.05),
    ]


SHAPES: dict[str, Draw] = {"normal": normal, "exponential": exponential, "lognormal": lognormal}
"""Shapes of errors over seeds for which `assurance` states how often a verdict is wrong."""

CASES = tuple(product(SHAPES, (1, 5, 20), SEEDS))
UNEQUAL = ((10, 2), (5, 2), (3, 2), (5, 3), (10, 3))
"""Numbers of seeds of two cells, if some trials of one cell failed."""

SCENARIOS = (
    *(_no_difference(*case) for case in CASES),
    *(_no_difference(*case, more, fewer) for case in product(SHAPES, (1, 2, 5)) for more, fewer in UNEQUAL),
    *(_no_growth(*case) for case in CASES),
    *(_missed_by_the_margin(*case) for case in CASES),
    *(_many(3, *case) for case in CASES),
    *(_many(15, *case) for case in CASES),
    *(_nine_of_ten("nine of ten seeds alike", nine_of_ten, seeds) for seeds in SEEDS),
    *map(_nearly_alike, SEEDS),
    *(_beside_nine_of_ten(seeds) for seeds in SEEDS),
    _options(_LITTLE, "A and C differ by the margin", (25.0, 24.0, 23.25), 5),
    _one(_REACHES, "the published mean missed by the margin", 5, {"resnet-110-A": Truth(mean=7.36, spread=SPREAD)}),
    _gain("equal gains", 4.92 + 0.47, 5),
    _whole_report("five claims, no difference", 5),
    *(scenario for seeds in SEEDS for scenario in _published(seeds)),
)
"""Scenarios, null scenarios first: their true values lie on the claim's bound, where a wrong verdict is most likely."""

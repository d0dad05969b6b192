"""Printed figures of a network: counts with their precision, errors with their protocol."""

from __future__ import annotations

import dataclasses
from typing import Literal

from models.spec import ModelSpec

Quantity = Literal["params", "macs"]
Metric = Literal["train_error_pct", "test_error_pct", "top1_error_pct", "top5_error_pct"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountFigure:
    """A published number of parameters, or of multiply-accumulates of one forward pass of one image."""

    quantity: Quantity
    value: float
    step: float
    """Value of one unit in the last printed digit: 1e4 for "0.27M", 1 for an exact count."""
    source: str
    without_norm: bool = False
    """Whether the source leaves the scales and shifts of normalization layers out of its parameters."""

    @property
    def convention(self) -> str:
        """The way of counting, in words."""
        if self.quantity == "macs":
            return "multiply-accumulates of convolutions, linear layers and attention"
        return "parameters without normalization's scale and shift" if self.without_norm else "all parameters"

    def covers(self, ours: float) -> bool:
        """Return whether `ours` prints as the published number, rounded or cut off at its last digit: both occur."""
        slack = 1e-9 * self.step
        return self.value - self.step / 2 - slack <= ours < self.value + self.step - slack


@dataclasses.dataclass(frozen=True, kw_only=True)
class ErrorFigure:
    """A published classification error in percent, with how it was measured."""

    metric: Metric
    value_pct: float | None
    """The error in percent, None if the paper prints no number."""
    printed: str
    """The error as the paper prints it: `6.61`, `>60`, `fail`."""
    statistic: str
    """Statistic over the paper's runs: `single run`, `best of 5`, `mean of 5`, `median of 5`."""
    protocol: str
    """Protocol of the evaluation: `single view`, `10-crop`, ..."""
    source: str
    std_pct: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """All published figures of one network on one data set."""

    spec: ModelSpec
    dataset: str
    """cifar10, cifar100 or imagenet."""
    counts: tuple[CountFigure, ...] = ()
    errors: tuple[ErrorFigure, ...] = ()


def exact_params(value: int, source: str) -> CountFigure:
    """Return an exact parameter count."""
    return CountFigure(quantity="params", value=value, step=1, source=source)


def printed_count(
    quantity: Quantity, printed: str, unit: float, source: str, *, without_norm: bool = False
) -> CountFigure:
    """Return a count as printed, such as `0.27` in millions. Its number of decimals gives its precision."""
    decimals = len(printed.partition(".")[2])
    value = round(float(printed) * unit)
    return CountFigure(
        quantity=quantity, value=value, step=unit / 10**decimals, source=source, without_norm=without_norm
    )


def error(
    metric: Metric, printed: str, *, source: str, statistic: str, protocol: str, std_pct: float | None = None
) -> ErrorFigure:
    """Return an error as printed. A text that is not a number, such as `fail` or `>60`, has no value."""
    value = float(printed) if printed.replace(".", "", 1).isdigit() else None
    return ErrorFigure(
        metric=metric,
        value_pct=value,
        printed=printed,
        statistic=statistic,
        protocol=protocol,
        source=source,
        std_pct=std_pct,
    )


def top1_top5(top1: str | None, top5: str | None, *, source: str, protocol: str) -> tuple[ErrorFigure, ...]:
    """Return ImageNet's two errors of one run, either of which may be missing."""
    printed: tuple[tuple[Metric, str | None], ...] = (("top1_error_pct", top1), ("top5_error_pct", top5))
    return tuple(
        error(metric, text, source=source, statistic="single run", protocol=protocol)
        for metric, text in printed
        if text is not None
    )

"""Prices of devices, from a file of the user's: the harness knows no prices.

currency: EUR
per_device_hour:
  NVIDIA H200: 3.20
  NVIDIA A100-SXM4-80GB: 1.85
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.workload.file import text_of
from harness.workload.source import Source, parse, show, suggest
from reports.tables.costs import Prices

_KEYS = ("currency", "per_device_hour")


def read_prices(path: Path) -> Prices:
    """Return the prices in a YAML file.

    Raises:
        UsageError: the file cannot be read, or is not of this form; the message gives the line and the allowed values.
    """
    try:
        text = text_of(path, "prices file")
    except FileNotFoundError as error:
        raise UsageError(f"prices file {path} cannot be read: {error.strerror}") from error
    if not text.strip():
        raise UsageError(f"{path}: the file is empty; prices need `currency` and `per_device_hour`")
    source = parse(str(path), text)
    for key in source.data:
        if key not in _KEYS:
            _refuse(source, (key,), f"unknown key {show(key)}{suggest(key, _KEYS)}")
    return Prices(currency=_currency(source), per_device_hour=_per_device_hour(source))


def _currency(source: Source) -> str:
    value = source.data.get("currency")
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 12:
        _refuse(source, ("currency",), f"currency is {show(value)}; give a short name such as EUR")
    assert isinstance(value, str)
    return value.strip()


def _per_device_hour(source: Source) -> dict[str, float]:
    found = source.data.get("per_device_hour")
    if not isinstance(found, dict) or not found:
        _refuse(source, ("per_device_hour",), "per_device_hour wants lines of `device name: price`")
    assert isinstance(found, dict)
    for name, value in found.items():
        price = _number(value) if not isinstance(value, bool | str) else None
        if price is None or price < 0:
            key_path = ("per_device_hour", name)
            _refuse(source, key_path, f"the price of {name} is {show(value)}; give a number of 0 or more")
    return {str(name): float(value) for name, value in found.items()}


def _refuse(source: Source, key_path: tuple[str, ...], message: str) -> None:
    raise UsageError(f"{source.file}:{source.line(key_path)}: {message}")


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None

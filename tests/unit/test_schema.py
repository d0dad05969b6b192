"""Names of metrics, today and in earlier versions."""

from __future__ import annotations

import pytest

from harness.schema import METRICS, current_key, with_current_keys


@pytest.mark.parametrize(
    ("former", "current"),
    [
        ("val/error_pct", "test/error_pct"),
        ("val/error_top5_pct", "test/error_top5_pct"),
        ("val/loss", "test/loss"),
        ("final/val_error_pct", "final/test_error_pct"),
        ("final/val_error_top5_pct", "final/test_error_top5_pct"),
        ("final/val_loss", "final/test_loss"),
        ("final/val_images", "final/test_images"),
    ],
)
def test_a_former_name_of_a_metric_leads_to_todays(former: str, current: str) -> None:
    assert current_key(former) == current
    assert current in METRICS
    assert former not in METRICS


def test_names_of_today_and_names_of_other_things_stay() -> None:
    others = ["dataset.val", "interval/ms", "recipe.evaluation", "final/train_error_pct"]
    assert [current_key(key) for key in (*METRICS, *others)] == [*METRICS, *others]


@pytest.mark.parametrize("keys", [("val/loss", "test/loss"), ("test/loss", "val/loss")])
def test_of_both_names_todays_has_the_value(keys: tuple[str, str]) -> None:
    values = {"val/loss": 1.0, "test/loss": 2.0}
    assert with_current_keys({key: values[key] for key in keys}) == {"test/loss": 2.0}

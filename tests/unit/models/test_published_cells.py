"""Published figures, and the audit that compares with them."""

from __future__ import annotations

import dataclasses

import pytest

from models.audit import audit
from models.complexity import count
from models.published import PUBLISHED, published
from models.resnet_spec import ResNetCifar


@pytest.mark.parametrize(
    ("depth", "error_pct", "params_m"),
    [(20, 8.75, 0.27), (32, 7.51, 0.46), (44, 7.17, 0.66), (56, 6.97, 0.85), (110, 6.43, 1.7), (1202, 7.93, 19.4)],
)
def test_table_6_of_the_first_paper_is_there(depth, error_pct, params_m):
    cell = published(ResNetCifar(depth=depth, shortcut="A"), "cifar10")
    assert cell is not None
    assert (cell.errors[0].value_pct, cell.params) == (error_pct, params_m * 1e6)
    assert "Table 6" in cell.errors[0].source


def test_what_nobody_published_is_none():
    assert published(ResNetCifar(depth=26), "cifar10") is None
    assert published(ResNetCifar(depth=20), "digits") is None


def test_each_cell_is_listed_once():
    assert len({(cell.spec, cell.dataset) for cell in PUBLISHED}) == len(PUBLISHED)


def test_option_b_sold_as_option_a_is_a_mismatch():
    option_b = count(ResNetCifar(depth=20, shortcut="B"), in_channels=3, num_classes=10, image_size=32)
    cell = published(ResNetCifar(depth=20, shortcut="A"), "cifar10")
    lines = {(line.quantity, line.published): line for line in audit(option_b, cell)}
    assert lines["params", 270_000].within_rounding, "0.27M cannot tell the two apart"
    exact = lines["params", 269_722]
    assert (exact.ours, exact.difference, exact.within_rounding) == (272_474, 2_752, False)


@pytest.mark.parametrize(
    ("printed", "ours", "within"),
    [(1.7e6, 1_727_962, True), (1.7e6, 1_650_000, True), (1.7e6, 1_649_999, False), (1.7e6, 1_800_000, False)],
)
def test_a_printed_number_stands_for_all_that_round_or_cut_to_it(printed, ours, within):
    cell = published(ResNetCifar(depth=110, shortcut="A"), "cifar10")
    figure = cell.counts[0]
    assert figure.value == printed
    assert figure.covers(ours) is within
    assert dataclasses.replace(figure, step=1e6).covers(1_200_000)

"""Published figures, typed here once more from the papers' tables, and the audit that compares with them."""

from __future__ import annotations

import dataclasses

import pytest

from models import ResNetCifar, ResNetImageNet, model
from models.audit import audit
from models.complexity import Complexity, count
from models.published.entries import INPUTS, PUBLISHED, Published, published

COUNTED = [cell for cell in PUBLISHED if cell.counts]


def counted(cell: Published) -> Complexity:
    """Count a published network with the channels, classes and pixels that its figures are for."""
    in_channels, num_classes, image_size = INPUTS[cell.dataset]
    image_size = cell.spec.image_size or image_size
    return count(cell.spec, in_channels=in_channels, num_classes=num_classes, image_size=image_size)


def first_count(spec, dataset, quantity):
    """Return the first value that was published of a quantity."""
    return next(figure.value for figure in published(spec, dataset).counts if figure.quantity == quantity)


def errors(spec, dataset, source, **only):
    """Return the values of the cell's errors from one source, in their order."""
    cell = published(spec, dataset)
    assert cell is not None
    figures = [figure for figure in cell.errors if figure.source.endswith(source)]
    return [figure.value_pct for figure in figures if all(getattr(figure, key) == value for key, value in only.items())]


@pytest.mark.parametrize("cell", COUNTED, ids=lambda cell: f"{cell.dataset}-{cell.spec.label}")
def test_every_published_count_is_ours_within_its_rounding(cell):
    lines = audit(counted(cell), cell)
    assert lines
    assert [line for line in lines if not line.within_rounding] == []


@pytest.mark.parametrize("cell", PUBLISHED, ids=lambda cell: f"{cell.dataset}-{cell.spec.label}")
def test_every_published_network_has_a_paper_and_a_figure(cell):
    assert cell.spec.source is not None
    assert cell.counts or cell.errors


def test_each_cell_is_listed_once():
    assert len({(cell.spec, cell.dataset) for cell in PUBLISHED}) == len(PUBLISHED)


def test_what_nobody_published_is_none():
    assert published(ResNetCifar(depth=26), "cifar10") is None
    assert published(ResNetCifar(depth=20), "digits") is None


@pytest.mark.parametrize(
    ("depth", "error_pct", "params_m"),
    [(20, 8.75, 0.27), (32, 7.51, 0.46), (44, 7.17, 0.66), (56, 6.97, 0.85), (110, 6.43, 1.7), (1202, 7.93, 19.4)],
)
def test_table_6_of_the_first_paper(depth, error_pct, params_m):
    spec = ResNetCifar(depth=depth, shortcut="A")
    assert errors(spec, "cifar10", "Table 6")[0] == error_pct
    assert first_count(spec, "cifar10", "params") == params_m * 1e6


def test_the_five_runs_of_resnet_110_have_a_spread():
    best, mean = published(ResNetCifar(depth=110), "cifar10").errors[:2]
    assert (best.value_pct, best.statistic) == (6.43, "best of 5")
    assert (mean.value_pct, mean.std_pct, mean.statistic) == (6.61, 0.16, "mean of 5")


def test_what_the_paper_prints_as_a_bound_is_no_value():
    plain = published(ResNetCifar(depth=110, shortcut="plain"), "cifar10").errors[0]
    train = published(ResNetCifar(depth=1202), "cifar10").errors[1]
    assert (plain.printed, plain.value_pct) == (">60", None)
    assert (train.printed, train.value_pct, train.metric) == ("<0.1", None, "train_error_pct")


@pytest.mark.parametrize(
    ("spec", "gmacs"),
    [
        (ResNetImageNet(depth=18, shortcut="A"), 1.8),
        (ResNetImageNet(depth=34, shortcut="A"), 3.6),
        (ResNetImageNet(depth=34, shortcut="plain"), 3.6),
        (ResNetImageNet(depth=50), 3.8),
        (ResNetImageNet(depth=101), 7.6),
        (ResNetImageNet(depth=152), 11.3),
        (model("vgg19"), 19.6),
    ],
)
def test_table_1_of_the_first_paper(spec, gmacs):
    assert first_count(spec, "imagenet", "macs") == gmacs * 1e9


@pytest.mark.parametrize(
    ("spec", "ten_crop", "multiscale"),
    [
        (ResNetImageNet(depth=18, shortcut="plain"), [27.94], []),
        (ResNetImageNet(depth=18, shortcut="A"), [27.88], []),
        (ResNetImageNet(depth=34, shortcut="plain"), [28.54, 10.02], []),
        (ResNetImageNet(depth=34, shortcut="A"), [25.03, 7.76], []),
        (ResNetImageNet(depth=34, shortcut="B"), [24.52, 7.46], [21.84, 5.71]),
        (ResNetImageNet(depth=34, shortcut="C"), [24.19, 7.4], [21.53, 5.6]),
        (ResNetImageNet(depth=50), [22.85, 6.71], [20.74, 5.25]),
        (ResNetImageNet(depth=101), [21.75, 6.05], [19.87, 4.6]),
        (ResNetImageNet(depth=152), [21.43, 5.71], [19.38, 4.49]),
        (model("vgg16"), [28.07, 9.33], []),
        (model("googlenet"), [9.15], []),
    ],
)
def test_tables_2_to_4_of_the_first_paper(spec, ten_crop, multiscale):
    figures = published(spec, "imagenet").errors
    for protocol, expected in (("10-crop", ten_crop), ("multi-scale", multiscale)):
        assert [figure.value_pct for figure in figures if figure.protocol == protocol] == expected


@pytest.mark.parametrize(
    ("axes", "printed"),
    [
        ({"shortcut": "A"}, "6.61"),
        ({"shortcut": "constant", "shortcut_scale": 0, "residual_scale": 1}, "fail"),
        ({"shortcut": "constant", "shortcut_scale": 0.5, "residual_scale": 1}, "fail"),
        ({"shortcut": "constant", "shortcut_scale": 0.5, "residual_scale": 0.5}, "12.35"),
        ({"shortcut": "exclusive_gate", "gate_bias": 0}, "fail"),
        ({"shortcut": "exclusive_gate", "gate_bias": -5}, "fail"),
        ({"shortcut": "exclusive_gate", "gate_bias": -6}, "8.70"),
        ({"shortcut": "exclusive_gate", "gate_bias": -7}, "9.81"),
        ({"shortcut": "shortcut_gate", "gate_bias": 0}, "12.86"),
        ({"shortcut": "shortcut_gate", "gate_bias": -6}, "6.91"),
        ({"shortcut": "conv1x1"}, "12.22"),
        ({"shortcut": "dropout", "dropout_rate": 0.5}, "fail"),
    ],
)
def test_table_1_of_the_second_paper(axes, printed):
    figures = published(ResNetCifar(depth=110, **axes), "cifar10").errors
    row = next(figure for figure in figures if figure.source == "He 2016 (arXiv 1603.05027), Table 1")
    assert (row.printed, row.statistic) == (printed, "median of 5")


@pytest.mark.parametrize(
    ("activation", "error_110_pct", "error_164_pct"),
    [
        ("original", 6.61, 5.93),
        ("bn_after_add", 8.17, 6.50),
        ("relu_before_add", 7.84, 6.14),
        ("relu_only_preact", 6.71, 5.91),
        ("full_preact", 6.37, 5.46),
    ],
)
def test_table_2_of_the_second_paper(activation, error_110_pct, error_164_pct):
    bottleneck = ResNetCifar(depth=164, block="bottleneck", shortcut="B", activation=activation)
    assert errors(bottleneck, "cifar10", "Table 2") == [error_164_pct]
    basic = ResNetCifar(depth=110, activation=activation)
    assert errors(basic, "cifar10", "Table 1" if activation == "original" else "Table 2") == [error_110_pct]


@pytest.mark.parametrize(
    ("dataset", "depth", "block", "original_pct", "preact_pct"),
    [
        ("cifar10", 110, "single", 9.9, 8.91),
        ("cifar10", 1001, "bottleneck", 7.61, 4.92),
        ("cifar100", 164, "bottleneck", 25.16, 24.33),
        ("cifar100", 1001, "bottleneck", 27.82, 22.71),
    ],
)
def test_table_3_of_the_second_paper(dataset, depth, block, original_pct, preact_pct):
    for activation, expected in (("original", original_pct), ("full_preact", preact_pct)):
        shortcut = "B" if block == "bottleneck" else "A"
        spec = ResNetCifar(depth=depth, block=block, shortcut=shortcut, activation=activation)
        assert errors(spec, dataset, "Table 3") == [expected]


def test_table_4_of_the_second_paper():
    spec = ResNetCifar(depth=1001, block="bottleneck", shortcut="B", activation="full_preact")
    assert errors(spec, "cifar10", "Table 4", statistic="mean of 5") == [4.89, 4.69]
    assert errors(spec, "cifar10", "Table 4", statistic="median of 5") == [4.62]
    assert errors(spec, "cifar100", "Table 4") == [22.68]
    assert first_count(spec, "cifar10", "params") == 10.2e6


@pytest.mark.parametrize(
    ("depth", "activation", "expected"),
    [
        (152, "original", [21.3, 5.5]),
        (152, "full_preact", [21.1, 5.5]),
        (200, "original", [21.8, 6.0]),
        (200, "full_preact", [20.7, 5.3, 20.1, 4.8]),
    ],
)
def test_table_5_of_the_second_paper(depth, activation, expected):
    assert errors(ResNetImageNet(depth=depth, activation=activation), "imagenet", "Table 5") == expected


def test_torchvisions_accuracies_are_turned_into_errors():
    resnet50 = ResNetImageNet(depth=50, stride_in="3x3")
    assert errors(resnet50, "imagenet", "0.29.2") == pytest.approx([23.87, 7.138, 19.142, 4.566])


def test_option_b_sold_as_option_a_is_a_mismatch():
    option_b = count(ResNetCifar(depth=20, shortcut="B"), in_channels=3, num_classes=10, image_size=32)
    lines = audit(option_b, published(ResNetCifar(depth=20, shortcut="A"), "cifar10"))
    printed, exact, macs = lines
    assert printed.within_rounding, "0.27M cannot tell the two apart"
    assert (exact.ours, exact.published, exact.difference) == (272_474, 269_722, 2_752)
    assert not exact.within_rounding
    assert not macs.within_rounding


def test_the_stride_of_torchvision_sold_as_the_papers_is_a_mismatch():
    v1_5 = count(ResNetImageNet(depth=50, stride_in="3x3"), in_channels=3, num_classes=1000, image_size=224)
    (line,) = audit(v1_5, published(ResNetImageNet(depth=50), "imagenet"))
    assert (line.published, line.within_rounding) == (3.8e9, False)


def test_a_count_is_compared_under_its_sources_convention():
    cell = published(ResNetCifar(depth=1001, block="bottleneck", shortcut="B", activation="full_preact"), "cifar10")
    complexity = counted(cell)
    (line,) = audit(complexity, cell)
    assert line.convention == "parameters without normalization's scale and shift"
    assert line.ours == complexity.params - complexity.norm_params
    assert round(complexity.params / 1e6, 1) == 10.3, "all parameters would not print as 10.2M"


@pytest.mark.parametrize(
    ("ours", "within"),
    [(1_727_962, True), (1_650_000, True), (1_649_999, False), (1_799_999, True), (1_800_000, False)],
)
def test_a_printed_number_stands_for_all_that_round_or_cut_to_it(ours, within):
    figure = published(ResNetCifar(depth=110, shortcut="A"), "cifar10").counts[0]
    assert figure.value == 1.7e6
    assert figure.covers(ours) is within
    assert dataclasses.replace(figure, step=1).covers(1_700_000)

"""Figures of He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385."""

from __future__ import annotations

from models.published_figures import CountFigure, ErrorFigure, Published, exact_params, printed_count
from models.resnet_spec import ResNetCifar

PAPER = "He 2015 (arXiv 1512.03385)"
TABLE_6 = f"{PAPER}, Table 6"
CLOSED_FORM = "closed-form layer arithmetic (3x32x32 images, 10 classes)"

_TABLE_6_PARAMS_M = {20: "0.27", 32: "0.46", 44: "0.66", 56: "0.85", 110: "1.7", 1202: "19.4"}
_TABLE_6_ERROR_PCT = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 1202: 7.93}

# (depth, shortcut) -> parameters, MACs in millions where known.
_EXACT = {
    (20, "A"): (269_722, "40.55"),
    (20, "B"): (272_474, "40.81"),
    (20, "C"): (283_962, "42.65"),
    (32, "A"): (464_154, "68.86"),
    (32, "B"): (466_906, "69.12"),
    (32, "C"): (489_594, "72.53"),
    (44, "A"): (658_586, "97.17"),
    (44, "B"): (661_338, "97.44"),
    (44, "C"): (695_226, "102.42"),
    (56, "A"): (853_018, "125.49"),
    (56, "B"): (855_770, "125.75"),
    (56, "C"): (900_858, "132.30"),
    (110, "A"): (1_727_962, "252.89"),
    (110, "B"): (1_730_714, "253.15"),
    (110, "C"): (1_826_202, "266.78"),
    (1202, "A"): (19_421_274, None),
}


def cifar() -> list[Published]:
    """CIFAR-10: Table 6, the plain net of section 4.2, and exact counts of options A, B and C."""
    residual = [
        Published(
            spec=ResNetCifar(depth=depth, shortcut=shortcut),
            dataset="cifar10",
            counts=_counts(depth, shortcut),
            errors=_table_6_errors(depth) if shortcut == "A" else (),
        )
        for depth, shortcut in _EXACT
    ]
    return [*residual, Published(spec=_plain(110), dataset="cifar10", errors=(_PLAIN_110,))]


def _plain(depth: int) -> ResNetCifar:
    return ResNetCifar(depth=depth, shortcut="plain")


def _counts(depth: int, shortcut: str) -> tuple[CountFigure, ...]:
    params, macs_m = _EXACT[depth, shortcut]
    printed = [printed_count("params", _TABLE_6_PARAMS_M[depth], 1e6, TABLE_6)] if shortcut == "A" else []
    macs = [printed_count("macs", macs_m, 1e6, CLOSED_FORM)] if macs_m else []
    return (*printed, exact_params(params, CLOSED_FORM), *macs)


def cifar_error(
    printed: str, *, source: str, statistic: str, metric: str = "test_error_pct", std_pct: float | None = None
) -> ErrorFigure:
    """One CIFAR error: a single 32x32 view. A printed text that is no number, such as `fail`, has no value."""
    value = float(printed) if printed.replace(".", "", 1).isdigit() else None
    return ErrorFigure(
        metric="train_error_pct" if metric == "train_error_pct" else "test_error_pct",
        value_pct=value,
        printed=printed,
        statistic=statistic,
        protocol="single view",
        source=source,
        std_pct=std_pct,
    )


_PLAIN_110 = cifar_error(">60", source=f"{PAPER}, section 4.2", statistic="single run")


def _table_6_errors(depth: int) -> tuple[ErrorFigure, ...]:
    if depth == 110:
        best = cifar_error("6.43", source=TABLE_6, statistic="best of 5")
        return best, cifar_error("6.61", source=TABLE_6, statistic="mean of 5", std_pct=0.16)
    test = cifar_error(f"{_TABLE_6_ERROR_PCT[depth]:.2f}", source=TABLE_6, statistic="single run")
    if depth == 1202:
        text = f"{PAPER}, section 4.2"
        return test, cifar_error("<0.1", source=text, statistic="single run", metric="train_error_pct")
    return (test,)

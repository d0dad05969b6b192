"""The valid combinations of a residual network's axes. A refusal names the axes that exclude each other, and why."""

from __future__ import annotations

from collections.abc import Iterator

from models.checks import as_float, require_choice, require_int
from models.resnet_axes import ACTIVATIONS, FULL_PREACT, GATES, ORIGINAL, SHORTCUTS, ResNetAxes

# Settings of the shortcuts of He 2016, Table 1 -> the shortcuts that have them.
_SETTINGS_OF = {
    "shortcut_scale": ("constant",),
    "residual_scale": ("constant",),
    "gate_bias": GATES,
    "dropout_rate": ("dropout",),
}
_ABLATIONS = ("constant", *GATES, "dropout")


def normalize(spec: ResNetAxes) -> None:
    """Write each setting in a single form, so that equal networks are equal values: 1 becomes 1.0."""
    for axis in _SETTINGS_OF:
        value = getattr(spec, axis)
        if value is not None:
            object.__setattr__(spec, axis, as_float(axis, value))
    if spec.cardinality == 1 and spec.group_width == spec.width:
        object.__setattr__(spec, "group_width", None)


def check(spec: ResNetAxes) -> None:
    """Raise `ValueError` for the first mistake; then fill in the convolution that has the stride."""
    spec.check_depth()
    _check_values(spec)
    refusal = next(_refusals(spec), None)
    if refusal:
        raise ValueError(refusal)
    if spec.stride_in is None:
        object.__setattr__(spec, "stride_in", spec.paper_stride_in)


def _check_values(spec: ResNetAxes) -> None:
    require_choice("shortcut", spec.shortcut, SHORTCUTS)
    require_choice("activation", spec.activation, ACTIVATIONS)
    require_int("width", spec.width, at_least=1)
    require_int("cardinality", spec.cardinality, at_least=1)
    require_int("se", spec.se, at_least=0)
    if spec.group_width is not None:
        require_int("group_width", spec.group_width, at_least=1)
    if spec.stride_in is not None:
        require_choice("stride_in", spec.stride_in, ("1x1", "3x3"))
    if spec.dropout_rate is not None and not 0 <= spec.dropout_rate < 1:
        raise ValueError(f"dropout_rate must be at least 0 and below 1, got {spec.dropout_rate:g}")


def _refusals(spec: ResNetAxes) -> Iterator[str]:
    yield from _settings_refusals(spec)
    yield from _group_refusals(spec)
    yield from _shortcut_refusals(spec)
    yield from _squeeze_refusals(spec)
    if spec.stride_in == "1x1" and spec.unit != "bottleneck":
        yield f"stride_in 1x1 needs a bottleneck: at depth {spec.depth} a unit has no 1x1 convolution; leave it out"


def _settings_refusals(spec: ResNetAxes) -> Iterator[str]:
    """Yield refusals of a setting without its shortcut, and of a shortcut without its settings."""
    for axis, shortcuts in _SETTINGS_OF.items():
        given = getattr(spec, axis) is not None
        if given and spec.shortcut not in shortcuts:
            yield f"{axis} is for shortcut {' or '.join(shortcuts)}; shortcut {spec.shortcut} has none: leave it out"
        if not given and spec.shortcut in shortcuts:
            yield f"{axis} is missing: shortcut {spec.shortcut} needs a number (He 2016, Table 1)"


def _group_refusals(spec: ResNetAxes) -> Iterator[str]:
    grouped = spec.cardinality > 1
    if spec.unit != "bottleneck" and (grouped or spec.group_width is not None):
        axis = "cardinality" if grouped else "group_width"
        yield (
            f"{axis} needs a bottleneck, and depth {spec.depth} has {spec.unit} units: with two layers or fewer, "
            "aggregated branches are one wide dense branch (Xie 2017, section 3.3)"
        )
    if grouped and spec.group_width is None:
        yield f"group_width is missing: cardinality {spec.cardinality} needs one (ResNeXt 32x4d: 32 and 4)"


def _shortcut_refusals(spec: ResNetAxes) -> Iterator[str]:
    options = {"cardinality": spec.cardinality > 1, "se": spec.se > 0, "activation": spec.activation != ORIGINAL}
    excluded = next((f"{axis} {getattr(spec, axis)}" for axis, used in options.items() if used), None)
    if excluded and spec.shortcut == "plain":
        yield f"{excluded} excludes shortcut plain: it is defined around an addition, and a plain net has none"
    if excluded and spec.shortcut in _ABLATIONS:
        yield (
            f"{excluded} excludes shortcut {spec.shortcut}: He 2016, Table 1, defines it on the original unit alone; "
            "use shortcut A, B or C"
        )


def _squeeze_refusals(spec: ResNetAxes) -> Iterator[str]:
    if not spec.se:
        return
    if spec.activation not in (ORIGINAL, FULL_PREACT):
        yield f"se {spec.se} excludes activation {spec.activation}: no paper says where the squeeze goes in it"
    channels = spec.width * spec.expansion
    if spec.se > channels:
        yield f"se {spec.se} is more than the {channels} channels that it would divide; at most {channels}"

"""Network specifications, as pure data. Torch is imported only when a network is built or counted."""

from __future__ import annotations

from models.checks import nearest_name
from models.comparators import COMPARATORS
from models.resnet_spec import ResNetCifar, ResNetImageNet
from models.spec import Family, ModelSpec, Scalar

MODELS: dict[str, type[ModelSpec]] = {
    ResNetCifar.name: ResNetCifar,
    ResNetImageNet.name: ResNetImageNet,
    **COMPARATORS,
}
"""Model name in a workload file -> specification. A new model is one more specification in this list."""


def model(name: str, **axes: Scalar) -> ModelSpec:
    """Return the specification of a model by its name and axes.

    Raises `ValueError` for an unknown name or axis, with the nearest known one, and for values that it refuses.
    """
    if name not in MODELS:
        raise ValueError(f"model {name!r} is not known{nearest_name(name, MODELS)}; allowed: {', '.join(MODELS)}")
    known = MODELS[name].axis_names()
    for axis in axes:
        if axis not in known:
            allowed = ", ".join(known) or "none"
            raise ValueError(f"model {name} has no axis {axis!r}{nearest_name(axis, known)}; allowed: {allowed}")
    if missing := [axis for axis in MODELS[name].required_axes() if axis not in axes]:
        raise ValueError(f"model {name} needs {', '.join(missing)}")
    return MODELS[name](**axes)


__all__ = ["MODELS", "Family", "ModelSpec", "ResNetCifar", "ResNetImageNet", "Scalar", "model"]

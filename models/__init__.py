"""What a network is: specifications as pure data here; torch is imported only when one is built or counted."""

from __future__ import annotations

from models.resnet_spec import ResNetCifar
from models.spec import Family, ModelSpec, Scalar

MODELS: dict[str, type[ModelSpec]] = {spec.name: spec for spec in (ResNetCifar,)}
"""Every model by its name in a workload file. To add one is one more specification here."""

__all__ = ["MODELS", "Family", "ModelSpec", "Scalar"]

"""The settings of a trial's arithmetic: threads, precision, and environment variables that would change either.

A table in docs/decisions.md lists everything else that can change a trial's numbers, and how each is handled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from harness.trial import Trial
from workloads.recipes import Recipe

REFUSED: Mapping[str, Mapping[str, str]] = {
    "cpu": {
        "DNNL_DEFAULT_FPMATH_MODE": "STRICT",
        "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
        "OMP_DYNAMIC": "FALSE",
        "OMP_MAX_ACTIVE_LEVELS": "1",
        "OMP_THREAD_LIMIT": "",
    },
    "cuda": {"NVIDIA_TF32_OVERRIDE": ""},
}
"""Device -> environment variable -> the value that changes nothing. Any other value makes libraries compute in another
precision, or with other threads, than the trial's id says, and no setting of torch overrides it."""

COMPILER = ("TORCHDYNAMO_", "TORCHINDUCTOR_", "TORCH_COMPILE_")
"""Prefixes of environment variables that change the code that torch's compiler generates. The variables are too many to
list, and they differ between versions of torch."""
COMPILER_ALLOWED = frozenset(
    {
        "TORCHINDUCTOR_AUTOGRAD_CACHE",
        "TORCHINDUCTOR_CACHE_DIR",
        "TORCHINDUCTOR_COMPILE_THREADS",
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES",
        "TORCHINDUCTOR_FX_GRAPH_CACHE",
        "TORCH_COMPILE_DEBUG",
        "TORCH_COMPILE_DEBUG_DIR",
    }
)
"""Variables with such a prefix that only decide where compiled code is stored, how fast it is compiled, and what is
logged about it."""


def configure_arithmetic(trial: Trial, device: torch.device, environment: Mapping[str, str]) -> None:
    """Set threads and precision as the trial's settings say, whatever the process or its environment had set before.

    Raises:
        ValueError: the device cannot compute as the recipe says, or an environment variable changes how it computes.
    """
    if found := ", ".join(sorted(_against(trial.recipe, device, environment))):
        raise ValueError(
            f"the environment has {found}, which changes what this trial computes; unset it before the workers start: "
            "in this shell, or on each node before `ray start`"
        )
    if device.type == "cpu":
        _check_cpu(trial.recipe)
        torch.set_num_threads(trial.scale.cpus_per_worker)
    _set_precision(tf32=trial.recipe.precision == "tf32")


def _against(recipe: Recipe, device: torch.device, environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        harmless = REFUSED[device.type].get(name)
        if harmless is not None and value.upper() not in ("", harmless):
            yield f"{name}={value}"
        if recipe.compile and name.startswith(COMPILER) and name not in COMPILER_ALLOWED:
            yield f"{name}={value}"


def _check_cpu(recipe: Recipe) -> None:
    if recipe.precision == "tf32":
        raise ValueError("precision tf32 needs a GPU; on a CPU use fp32 or bf16")
    if recipe.cuda_graphs:
        raise ValueError("cuda_graphs needs a GPU; on a CPU leave it out")


def _set_precision(*, tf32: bool) -> None:
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.deterministic = False
    # fp32 must mean fp32: cuDNN's own default is TF32, with 10 bits of mantissa.
    torch.backends.cudnn.conv.fp32_precision = "tf32" if tf32 else "ieee"  # type: ignore[attr-defined]
    torch.backends.mkldnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # these are made at run time
    # This sets cuBLAS and oneDNN. Setting cuBLAS by its own name would leave this setting as it was, and torch raises
    # if the two disagree.
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.set_flush_denormal(False)

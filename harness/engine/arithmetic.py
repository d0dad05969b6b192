"""The arithmetic of a trial, settled in one place: threads, precision, and environment variables that would change it.

What else can reach a trial's numbers, and what is done about it, is a table in docs/decisions.md.
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
"""Device -> environment variable -> the value that changes nothing. With another one libraries compute in another
precision, or on other threads, than the trial's id says, and torch has no setting that is stronger."""

COMPILER = ("TORCHDYNAMO_", "TORCHINDUCTOR_", "TORCH_COMPILE_")
"""First parts of the names of environment variables that change what torch's compiler makes. They are too many to list,
and other ones in each version of torch."""
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
"""Those that decide only where the compiled code lies, how fast it is made, and what is written about it."""


def settle_arithmetic(trial: Trial, device: torch.device, environment: Mapping[str, str]) -> None:
    """Set threads and precision as the trial's settings say, whatever this process or its environment had before.

    Raises:
        ValueError: the device cannot compute as the recipe says, or the environment has it compute otherwise.
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
    # fp32 means fp32: cuDNN's own default is TF32, with 10 bits of mantissa.
    torch.backends.cudnn.conv.fp32_precision = "tf32" if tf32 else "ieee"  # type: ignore[attr-defined]
    torch.backends.mkldnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # these are made at run time
    # Of cuBLAS and oneDNN. To set cuBLAS's by its own name would leave this one as it was, and torch raises where the
    # two disagree.
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.set_flush_denormal(False)

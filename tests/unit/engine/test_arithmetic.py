"""Influences on a trial's numbers other than its settings: each is reset, refused, or changes nothing."""

import dataclasses
import functools

import PIL
import pytest
import torch

from harness.engine import attempt_trial, run_trial
from harness.engine.arithmetic import configure_arithmetic
from harness.engine.network import build_module
from harness.engine.process import describe_workers
from harness.schema import Outcome

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def on_threads(trial, count):
    return dataclasses.replace(trial, scale=dataclasses.replace(trial.scale, cpus_per_worker=count))


@pytest.mark.parametrize("count", [1, 2])
def test_a_trial_computes_with_as_many_threads_as_its_id_says_whatever_the_process_had(make_trial, recording, count):
    torch.set_num_threads(3)
    configure_arithmetic(on_threads(make_trial(), count), CPU, {"OMP_NUM_THREADS": "3"})
    assert torch.get_num_threads() == count
    assert describe_workers(recording().context)["device.threads_per_worker"] == str(count)


def test_numbers_are_added_in_an_order_that_the_number_of_threads_decides():
    """The number of threads is part of the id for this reason: a sum over threads is a sum of their sums."""
    numbers = torch.randn(3_000_001, generator=torch.Generator().manual_seed(0))
    sums = []
    for count in (1, 2, 1, 2):
        torch.set_num_threads(count)
        sums.append(numbers.sum().item())
    assert sums[:2] == sums[2:]
    assert sums[0] != sums[1]


def test_a_networks_first_weights_are_the_same_with_any_number_of_threads(make_trial):
    """For a GPU too, the weights are drawn on the host, with as many threads as torch chooses."""
    drawn = []
    for count in (1, 2):
        torch.set_num_threads(count)
        torch.manual_seed(0)
        drawn.append(build_module(make_trial(width=64), CPU).state_dict())
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())


@pytest.fixture
def numeric_modes():
    """Restore torch's numeric modes after the test."""
    yield
    torch.backends.mkldnn.conv.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(False)


MODES = {
    "products in bf16": functools.partial(torch.set_float32_matmul_precision, "medium"),
    "products in tf32": functools.partial(torch.set_float32_matmul_precision, "high"),
    "convolutions in bf16": lambda: setattr(torch.backends.mkldnn.conv, "fp32_precision", "bf16"),
    "no smallest numbers": functools.partial(torch.set_flush_denormal, True),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_numeric_mode_that_somebody_left_behind_changes_no_trial(
    make_trial, recording, timeless, numeric_modes, mode
):
    trial = make_trial(width=16, epochs=1)
    expected = timeless(run_trial(trial, recording().context))
    MODES[mode]()
    assert timeless(run_trial(trial, recording().context)) == expected
    assert torch.backends.mkldnn.matmul.fp32_precision == torch.backends.mkldnn.conv.fp32_precision == "ieee"
    assert torch.tensor(1e-40) * 1.0 > 0


@pytest.mark.parametrize("before", ["highest", "high"])
@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_the_recipe_alone_says_whether_a_gpu_rounds_fp32_to_tf32(make_trial, numeric_modes, before, precision, allowed):
    """Torch begins with `high` if TORCH_ALLOW_TF32_CUBLAS_OVERRIDE is 1. Its two attributes for TF32 must agree."""
    torch.set_float32_matmul_precision(before)
    configure_arithmetic(make_trial(precision=precision), GPU, {})
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    assert matmul.allow_tf32 is allowed
    assert {matmul.fp32_precision, convolution.fp32_precision} == {"tf32" if allowed else "ieee"}


@pytest.mark.parametrize(
    ("device", "variable"),
    [
        (CPU, "ONEDNN_DEFAULT_FPMATH_MODE=BF16"),
        (CPU, "DNNL_DEFAULT_FPMATH_MODE=any"),
        (CPU, "OMP_DYNAMIC=true"),
        (CPU, "OMP_MAX_ACTIVE_LEVELS=0"),
        (CPU, "OMP_THREAD_LIMIT=1"),
        (GPU, "NVIDIA_TF32_OVERRIDE=0"),
        (GPU, "NVIDIA_TF32_OVERRIDE=1"),
    ],
)
def test_a_variable_with_which_libraries_compute_otherwise_than_the_id_says_is_refused(make_trial, device, variable):
    name, _, value = variable.partition("=")
    with pytest.raises(
        ValueError, match=f"the environment has {variable}, which changes what this trial computes; unset"
    ):
        configure_arithmetic(make_trial(), device, {name: value, "PATH": "/bin"})


@pytest.mark.parametrize(
    ("device", "variable"),
    [
        (CPU, "ONEDNN_DEFAULT_FPMATH_MODE=strict"),
        (CPU, "OMP_DYNAMIC=FALSE"),
        (CPU, "OMP_DYNAMIC="),
        (CPU, "OMP_MAX_ACTIVE_LEVELS=1"),
        (CPU, "NVIDIA_TF32_OVERRIDE=1"),
        (GPU, "OMP_DYNAMIC=true"),
        (CPU, "TORCH_COMPILE_DISABLE=1"),
    ],
)
def test_a_variable_that_says_what_holds_anyway_or_is_for_others_is_no_matter(make_trial, device, variable):
    name, _, value = variable.partition("=")
    configure_arithmetic(make_trial(), device, {name: value})


@pytest.mark.parametrize(
    "name", ["TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE", "TORCHINDUCTOR_LAYOUT_OPTIMIZATION", "TORCHINDUCTOR_NEW"]
)
def test_whether_and_how_a_network_is_compiled_is_the_recipes_word_alone(make_trial, name):
    trial = make_trial(compile=True)
    configure_arithmetic(trial, CPU, {"TORCHINDUCTOR_CACHE_DIR": "/tmp/cache", "TORCHINDUCTOR_COMPILE_THREADS": "1"})
    with pytest.raises(ValueError, match=f"the environment has {name}=1, which"):
        configure_arithmetic(trial, CPU, {name: "1"})


def test_a_trial_in_such_an_environment_fails_and_says_which_variable_it_is(make_trial, recording, monkeypatch):
    monkeypatch.setenv("OMP_THREAD_LIMIT", "1")
    ended = attempt_trial(make_trial(), recording().context)
    assert ended.outcome is Outcome.FAILED
    assert "the environment has OMP_THREAD_LIMIT=1, which" in ended.reason


def test_neither_checkpoints_nor_limits_nor_kept_weights_change_a_number(make_trial, recording, timeless):
    plain, careful = recording(), recording(checkpoint_every_steps=1, checkpoint_every_s=0.0, timeout_s=1000.0)
    expected = timeless(run_trial(make_trial(), plain.context))
    kept = dataclasses.replace(make_trial(), keep_weights=True)
    assert timeless(run_trial(kept, careful.context)) == expected
    assert careful.curves() == plain.curves()


def test_the_versions_of_what_decodes_photographs_are_recorded_with_a_trial(recording):
    assert describe_workers(recording().context)["version.pillow"] == PIL.__version__

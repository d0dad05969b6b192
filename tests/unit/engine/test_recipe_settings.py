"""Effects of a recipe's settings on a training, each compared with the plainest calculation of the same."""

import csv
import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.engine import run_trial
from harness.engine.milestones import as_results, passed
from harness.engine.network import build_module, compiled, make_optimizer
from harness.engine.step import Stepper
from harness.errors import Stopped
from harness.events import EpochEnded
from harness.schema import Outcome
from models import MODELS
from models.spec import ModelSpec
from workloads.recipes import RECIPES, Recipe

CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Smooth(ModelSpec):
    """A small network without batch norm: its gradients are means over images, however these are grouped."""

    family = label = name = "smooth"

    def build(self, *, in_channels, num_classes, image_size):
        hidden = nn.Linear(in_channels * image_size**2, 32)
        return nn.Sequential(nn.Flatten(), hidden, nn.LayerNorm(32), nn.Tanh(), nn.Linear(32, num_classes))


@pytest.fixture
def smooth_trial(make_trial, monkeypatch):
    monkeypatch.setitem(MODELS, "smooth", Smooth)
    return lambda **recipe: dataclasses.replace(make_trial(**recipe), model=Smooth())


def steps_of(recorded):
    return list(csv.DictReader((recorded.context.folder / "steps.csv").read_text().splitlines()))


def epochs_of(recorded):
    return [event for event in recorded.events if isinstance(event, EpochEnded)]


def weights_after_a_step(recording, trial, *, in_double=False):
    torch.manual_seed(3)
    net = build_module(trial, CPU)
    net = net.double() if in_double else net
    stepper = Stepper(net, trial.recipe, recording().context)
    images = torch.randn(96, 1, 8, 8, dtype=torch.float64 if in_double else torch.float32)
    labels = torch.randint(0, 10, (96,))
    answer = stepper.step(images, labels, lr=0.1)
    return net.state_dict(), answer


@pytest.mark.parametrize("micro", [48, 32, 7, 96, 200])
def test_gradients_summed_over_parts_are_those_of_the_whole_batch(recording, smooth_trial, micro):
    """Only the order in which 96 numbers are added differs: in double precision, the results agree to 1e-12."""
    whole, expected = weights_after_a_step(recording, smooth_trial(), in_double=True)
    parts, found = weights_after_a_step(recording, smooth_trial(micro_batch_size=micro), in_double=True)
    assert found.loss.item() == pytest.approx(expected.loss.item(), rel=1e-12)
    assert int(found.errors) == int(expected.errors)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-12, atol=1e-12)


def test_parts_are_normalized_each_by_itself_as_on_as_many_devices(recording, make_trial):
    """A step of a network with batch norm over 2 parts, by hand: each part's mean gradient, and their mean applied."""
    trial = make_trial(micro_batch_size=48)
    found, _ = weights_after_a_step(recording, trial)
    torch.manual_seed(3)
    net = build_module(trial, CPU)
    images, labels = torch.randn(96, 1, 8, 8), torch.randint(0, 10, (96,))
    grads = []
    for half in (slice(0, 48), slice(48, 96)):
        net.zero_grad()
        functional.cross_entropy(net(images[half]), labels[half]).backward()
        grads.append([value.grad.clone() for value in net.parameters()])
    with torch.no_grad():
        for value, first, second in zip(net.parameters(), *grads, strict=True):
            value.sub_(0.1 * ((first + second) / 2 + 1e-4 * value))
    for name, value in net.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def test_a_training_counted_in_iterations_ends_in_the_middle_of_an_epoch(recording, make_trial):
    recorded = recording()
    ended = run_trial(make_trial(epochs=None, iterations=35), recorded.context)
    assert ended.outcome is Outcome.FINISHED
    assert [int(step["epoch"]) for step in steps_of(recorded)] == [1] * 15 + [2] * 15 + [3] * 5
    assert [event.epoch for event in epochs_of(recorded)] == [1, 2, 3]
    last = [step for step in steps_of(recorded) if step["epoch"] == "3"]
    errors_pct = 100 * sum(int(step["errors"]) for step in last) / (5 * 96)
    assert epochs_of(recorded)[-1].values["train/error_pct"] == pytest.approx(errors_pct)


def test_iterations_that_fill_epochs_train_as_the_epochs_do(recording, make_trial, timeless):
    by_epochs, by_steps = recording(), recording()
    expected = run_trial(make_trial(), by_epochs.context)
    found = run_trial(make_trial(epochs=None, iterations=30), by_steps.context)
    assert timeless(found) == timeless(expected)
    assert by_steps.curves() == by_epochs.curves()


TRIGGERED = {"schedule": "constant", "warmup_fraction": 0.0, "warmup_lr": 0.001, "warmup_shape": "hold", "epochs": None}


def training_error_of(recorded, first, last):
    """Return the training error in percent of the steps from first to last, counted from 1, both included."""
    return sum(int(step["errors"]) for step in steps_of(recorded)[first - 1 : last]) / (last - first + 1) / 96 * 100


@pytest.fixture
def look_every_5(monkeypatch):
    """Look at the training error every 5 steps, so that looks fit into an epoch of 15 steps."""
    monkeypatch.setattr("harness.engine.train.WARMUP_CHECK_STEPS", 5)


def test_a_warm_up_ends_at_the_first_look_that_sees_a_low_enough_training_error(recording, make_trial, look_every_5):
    never = recording()
    run_trial(make_trial(iterations=45, **TRIGGERED, warmup_until_error_pct=0.001), never.context)
    errors = [training_error_of(never, last - 4, last) for last in range(5, 46, 5)]
    threshold = sorted(errors)[len(errors) // 2] + 1e-6
    warm_from = 5 * (1 + next(i for i, value in enumerate(errors) if value < threshold))
    assert 5 < warm_from < 45

    recorded = recording()
    ended = run_trial(make_trial(iterations=45, **TRIGGERED, warmup_until_error_pct=threshold), recorded.context)
    assert ended.results["schedule/warmup_iterations"] == warm_from
    same = [before["loss"] == after["loss"] for before, after in zip(steps_of(never), steps_of(recorded), strict=True)]
    # The first step at the high rate still has the loss of the weights before it.
    assert same == [True] * (warm_from + 1) + [False] * (44 - warm_from)
    lrs = [event.values["train/lr"] for event in epochs_of(recorded)]
    assert lrs == [0.05 if 15 * epoch > warm_from else 0.001 for epoch in (1, 2, 3)]


RESUMED = {
    "a warm-up that waits for the error": {**TRIGGERED, "iterations": 40, "warmup_until_error_pct": 80.0},
    "plateaus": {"schedule": "plateau", "plateau_epochs": 1, "plateau_points": 90.0, "epochs": 4},
    "an epoch cut short": {"epochs": None, "iterations": 35, "schedule": "steps", "lr_drop_iterations": (20, 33)},
    "gradient scaling": {"precision": "fp16"},
    "bf16 in parts": {"precision": "bf16", "micro_batch_size": 48},
    "two groups of weights": {"weight_decay_norm": False, "nesterov": True, "zero_gamma": True},
}


@pytest.mark.parametrize("after", [3, 19])
@pytest.mark.parametrize("recipe", RESUMED.values(), ids=RESUMED)
def test_a_trial_resumes_bit_for_bit_with_its_schedule_and_its_scaler(
    recording, make_trial, timeless, look_every_5, recipe, after
):
    trial = make_trial(warmup_fraction=0.0, **{key: value for key, value in recipe.items() if key != "warmup_fraction"})
    whole, part = recording(), recording()
    expected = run_trial(trial, whole.context)
    part.stop_after = after
    with pytest.raises(Stopped):
        run_trial(trial, part.context)
    part.stop_after = None
    assert timeless(run_trial(trial, part.context)) == timeless(expected)
    assert part.curves() == whole.curves()
    assert [step["loss"] for step in steps_of(part)] == [step["loss"] for step in steps_of(whole)]


def test_a_plateau_drops_the_rate_of_the_epochs_after_it(recording, make_trial):
    recorded = recording()
    run_trial(make_trial(warmup_fraction=0.0, **RESUMED["plateaus"]), recorded.context)
    # The first epoch sets the mark; none after it is better by 90 points.
    lrs = [event.values["train/lr"] for event in epochs_of(recorded)]
    assert lrs == pytest.approx([0.05, 0.05, 0.005, 0.0005])


def test_fp16_scales_the_loss_and_leaves_out_a_step_that_overflows(recording, make_trial):
    trial = make_trial(precision="fp16")
    stepper = Stepper(build_module(trial, CPU), trial.recipe, recording().context)
    weights = [value.clone() for value in stepper.optimizer.param_groups[0]["params"]]
    images, labels = torch.full((96, 1, 8, 8), 3e38), torch.zeros(96, dtype=torch.int64)
    stepper.step(images, labels, lr=0.1)
    after = stepper.optimizer.param_groups[0]["params"]
    assert all(torch.equal(before, value) for before, value in zip(weights, after, strict=True))
    assert stepper.state()["scaler"]["scale"] == 2.0**15  # half of torch's first 2^16
    stepper.step(torch.randn(96, 1, 8, 8), labels, lr=0.1)
    assert not all(torch.equal(before, value) for before, value in zip(weights, after, strict=True))


def test_tf32_on_a_cpu_is_refused_and_not_quietly_something_else(recording, make_trial):
    with pytest.raises(ValueError, match="tf32 needs a GPU"):
        run_trial(make_trial(precision="tf32"), recording().context)


def test_zero_gamma_makes_every_unit_of_a_new_network_its_shortcut(make_trial):
    """With scales of 0, ResNet-14-A passes the stem's output, subsampled and padded, on to the pool."""
    trial = make_trial(depth=14, zero_gamma=True)
    net = build_module(trial, CPU).eval()
    images = torch.randn(5, 1, 8, 8)
    stem = net.stem(images)
    subsampled = functional.pad(stem[:, :, ::4, ::4], (0, 0, 0, 0, 0, 3 * stem.shape[1]))
    torch.testing.assert_close(net(images), net.fc(subsampled.mean((2, 3))))
    scales = {name: value for name, value in net.named_parameters() if value.dim() == 1 and "weight" in name}
    zeros = [name for name, value in scales.items() if not value.any()]
    assert len(zeros) == 6
    assert all(name.endswith("bn2.weight") for name in zeros)


def test_a_classifiers_first_weights_have_the_standard_deviation_asked_for(make_trial):
    torch.manual_seed(0)
    fc = build_module(make_trial(width=64, classifier_std=0.01), CPU).fc
    assert fc.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not fc.bias.any()


def test_all_weights_decay_or_all_but_those_of_norms(make_trial):
    net = build_module(make_trial(), CPU)
    [everything] = make_optimizer(net, make_trial().recipe).param_groups
    assert (len(everything["params"]), everything["weight_decay"]) == (len(list(net.parameters())), 1e-4)
    decaying, others = make_optimizer(net, make_trial(weight_decay_norm=False).recipe).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (1e-4, 0.0)
    # 7 convolutions and the classifier's weight and bias; 7 batch norms with scale and shift.
    assert (len(decaying["params"]), len(others["params"])) == (9, 14)


def test_nesterov_momentum_looks_ahead(make_trial, recording):
    """One weight w, loss w * x: two steps by hand (Sutskever 2013, in the form that torch's documentation gives)."""
    recipe = dataclasses.replace(make_trial().recipe, nesterov=True, weight_decay=0.0, momentum=0.9)
    net = nn.Linear(1, 1, bias=False)
    start = net.weight.item()
    optimizer = make_optimizer(net, recipe)
    optimizer.param_groups[0]["lr"] = 0.1
    for gradient in (2.0, 3.0):
        net.weight.grad = torch.tensor([[gradient]])
        optimizer.step()
    first = 2.0 + 0.9 * 2.0
    second = 3.0 + 0.9 * (0.9 * 2.0 + 3.0)
    assert net.weight.item() == pytest.approx(start - 0.1 * (first + second))


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"goyal2017-imagenet"}))
def test_every_recipe_of_the_residual_papers_decays_all_weights(name):
    assert RECIPES[name].weight_decay_norm


def test_a_threshold_counts_from_the_first_epoch_that_reaches_it_on_both_clocks():
    reached = {}
    for epoch, error_pct in enumerate((60.0, 29.0, 35.0, 10.0), start=1):
        reached = passed(reached, error_pct=error_pct, train_s=10.0 * epoch, evaluate_s=1.0 * epoch)
    assert as_results(reached) == {
        "time_to_error/50_pct_train_s": 20.0,
        "time_to_error/50_pct_total_s": 22.0,
        "time_to_error/30_pct_train_s": 20.0,
        "time_to_error/30_pct_total_s": 22.0,
        "time_to_error/25_pct_train_s": 40.0,
        "time_to_error/25_pct_total_s": 44.0,
        "time_to_error/20_pct_train_s": 40.0,
        "time_to_error/20_pct_total_s": 44.0,
        "time_to_error/10_pct_train_s": 40.0,
        "time_to_error/10_pct_total_s": 44.0,
    }


def test_times_to_thresholds_survive_a_stop(recording, make_trial):
    part = recording()
    part.stop_after = 40
    with pytest.raises(Stopped):
        run_trial(make_trial(epochs=6), part.context)
    part.stop_after = None
    ended = run_trial(make_trial(epochs=6), part.context)
    curve = {event.epoch: event.values for event in epochs_of(part)}
    reached = next(epoch for epoch in sorted(curve) if curve[epoch]["test/error_pct"] <= 50)
    assert reached <= 2
    assert ended.results["time_to_error/50_pct_train_s"] == pytest.approx(curve[reached]["time/train_s"])
    assert ended.results["time_to_error/50_pct_total_s"] > ended.results["time_to_error/50_pct_train_s"]


def test_a_recipe_of_a_paper_that_no_test_here_trains_still_builds(make_trial, recording):
    for name, recipe in RECIPES.items():
        trial = dataclasses.replace(make_trial(), recipe=recipe)
        stepper = Stepper(build_module(trial, CPU), trial.recipe, recording().context)
        assert isinstance(trial.recipe, Recipe), name
        assert stepper.optimizer.param_groups[0]["momentum"] == 0.9


def test_the_fused_optimizer_gives_the_same_weights_to_rounding(recording, smooth_trial):
    plain, _ = weights_after_a_step(recording, smooth_trial())
    fused, _ = weights_after_a_step(recording, smooth_trial(fused_optimizer=True))
    for name, value in plain.items():
        torch.testing.assert_close(fused[name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("fused", [False, True])
def test_the_optimizer_is_fused_only_where_the_recipe_says_so(make_trial, fused):
    trial = make_trial(fused_optimizer=fused)
    optimizer = make_optimizer(build_module(trial, CPU), trial.recipe)
    assert bool(optimizer.param_groups[0]["fused"]) is fused


@pytest.mark.parametrize(
    ("settings", "mode"), [({}, "not compiled"), ({"compile": True}, None), ({"cuda_graphs": True}, "reduce-overhead")]
)
def test_cuda_graphs_are_what_torch_calls_reduce_overhead(make_trial, monkeypatch, settings, mode):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda network, **options: asked.append(options) or network)
    recipe = dataclasses.replace(make_trial().recipe, **({"compile": True} | settings if settings else {}))
    network = nn.Linear(1, 1)
    assert compiled(network, recipe) is network
    assert [options["mode"] for options in asked] == ([] if mode == "not compiled" else [mode])


def test_cuda_graphs_need_a_compiled_network_whole_batches_and_a_gpu(recording, make_trial):
    with pytest.raises(ValueError, match="cuda_graphs needs compile: true"):
        make_trial(cuda_graphs=True)
    with pytest.raises(ValueError, match="cuda_graphs and micro_batch_size exclude each other"):
        make_trial(cuda_graphs=True, compile=True, micro_batch_size=48)
    with pytest.raises(ValueError, match="cuda_graphs needs a GPU"):
        run_trial(make_trial(cuda_graphs=True, compile=True), recording().context)


@pytest.mark.parametrize(
    ("micro", "expected"),
    [(None, "forward backward optimizer"), (48, "forward backward forward backward optimizer")],
)
def test_a_step_says_when_each_of_its_phases_is_over(recording, make_trial, micro, expected):
    trial, passed_phases = make_trial(micro_batch_size=micro), []
    stepper = Stepper(build_module(trial, CPU), trial.recipe, recording().context, passed=passed_phases.append)
    stepper.step(torch.randn(96, 1, 8, 8), torch.randint(0, 10, (96,)), lr=0.1)
    assert passed_phases == expected.split()

"""Two processes over gloo, compared with one process that does the same by hand."""

import re

import pytest
import torch
from torch.nn import functional

from harness.engine.evaluate import Evaluator
from harness.engine.views import views
from harness.schema import Outcome
from tests.support.environment import start_program
from workloads.datasets.digits import Digits
from workloads.datasets.spec import mixed_seed

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Return the results of each of two workers."""
    folder = tmp_path_factory.mktemp("two_workers")
    workers = [
        start_program("tests.unit.engine.two_workers", rank, folder, GLOO_SOCKET_IFNAME="lo") for rank in range(2)
    ]
    for worker in workers:
        output, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, output
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(2)]


def trained_by_hand(trial, part=48):
    """Train in one process: each half of the batch has its own network and goes part by part; average the gradients."""
    data = Digits().load(CPU)
    torch.set_num_threads(1)
    torch.manual_seed(trial.seed)
    net = trial.model.build(in_channels=1, num_classes=10, image_size=8)
    other_half = trial.model.build(in_channels=1, num_classes=10, image_size=8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    for epoch in range(2):
        order = torch.randperm(1442, generator=torch.Generator().manual_seed(mixed_seed(trial.seed, epoch)))
        for i in range(15):
            optimizer.param_groups[0]["lr"] = trial.schedule.lr_at(epoch * 15 + i)
            optimizer.zero_grad()
            other_half.load_state_dict(net.state_dict())
            other_half.zero_grad()
            for half, place in ((net, 0), (other_half, 48)):
                for first in range(i * 96 + place, i * 96 + place + 48, part):
                    batch = order[first : first + part]
                    loss = functional.cross_entropy(half(data.train_images[batch]), data.train_labels[batch])
                    (loss * part / 48).backward()
            for mine, other in zip(net.parameters(), other_half.parameters(), strict=True):
                mine.grad = (mine.grad + other.grad) / 2
            optimizer.step()
    return net


def test_weights_equal_those_of_one_process_that_averages_two_half_batches(ranks, make_trial):
    expected = trained_by_hand(make_trial(workers=2)).state_dict()
    for key, value in ranks[0]["weights"]["module"].items():
        assert torch.allclose(value.double(), expected[key].double(), rtol=1e-4, atol=1e-5), key


def test_gradients_in_parts_are_summed_on_each_worker_and_averaged_once(ranks, make_trial):
    expected = trained_by_hand(make_trial(workers=2), part=24).state_dict()
    for key, value in ranks[0]["parts"]["module"].items():
        assert torch.allclose(value.double(), expected[key].double(), rtol=1e-4, atol=1e-5), key


def test_weights_after_50_steps_are_those_of_one_worker_but_for_the_order_of_sums(ranks, fifty_steps):
    """fp32 over gloo. Both add up the gradients of 2 x 48 images, and may differ in the order alone.

    Another order changes a sum by about one unit in the last place, 6e-8 of it, at each step; 50 steps with a momentum
    of 0.9, in which a change counts tenfold, make that some 3e-5 if nothing amplifies it. Measured: no difference at
    all, because halving is exact and two numbers have the same sum in either order.
    """
    one, two = fifty_steps(), ranks[0]["fifty"]
    difference = max((two[key] - value).abs().max().item() for key, value in one.items())
    print(f"largest difference of any weight after 50 steps: {difference:.2e}")
    assert difference < 3e-5


def test_both_ranks_hold_the_same_weights_and_statistics(ranks):
    first, second = (rank["weights"]["module"] for rank in ranks)
    assert all(torch.equal(first[key], second[key]) for key in first)


def one_worker():
    return Evaluator(
        data=Digits().load(CPU),
        classes=10,
        batch_size=96,
        rank=0,
        world_size=1,
        precision=torch.autocast("cpu", enabled=False),
    )


def test_two_workers_count_what_one_worker_counts_on_the_same_weights(ranks, make_trial):
    net = make_trial().model.build(in_channels=1, num_classes=10, image_size=8)
    net.load_state_dict(ranks[0]["weights"]["module"])
    alone = one_worker().plain(net, "train")
    for rank in ranks:
        counts = rank["weights"]["counts"]
        assert (counts["images"], counts["errors"], counts["commonest"]) == (1442, alone.errors, alone.commonest)
        assert counts["loss"] == pytest.approx(alone.loss, rel=1e-6)


@pytest.mark.parametrize("protocol", ["10-crop", "multi-scale"])
def test_two_workers_count_through_several_views_what_one_worker_counts(ranks, make_trial, protocol):
    net = make_trial().model.build(in_channels=1, num_classes=10, image_size=8)
    net.load_state_dict(ranks[0]["weights"]["module"])
    alone = one_worker().through(views(protocol, 8), net, "test")
    for rank in ranks:
        counts = rank["weights"][protocol]
        assert (counts["images"], counts["errors"], counts["commonest"]) == (355, alone.errors, alone.commonest)
        assert counts["loss"] == pytest.approx(alone.loss, rel=1e-6)


def test_every_rank_gets_the_same_end_and_rank_0_alone_emits(ranks):
    assert ranks[0]["ended"] == ranks[1]["ended"]
    assert ranks[0]["ended"].outcome is Outcome.FINISHED
    # Start, two epochs, an artifact; with a second start; and the epochs alone where training was called by itself.
    assert ranks[0]["events"] == {"whole": 4, "part": 5, "weights": 2, "parts": 2, "fifty": 4}
    assert ranks[1]["events"] == {"whole": 0, "part": 0, "weights": 0, "parts": 0, "fifty": 0}


def test_a_request_that_one_rank_sees_stops_both_at_the_same_step(ranks):
    (reason,) = {rank["part"]["reason"] for rank in ranks}
    # The first look is after one step, and each next one after twice as many at most.
    assert re.fullmatch("stopped after 0 of 2 epochs and [3-7] steps", reason)


def test_two_workers_resume_bit_for_bit_in_the_middle_of_an_epoch(ranks):
    for rank in ranks:
        assert rank["part"]["results"] == {
            key: value for key, value in rank["ended"].results.items() if key in rank["part"]["results"]
        }
    assert ranks[0]["part_curves"] == ranks[0]["whole_curves"]
    assert len(ranks[0]["whole_curves"]) == 2

"""Processes that decode: what they need before they start, how they are lost, and what comes after."""

import os
import resource
import signal
import tempfile
from multiprocessing import connection, process, util
from types import SimpleNamespace

import psutil
import pytest
import torch

from tests.support.environment import start_program
from tests.support.processes import end_family
from tests.support.waiting import wait_until
from workloads.datasets import decoders, decoding, room
from workloads.datasets.decoding import packed, unpacked
from workloads.datasets.imagenet import ImageNet
from workloads.datasets.room import DecoderError

needs_two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="two decoders need two cores")


@pytest.fixture
def load(photo_tree):
    """Return a function that loads the 40 and 20 photographs."""
    return lambda **settings: ImageNet(
        root=str(photo_tree), subset="photos", **{"image_size": 32, "decoders": 1, **settings}
    ).load(torch.device("cpu"))


def iterate(data, batch_size=8):
    return data.train_batches(seed=0, epoch=0, batch_size=batch_size, rank=0, world_size=1, augmentation="scale-jitter")


def decoding_processes():
    """Return the decoders of this process, which its fork server has started."""
    return [
        child for child in psutil.Process().children(recursive=True)
        if child.ppid() != os.getpid() and "forkserver" in " ".join(child.cmdline())
    ]  # fmt: skip


def begun(data, **settings):
    """Begin an iteration, and return it and the processes that decode for it."""
    before = set(decoding_processes())
    running = iterate(data, **settings)
    next(running)
    return running, set(decoding_processes()) - before


def test_a_decoder_that_was_killed_is_named_and_the_next_attempt_has_new_ones(load):
    data = load()
    expected = [labels.tolist() for _, labels in iterate(load(decoders=0))]
    running, [decoder] = begun(data)
    decoder.kill()
    with pytest.raises(DecoderError, match=rf"process {decoder.pid}\) was ended by SIGKILL, as the kernel does when"):
        list(running)
    assert [labels.tolist() for _, labels in iterate(data)] == expected


def test_decoders_that_were_killed_between_two_attempts_fail_one_attempt_alone(load):
    data = load()
    running, [decoder] = begun(data)
    list(running)
    decoder.kill()
    psutil.wait_procs([decoder])
    with pytest.raises(DecoderError, match="was ended by SIGKILL"):
        list(iterate(data))
    assert len(list(iterate(data))) == 5


def test_decoders_whose_fork_server_was_killed_fail_one_attempt_alone(load):
    data = load()
    running, [decoder] = begun(data, batch_size=1)  # so that much is left to decode
    decoder.parent().kill()
    with pytest.raises(DecoderError, match=rf"process {decoder.pid}\) was lost with the fork server"):
        list(running)
    wait_until(lambda: not decoder.is_running(), "the decoder ends")
    assert len(list(iterate(data))) == 5


def test_decoders_that_never_answer_are_given_up_ended_and_replaced(load, monkeypatch):
    data = load()
    running, [decoder] = begun(data)
    decoder.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(decoders, "ANSWER_S", 0.5)
    with pytest.raises(DecoderError, match=rf"no decoder \(processes {decoder.pid}\) has answered for 0.5 s; look"):
        list(running)
    monkeypatch.undo()
    wait_until(lambda: not decoder.is_running(), "the decoder is ended")
    assert len(list(iterate(data))) == 5


def test_a_process_whose_decoder_hangs_ends_at_an_interrupt(photo_tree):
    parent = start_program("tests.unit.workloads.decoding_parent", photo_tree, 200, "hang")
    try:
        assert parent.stdout.readline() == "40\n"
        parent.send_signal(signal.SIGINT)
        family = psutil.Process(parent.pid).children(recursive=True)
        assert "KeyboardInterrupt" in parent.communicate(timeout=60)[0]
        wait_until(lambda: not any(child.is_running() for child in family), "all end with their parent")
    finally:
        end_family(parent)
        parent.stdout.close()


def test_a_batch_crosses_processes_as_one_tensor_and_comes_out_as_it_went_in():
    images = [torch.randint(0, 256, shape, dtype=torch.uint8) for shape in ((3, 4, 5), (3, 4, 5), (3, 6, 2))]
    shifts, labels = torch.randn(3, 3), torch.tensor([7, 2**40, 0])
    batch = packed(images, shifts, labels, [])
    assert sum(isinstance(part, torch.Tensor) for part in batch) == 1
    found = unpacked(batch)
    assert [tuple(run.shape) for run in found.pixels] == [(2, 3, 4, 5), (1, 3, 6, 2)]
    assert all(torch.equal(a, b) for a, b in zip([image for run in found.pixels for image in run], images, strict=True))
    assert torch.equal(found.shifts, shifts)
    assert torch.equal(found.labels, labels)


def test_too_little_shared_memory_is_told_before_decoders_start(load, monkeypatch):
    """A batch of 8 crops of 1,000 x 1,000 pixels with 3 colours is 22.9 MiB; one decoder has 3 of them at once."""
    before = decoding_processes()
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_bavail=2**14, f_frsize=2**12))  # 64 MiB
    with pytest.raises(
        DecoderError,
        match=r"need 68.7 MiB of shared memory for 3 batches of 22.9 MiB, but /dev/shm has 64.0 MiB free; .*--shm-size",
    ):
        list(iterate(load(image_size=1000)))
    assert decoding_processes() == before


def test_shared_memory_that_runs_out_later_fails_the_attempt_with_its_reason(load, monkeypatch):
    def full(tensor):
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    data = load(decoders=0)
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "get_worker_info", lambda: "a decoder")
        patched.setattr(torch.Tensor, "share_memory_", full)
        with pytest.raises(DecoderError, match=r"cannot share a batch: .*No space left on device \(28\); if /dev/shm"):
            list(iterate(data))
    assert len(list(iterate(data))) == 5


def test_the_limit_of_descriptors_is_raised_and_what_lacks_is_told(monkeypatch):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
        assert room.raise_descriptors() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(hard, 65_536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    monkeypatch.setattr(room, "raise_descriptors", lambda: 50)
    with pytest.raises(DecoderError, match=r"2 decoders need 64 file descriptors, but .* open 50; .*\(ulimit -n \d+\)"):
        room.check_descriptors(2)


def test_a_long_folder_of_temporary_files_is_not_used_for_sockets(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    config = process.current_process()._config
    usual = config.pop("tempdir", None)
    try:
        with pytest.raises(OSError, match="path too long"):
            connection.Listener(family="AF_UNIX")
        room.shorten_socket_paths()
        connection.Listener(family="AF_UNIX").close()
        assert not util.get_temp_dir().startswith(str(long))
        assert tempfile.gettempdir() == str(long)
    finally:
        config.pop("tempdir", None)
        if usual:
            config["tempdir"] = usual


@needs_two_cores
def test_decoders_work_with_few_descriptors_and_a_long_folder_and_end_when_their_parent_is_killed(photo_tree, tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    parent = start_program("tests.unit.workloads.decoding_parent", photo_tree, 200, TMPDIR=str(long))
    try:
        assert parent.stdout.readline() == "40\n"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert sum("forkserver" in " ".join(child.cmdline()) for child in family) == 3  # the server and two decoders
        parent.kill()
        parent.wait()
        wait_until(lambda: not any(child.is_running() for child in family), "all end with their parent")
    finally:
        end_family(parent)
        parent.stdout.close()

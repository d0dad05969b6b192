"""CIFAR's four forms give the same images, and what is not official is refused before it is parsed."""

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import numpy as np
import pytest
import torch
from torchvision import datasets as torchvision_datasets

from workloads.datasets import DATASETS
from workloads.datasets.cifar import Cifar10, Cifar100
from workloads.datasets.cifar_files import load_batch
from workloads.datasets.parts import every_nth, held_out

CPU = torch.device("cpu")
FORMS = ["binary packed", "binary unpacked", "python packed", "python unpacked"]


def assert_holds(data, train, test):
    for pixels, labels, part in (
        (data.train_pixels, data.train_labels, train),
        (data.test_pixels, data.test_labels, test),
    ):
        assert np.array_equal(pixels.numpy(), part[0])
        assert np.array_equal(labels.numpy(), part[1])


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_images_that_were_put_into_it(tiny_cifar, form):
    spec = tiny_cifar.spec(root=str(tiny_cifar.folders[form]))
    assert_holds(spec.load(CPU), tiny_cifar.train, tiny_cifar.test)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_absent_where_no_form_of_it_is_found(tiny_cifar10, tmp_path, form):
    assert tiny_cifar10.spec(root=str(tiny_cifar10.folders[form])).absence() is None
    absence = tiny_cifar10.spec(root=str(tmp_path / "empty")).absence()
    assert absence.startswith(f"{tmp_path}/empty holds no cifar10: looked for ")
    assert tiny_cifar10.spec(root="memory://empty").absence() is None


@pytest.mark.parametrize("form", ["binary unpacked", "python unpacked"])
def test_it_is_absent_where_unpacking_was_cut_short(tiny_cifar10, form):
    folder = tiny_cifar10.folders[form]
    lost = max(path for path in folder.rglob("*") if "test" in path.name)
    lost.unlink()
    assert tiny_cifar10.spec(root=str(folder)).absence() == f"{lost} is missing, or may not be read"


@pytest.mark.parametrize("form", FORMS)
def test_the_root_may_be_the_archive_or_the_unpacked_folder_itself(tiny_cifar10, form):
    (itself,) = tiny_cifar10.folders[form].iterdir()
    assert_holds(tiny_cifar10.spec(root=str(itself)).load(CPU), tiny_cifar10.train, tiny_cifar10.test)


@pytest.mark.parametrize("form", FORMS)
def test_the_root_may_be_any_url_that_fsspec_knows(tiny_cifar10, form):
    memory = fsspec.filesystem("memory")
    memory.put(str(tiny_cifar10.folders[form]), f"/{form}", recursive=True)
    try:
        data = tiny_cifar10.spec(root=f"memory://{form}").load(CPU)
    finally:
        memory.rm(f"/{form}", recursive=True)
    assert_holds(data, tiny_cifar10.train, tiny_cifar10.test)


def test_the_binary_version_is_preferred(tiny_cifar10):
    for form in FORMS[2:]:
        shutil.copytree(tiny_cifar10.folders[form], tiny_cifar10.folders["binary unpacked"], dirs_exist_ok=True)
    for path in tiny_cifar10.folders["binary unpacked"].glob("*py*/*"):
        path.write_bytes(b"never read")
    data = tiny_cifar10.spec(root=str(tiny_cifar10.folders["binary unpacked"])).load(CPU)
    assert_holds(data, tiny_cifar10.train, tiny_cifar10.test)


@pytest.mark.parametrize("form", FORMS)
def test_one_altered_byte_is_refused_with_the_file_and_both_digests(tiny_cifar10, form):
    path = max(tiny_cifar10.folders[form].rglob("*batch*" if "un" in form else "*.gz"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not the official file: its (MD5|SHA1) is \w+, and must be \w+") as error:
        tiny_cifar10.spec(root=str(tiny_cifar10.folders[form])).load(CPU)
    assert str(path) in str(error.value)


def test_a_truncated_archive_is_called_truncated(tiny_cifar10):
    path = tiny_cifar10.folders["binary packed"] / "cifar-10-binary.tar.gz"
    size = path.stat().st_size
    os.truncate(path, 1234)
    with pytest.raises(ValueError, match=rf"cifar-10-binary.tar.gz is truncated: 1,234 of {size:,} bytes"):
        tiny_cifar10.spec(root=str(path.parent)).load(CPU)


def test_a_missing_file_of_an_unpacked_folder_is_named(tiny_cifar10):
    path = tiny_cifar10.folders["binary unpacked"] / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_3\.bin"):
        tiny_cifar10.spec(root=str(path.parent)).load(CPU)


def test_where_nothing_is_found_it_is_said_what_was_looked_for_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        Cifar100(root=str(tmp_path)).load(CPU)
    said = str(error.value)
    for part in (str(tmp_path), "cifar-100-binary.tar.gz", "cifar-100-python", "harness data fetch cifar100"):
        assert part in said


def test_a_url_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="nosuch"):
        Cifar10(root="nosuch://bucket/cifar").load(CPU)


class Malicious:
    def __reduce__(self):
        return os.system, ("echo owned",)


def test_a_pickle_that_asks_for_anything_but_arrays_is_refused(pickled, capfd):
    with pytest.raises(ValueError, match=r"refused: the pickle asks for posix\.system"):
        load_batch(pickled({b"data": Malicious(), b"labels": [1]}))
    assert "owned" not in capfd.readouterr().out


def test_a_pickle_may_not_reach_into_numpy_either(pickled):
    with pytest.raises(ValueError, match=r"refused: the pickle asks for numpy\.load"):
        load_batch(pickled({b"data": np.load}))


def test_a_python_version_with_its_images_in_another_order_is_refused(cifar10_in_another_order):
    tiny = cifar10_in_another_order
    with pytest.raises(ValueError, match=r"holds other images than cifar-10-binary\.tar\.gz, or in another order"):
        tiny.spec(root=str(tiny.folders["python packed"])).load(CPU)


@pytest.mark.parametrize(
    ("spec", "theirs"), [(Cifar10, torchvision_datasets.CIFAR10), (Cifar100, torchvision_datasets.CIFAR100)]
)
def test_the_official_digests_of_the_python_version_are_those_of_torchvision(spec, theirs):
    version = spec.official.python
    assert (version.archive.name, version.archive.digest) == (theirs.filename, f"md5:{theirs.tgz_md5}")
    assert version.folder == theirs.base_folder
    for files, listed in ((version.train, theirs.train_list), (version.test, theirs.test_list)):
        assert [(file.name, file.digest) for file in files] == [(name, f"md5:{digest}") for name, digest in listed]


@pytest.mark.parametrize(
    ("spec", "archive", "digest"),
    [
        (Cifar10, "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
        (Cifar100, "cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
    ],
)
def test_the_official_digests_of_the_binary_version_are_those_of_the_sets_page(spec, archive, digest):
    assert (spec.official.binary.archive.name, spec.official.binary.archive.digest) == (archive, f"md5:{digest}")


def test_the_fingerprint_is_known_without_files_and_does_not_depend_on_where_they_are(tmp_path):
    specs = [Cifar10(), Cifar10(root=str(tmp_path)), Cifar10(root="s3://bucket/cifar")]
    assert len({spec.fingerprint() for spec in specs}) == 1
    assert len(specs[0].fingerprint()) == 64
    assert Cifar10().fingerprint() != Cifar100().fingerprint()


def test_where_the_files_are_is_not_part_of_what_the_data_is(tmp_path):
    assert Cifar10(root=str(tmp_path)).identity() == {"normalize": "pixel-mean", "split": "all"}


def test_a_root_without_a_leading_slash_stays_what_it_was_when_the_folder_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = Cifar10(root="somewhere")
    monkeypatch.chdir("/")
    assert spec.root == str(tmp_path / "somewhere")


def test_45000_and_5000_images_are_split_evenly_over_the_classes():
    labels = np.random.default_rng(0).permutation(np.arange(50_000) % 10)
    pixels = np.arange(50_000)
    (train, train_labels), (out, out_labels) = held_out((pixels, labels))
    assert np.bincount(train_labels).tolist() == [4500] * 10
    assert np.bincount(out_labels).tolist() == [500] * 10
    assert sorted([*train, *out]) == list(range(50_000))
    spec = DATASETS["cifar10"](split="train45k")
    assert (spec.train_images, spec.test_images) == (len(train), len(out))


def test_the_images_held_out_are_the_tenth_twentieth_and_so_on_of_each_class():
    labels = np.array([1, 0] * 10 + [0])
    assert np.flatnonzero(every_nth(labels, 10)).tolist() == [18, 19]


def test_the_split_for_choosing_leaves_the_test_images_alone(tiny_cifar10):
    root = str(tiny_cifar10.folders["binary packed"])
    data = tiny_cifar10.spec(root=root, split="train45k").load(CPU)
    pixels, labels = tiny_cifar10.train
    out = [np.flatnonzero(labels == label)[9] for label in range(10)]  # ten images of each class: one is held out
    assert np.array_equal(data.test_pixels.numpy(), pixels[sorted(out)])
    assert len(data.train_labels) == 90


@pytest.mark.parametrize("form", ["binary packed", "python unpacked"])
def test_the_root_may_be_a_web_server(tiny_cifar10, form):
    handler = partial(QuietHandler, directory=tiny_cifar10.folders[form])
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            data = tiny_cifar10.spec(root=f"http://127.0.0.1:{server.server_address[1]}").load(CPU)
        finally:
            server.shutdown()
            thread.join()
    assert_holds(data, tiny_cifar10.train, tiny_cifar10.test)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

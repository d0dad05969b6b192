"""`harness data`: its messages about files that are present, damaged or missing, and its downloads."""

import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.cli.main import main
from workloads.datasets import DATASETS
from workloads.datasets.cifar import Cifar10
from workloads.datasets.files import OfficialFile
from workloads.datasets.spec import Remote

CONTENT = bytes(range(256)) * 5000


@pytest.fixture
def harness(capsys):
    """Return a function that runs a command and returns its exit code, stdout and stderr."""

    def run(*arguments):
        code = main(arguments)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def tiny(tiny_cifar10, monkeypatch):
    monkeypatch.setitem(DATASETS, "cifar10", tiny_cifar10.spec)
    return tiny_cifar10


class Server(BaseHTTPRequestHandler):
    """A server that sends the file whole, cut short, or altered, depending on the path."""

    def do_GET(self):
        if self.path == "/gone":
            self.send_error(404, "Gone fishing")
            return
        content = {"/whole": CONTENT, "/short": CONTENT[:-7], "/altered": b"!" + CONTENT[1:]}[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.fixture
def offer(monkeypatch):
    """Return a function that makes `cifar10` a set of one file at a URL."""

    def of(url):
        file = OfficialFile(name="images.tar.gz", digest=f"md5:{hashlib.md5(CONTENT).hexdigest()}", size=len(CONTENT))
        kind = type("Offered", (Cifar10,), {"remotes": lambda _: (Remote(url, file),)})
        monkeypatch.setitem(DATASETS, "cifar10", kind)

    return of


@pytest.mark.parametrize("form", ["binary packed", "binary unpacked", "python packed", "python unpacked"])
def test_files_in_order_are_listed_with_where_they_come_from(harness, tiny, form):
    code, out, err = harness("data", "check", "cifar10", "--root", str(tiny.folders[form]))
    assert (code, err) == (0, "")
    *files, origin = out.splitlines()
    assert all(line.startswith(str(tiny.folders[form])) and line.endswith(": in order") for line in files)
    assert len(files) == (6 if "unpacked" in form else 1)
    assert origin == "from: https://www.cs.toronto.edu/~kriz/cifar.html (University of Toronto)"


def test_every_fault_is_shown_and_the_exit_code_is_1(harness, tiny):
    folder = tiny.folders["binary unpacked"] / "cifar-10-batches-bin"
    (folder / "data_batch_2.bin").unlink()
    os.truncate(folder / "data_batch_4.bin", 99)
    with (folder / "test_batch.bin").open("r+b") as file:
        file.write(b"\xff")
    code, out, _ = harness("data", "check", "cifar10", "--root", str(folder.parent))
    assert code == 1
    assert f"{folder}/data_batch_2.bin: is missing" in out
    assert f"{folder}/data_batch_4.bin: is truncated: 99 of 61,460 bytes" in out
    assert f"{folder}/test_batch.bin: is not the official file: its SHA1 is " in out
    assert out.count(": in order") == 3


def test_a_folder_without_any_of_it_is_a_fault_that_says_what_to_do(harness, tmp_path):
    code, out, _ = harness("data", "check", "cifar100", "--root", str(tmp_path))
    assert code == 1
    assert f"{tmp_path}: holds no cifar100: looked for cifar-100-binary.tar.gz, cifar-100-binary, " in out
    assert "`harness data fetch cifar100` downloads it" in out


def test_findings_as_json_name_file_and_fault(harness, tiny):
    path = tiny.folders["python packed"] / "cifar-10-python.tar.gz"
    code, out, _ = harness("data", "check", "cifar10", "--root", str(path.parent), "--json")
    assert code == 0
    found = json.loads(out)
    assert found["files"] == [{"place": str(path), "fault": None}]


def test_photographs_are_checked_against_imagenet_or_as_a_named_subset(harness, photo_tree):
    code, out, _ = harness("data", "check", "imagenet", "--root", str(photo_tree))
    assert code == 1
    assert f"{photo_tree}/val: has 20 images, and must have 50,000" in out
    assert "image-net.org" in out
    code, out, _ = harness("data", "check", "imagenet", "--root", str(photo_tree), "--subset", "photos")
    assert code == 0
    assert out.startswith(f"{photo_tree}/train: in order\n{photo_tree}/val: in order\n")


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_a_set_without_files_says_so(harness, name):
    code, out, _ = harness("data", "check", name)
    assert (code, out.splitlines()[0]) == (0, f"{name} needs no files")


def test_careless_arguments_are_refused_with_exit_code_2(harness):
    code, _, err = harness("data", "check", "cifar1")
    assert (code, "did you mean 'cifar10'?" in err) == (2, True)
    assert harness("data", "check", "digits", "--root", "x")[0] == 2
    assert harness("data", "check", "cifar10", "--subset", "x")[0] == 2
    code, _, err = harness("data", "fetch", "cifar10", "--root", "s3://bucket")
    assert (code, "give a folder of this machine" in err) == (2, True)
    code, _, err = harness("data", "fetch", "imagenet")
    assert (code, "an account is needed" in err) == (2, True)


def test_a_fetched_file_is_whole_and_readable_and_is_fetched_once(harness, server, offer, tmp_path):
    offer(f"{server}/whole")
    folder = tmp_path / "new" / "folder"
    code, out, err = harness("data", "fetch", "cifar10", "--root", str(folder))
    assert (code, out) == (0, f"{folder}/images.tar.gz\n")
    assert f"fetching {server}/whole" in err
    assert (folder / "images.tar.gz").read_bytes() == CONTENT
    assert (folder / "images.tar.gz").stat().st_mode & 0o777 == 0o644
    code, out, err = harness("data", "fetch", "cifar10", "--root", str(folder))
    assert (code, out, err) == (0, "", f"{folder}/images.tar.gz is here already\n")
    assert [path.name for path in folder.iterdir()] == ["images.tar.gz"]


def test_a_damaged_file_is_replaced(harness, server, offer, tmp_path):
    offer(f"{server}/whole")
    (tmp_path / "images.tar.gz").write_bytes(CONTENT[:100])
    assert harness("data", "fetch", "cifar10", "--root", str(tmp_path))[0] == 0
    assert (tmp_path / "images.tar.gz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("/short", 4, "broke off"),
        ("/altered", 1, "is not the official file: its MD5 is"),
        ("/gone", 4, "Gone fishing"),
    ],
)
def test_what_is_not_the_whole_official_file_is_not_kept(harness, server, offer, tmp_path, path, code, said):
    offer(server + path)
    found, out, err = harness("data", "fetch", "cifar10", "--root", str(tmp_path))
    assert (found, out) == (code, "")
    assert said in err
    assert server + path in err
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_exit_code_4(harness, offer, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as closed:
        port = closed.server_address[1]
    offer(f"http://127.0.0.1:{port}/whole")
    code, _, err = harness("data", "fetch", "cifar10", "--root", str(tmp_path))
    assert code == 4
    assert "refused" in err


def test_a_folder_that_cannot_be_written_is_exit_code_2(harness, server, offer, tmp_path):
    offer(f"{server}/whole")
    (tmp_path / "file").write_text("")
    code, _, err = harness("data", "fetch", "cifar10", "--root", str(tmp_path / "file"))
    assert (code, "cannot be written" in err) == (2, True)


def test_only_http_is_fetched(harness, offer, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CONTENT)
    offer(f"file://{secret}")
    code, _, err = harness("data", "fetch", "cifar10", "--root", str(tmp_path / "out"))
    assert (code, "is neither http nor https" in err) == (1, True)


def test_what_is_fetched_comes_from_the_sets_own_pages():
    urls = {name: [remote.url for remote in DATASETS[name]().remotes()] for name in DATASETS}
    assert urls["cifar10"] == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
    assert urls["cifar100"] == ["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"]
    assert len(urls["fashion_mnist"]) == 4
    assert urls["imagenet"] == urls["digits"] == urls["synthetic"] == []

import gzip
import hashlib
import io
import os
import subprocess
import urllib.error

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets import fashion_mnist

CONTENT = {name: name.encode() * 50 for name in fashion_mnist.SHA256}
STEPS = ["the folder", "the installed package", "apt-get download", "https://github.com/zalandoresearch",
         "https://storage.googleapis.com"]


@pytest.fixture(autouse=True)
def small_world(monkeypatch, tmp_path):
    """Small files with their checksums, no package, no apt, no network."""
    monkeypatch.setattr(fashion_mnist, "SHA256",
                        {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()})
    monkeypatch.setattr(fashion_mnist, "INSTALLED", str(tmp_path / "no-package"))
    monkeypatch.setattr(fashion_mnist.shutil, "which", lambda tool: "/usr/bin/" + tool)
    monkeypatch.setattr(fashion_mnist.subprocess, "run", _apt_that_fails)
    monkeypatch.setattr(fashion_mnist.urllib.request, "urlopen", _network_down)
    monkeypatch.setenv("SLIM_RETRIEVAL_CACHE", str(tmp_path / "root"))


def _apt_that_fails(arguments, stdout=None, **_):
    stdout.write("E: Unable to locate package\n")
    return subprocess.CompletedProcess(arguments, 100)


def _network_down(url, timeout):
    raise urllib.error.URLError("no network")


def _put(folder, compress=True, **changed):
    folder.mkdir(parents=True)
    for name, content in CONTENT.items():
        content = changed.get(name.replace("-", "_"), content)
        (folder / (name + (".gz" if compress else ""))).write_bytes(gzip.compress(content) if compress else content)
    return str(folder)


def _check(cache):
    for name, content in CONTENT.items():
        with open(os.path.join(cache, name), "rb") as stream:
            assert stream.read() == content
    with open(os.path.join(cache, "labels.txt")) as stream:
        assert stream.read().splitlines() == fashion_mnist.CLASS_NAMES


def test_there_are_ten_names_and_four_checksums():
    assert len(set(fashion_mnist.CLASS_NAMES)) == 10
    assert fashion_mnist.CLASS_NAMES[0] == "T-shirt/top"
    assert fashion_mnist.CLASS_NAMES[9] == "Ankle boot"
    assert sorted(CONTENT) == ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte",
                               "train-labels-idx1-ubyte"]
    assert all(address.startswith("https://") for address in fashion_mnist.ADDRESSES)


@pytest.mark.parametrize("compress", [True, False])
def test_a_folder_of_the_users_comes_first(tmp_path, monkeypatch, compress):
    monkeypatch.setattr(fashion_mnist, "INSTALLED", _put(tmp_path / "installed"))
    cache, origin = fashion_mnist.fetch(_put(tmp_path / "mine", compress))
    assert cache == str(tmp_path / "root" / "fashion_mnist")
    assert origin == "the folder {}".format(tmp_path / "mine")
    _check(cache)


def test_then_the_installed_package(tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "INSTALLED", _put(tmp_path / "installed"))
    cache, origin = fashion_mnist.fetch(str(tmp_path / "nothing"), str(tmp_path / "c"))
    assert origin.startswith("the installed package")
    _check(cache)


def test_then_the_package_downloaded_and_unpacked_without_root(tmp_path, monkeypatch):
    calls = []

    def run(arguments, cwd=None, stdout=None, timeout=None, **_):
        assert timeout and timeout < 600
        assert "sudo" not in arguments and "install" not in arguments
        calls.append(arguments[0])
        if arguments[0] == "apt-get":
            with open(os.path.join(cwd, "dataset-fashion-mnist_1_all.deb"), "w") as stream:
                stream.write("x")
        else:
            unpacked = os.path.join(cwd, arguments[-1]) + fashion_mnist.INSTALLED
            _put(tmp_path / "made")
            os.makedirs(os.path.dirname(unpacked))
            os.rename(str(tmp_path / "made"), unpacked)
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr(fashion_mnist.subprocess, "run", run)
    cache, origin = fashion_mnist.fetch()
    assert calls == ["apt-get", "dpkg-deb"]
    assert origin == "apt-get download dataset-fashion-mnist"
    _check(cache)


def test_then_the_addresses_one_after_the_other(monkeypatch):
    asked = []

    def urlopen(url, timeout):
        asked.append(url)
        if not url.startswith(fashion_mnist.ADDRESSES[1]):
            raise urllib.error.HTTPError(url, 404, "Not Found", {}, None)
        return io.BytesIO(gzip.compress(CONTENT[url.rsplit("/", 1)[1][:-3]]))

    monkeypatch.setattr(fashion_mnist.urllib.request, "urlopen", urlopen)
    cache, origin = fashion_mnist.fetch()
    assert origin == fashion_mnist.ADDRESSES[1]
    assert asked[0] == fashion_mnist.ADDRESSES[0] + "train-images-idx3-ubyte.gz"
    assert len(asked) == 1 + 4
    _check(cache)


def test_when_nothing_works_the_message_lists_everything_in_order(tmp_path):
    with pytest.raises(InputError) as info:
        fashion_mnist.fetch(str(tmp_path / "nothing"))
    message = str(info.value)
    places = [message.index(step) for step in STEPS]
    assert places == sorted(places)
    for reason in ["there is no folder {}".format(tmp_path / "nothing"), "no-package",
                   "apt-get ended with 100: E: Unable to locate package", "no network", "--path"]:
        assert reason in message
    assert "\n" not in message


def test_a_machine_without_apt_and_one_where_it_hangs(monkeypatch):
    def hang(arguments, timeout=None, **_):
        raise subprocess.TimeoutExpired(arguments, timeout)

    monkeypatch.setattr(fashion_mnist.subprocess, "run", hang)
    with pytest.raises(InputError, match="apt-get took longer than 180 s"):
        fashion_mnist.fetch()
    monkeypatch.setattr(fashion_mnist.shutil, "which", lambda tool: None)
    with pytest.raises(InputError, match="there is no apt-get here"):
        fashion_mnist.fetch()


def test_a_wrong_checksum_is_refused_and_not_stored(tmp_path):
    folder = _put(tmp_path / "mine", train_images_idx3_ubyte=b"forged")
    with pytest.raises(InputError) as info:
        fashion_mnist.fetch(folder)
    assert hashlib.sha256(b"forged").hexdigest() in str(info.value)
    assert fashion_mnist.SHA256["train-images-idx3-ubyte"] in str(info.value)
    assert os.listdir(str(tmp_path / "root" / "fashion_mnist")) == ["labels.txt"]


def test_a_damaged_gz_is_refused_with_its_reason(tmp_path):
    folder = _put(tmp_path / "mine")
    path = tmp_path / "mine" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="t10k-labels-idx1-ubyte: "):
        fashion_mnist.fetch(folder)


def test_the_cache_is_used_only_while_its_checksums_are_right(tmp_path):
    mine = _put(tmp_path / "mine")
    cache, _ = fashion_mnist.fetch(mine)
    assert fashion_mnist.fetch(mine)[1] == "the cache (checksums verified)"
    os.remove(os.path.join(cache, "labels.txt"))
    with open(os.path.join(cache, "t10k-images-idx3-ubyte"), "ab") as stream:
        stream.write(b"!")
    assert fashion_mnist.fetch(mine)[1].startswith("the folder")
    _check(cache)


def test_a_cache_that_cannot_be_written_is_explained(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot write to .*--cache"):
        fashion_mnist.fetch(cache=str(tmp_path / "file" / "c"))


def test_the_command_says_where_the_files_are(tmp_path, capsys):
    fashion_mnist.main(["--path", _put(tmp_path / "mine"), "--cache", str(tmp_path / "c")])
    printed = capsys.readouterr().out
    assert "from the folder {}".format(tmp_path / "mine") in printed
    assert "is in {}".format(tmp_path / "c") in printed
    with pytest.raises(SystemExit) as info:
        fashion_mnist.main(["--cache", str(tmp_path / "d")])
    assert info.value.code == 2
    last = capsys.readouterr().err.strip().split("\n")[-1]
    assert last.startswith("error: Fashion-MNIST could not be had; tried (1) the installed")


def test_the_default_cache_lies_under_home(monkeypatch):
    monkeypatch.delenv("SLIM_RETRIEVAL_CACHE")
    monkeypatch.setenv("HOME", "/somewhere")
    assert fashion_mnist.default_cache() == "/somewhere/.cache/slim_retrieval/fashion_mnist"

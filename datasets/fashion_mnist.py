"""Fetches Fashion-MNIST (70,000 clothing images, MIT licence): python -m slim_retrieval.datasets.fashion_mnist

Tried in this order: a folder that the user names, the installed Debian package, the same package downloaded without
root, public addresses by HTTPS. Whatever the way, every file is checked against the SHA-256 of its decompressed
content (the Debian package compresses anew). Read it with reader `idx`, sources `train` and `t10k`.

Source: Xiao, Rasul, Vollgraf: Fashion-MNIST (2017), https://github.com/zalandoresearch/fashion-mnist
"""
import argparse
import functools
import glob
import gzip
import hashlib
import http.client
import logging
import os
import shutil
import subprocess
import tempfile
import urllib.request
import zlib

from slim_retrieval.common.errors import InputError, command
from slim_retrieval.common.files import cache_folder, check_writable, replacing, write_text
from slim_retrieval.common.logs import start_logging

log = logging.getLogger(__name__)

CLASS_NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
PACKAGE = "dataset-fashion-mnist"
INSTALLED = "/usr/share/datasets/fashion-mnist"
# The authors' repository, and the copy that Keras downloads.
ADDRESSES = ["https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
             "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"]
SECONDS_APT, SECONDS_SILENT = 180, 30


def default_cache():
    """Return the folder used unless another is given; SLIM_RETRIEVAL_CACHE replaces ~/.cache/slim_retrieval."""
    return cache_folder("fashion_mnist")


def fetch(path=None, cache=None):
    """Put the four IDX files and labels.txt into the cache; return (the cache's folder, where they came from).

    Args:
      path: folder that may hold the files already, compressed or not; tried first.
      cache: folder to put them into; `default_cache()` unless given.

    Raises:
      InputError: no way worked; the message lists each and why.
    """
    cache = cache or default_cache()
    check_writable(cache, "give a folder with --cache or SLIM_RETRIEVAL_CACHE")
    write_text(os.path.join(cache, "labels.txt"), "\n".join(CLASS_NAMES) + "\n")
    if _is_complete(cache):
        return cache, "the cache (checksums verified)"
    tried = []
    for name, source in _sources(path):
        with tempfile.TemporaryDirectory() as temporary:
            try:
                _store(source(temporary), cache)
                return cache, name
            except _Failed as error:
                tried.append("{}: {}".format(name, error))
                log.info("Fashion-MNIST not from %s", tried[-1])
    raise InputError("Fashion-MNIST could not be had; tried {}. Put the four files somewhere and name the folder with "
                     "--path".format("; ".join("({}) {}".format(i + 1, t) for i, t in enumerate(tried))))


@command
def main(argv=None):
    """Fetch the files and say where they are."""
    parser = argparse.ArgumentParser(prog="python -m slim_retrieval.datasets.fashion_mnist",
                                     description="Fetch Fashion-MNIST and check it.")
    parser.add_argument("--path", metavar="DIR", help="folder that holds the four IDX files already (.gz or not)")
    parser.add_argument("--cache", metavar="DIR", help="where to put them (default: {})".format(default_cache()))
    arguments = parser.parse_args(argv)
    start_logging()
    folder, origin = fetch(arguments.path, arguments.cache)
    print("Fashion-MNIST from {}\nis in {}\nuse it with: --data.reader idx --data.path {} --data.train.source train "
          "--data.query.source t10k".format(origin, folder, folder))


class _Failed(Exception):
    """This way did not work; the next one is tried."""


def _sources(path):
    """Yield (name, function from a temporary folder to the folder that holds the files)."""
    if path:
        yield "the folder {}".format(path), functools.partial(_existing, os.path.expanduser(path))
    yield "the installed package {}".format(PACKAGE), functools.partial(_existing, INSTALLED)
    yield "apt-get download {}".format(PACKAGE), _apt
    for address in ADDRESSES:
        yield address, functools.partial(_download, address)


def _existing(folder, _):
    if not os.path.isdir(folder):
        raise _Failed("there is no folder {}".format(folder))
    return folder


def _apt(temporary):
    """Download and unpack the Debian package without installing it; needs no root."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise _Failed("there is no {} here".format(tool))
    # Run by root, apt would download as a user who may not write here, and warn; for others the option does nothing.
    _run(["apt-get", "-o", "APT::Sandbox::User=root", "download", PACKAGE], temporary)
    packages = glob.glob(os.path.join(temporary, "*.deb"))
    if not packages:
        raise _Failed("apt-get left no package")
    _run(["dpkg-deb", "-x", packages[0], "unpacked"], temporary)
    return _existing(os.path.join(temporary, "unpacked") + INSTALLED, temporary)


def _run(arguments, folder):
    log = os.path.join(folder, "log.txt")
    try:
        # Into a file: with a pipe, children that outlive the time limit would keep us waiting.
        with open(log, "w") as stream:
            done = subprocess.run(arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=stream,
                                  stderr=subprocess.STDOUT, timeout=SECONDS_APT, env=dict(os.environ, LC_ALL="C"))
    except subprocess.TimeoutExpired as error:
        raise _Failed("{} took longer than {} s".format(arguments[0], SECONDS_APT)) from error
    except OSError as error:
        raise _Failed("{}: {}".format(arguments[0], error.strerror)) from error
    if done.returncode:
        with open(log, errors="replace") as stream:
            lines = stream.read().strip().splitlines() or ["no output"]
        raise _Failed("{} ended with {}: {}".format(arguments[0], done.returncode, lines[-1].strip()))


def _download(address, temporary):
    for name in SHA256:
        try:
            with urllib.request.urlopen(address + name + ".gz", timeout=SECONDS_SILENT) as response, \
                    open(os.path.join(temporary, name + ".gz"), "wb") as stream:
                shutil.copyfileobj(response, stream)
        except (OSError, http.client.HTTPException) as error:
            raise _Failed("{}.gz: {}".format(name, error)) from error
    return temporary


def _is_complete(cache):
    """Return whether the cache holds the four files with the right content."""
    try:
        for name in SHA256:
            _verified(cache, name)
    except _Failed as error:
        log.info("not yet in the cache: %s", error)
        return False
    return True


def _store(folder, cache):
    """Copy the four files into the cache, decompressed, each after its checksum was found right."""
    for name in SHA256:
        content = _verified(folder, name)
        with replacing(os.path.join(cache, name)) as temporary, open(temporary, "wb") as stream:
            stream.write(content)


def _verified(folder, name):
    content = _content(folder, name)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise _Failed("{} has SHA-256 {}, not {}".format(os.path.join(folder, name), found, SHA256[name]))
    return content


def _content(folder, name):
    """Return a file's bytes, decompressed."""
    path = os.path.join(folder, name)
    try:
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                return stream.read()
        with gzip.open(path + ".gz") as stream:
            return stream.read()
    except FileNotFoundError as error:
        raise _Failed("there is no {0} or {0}.gz in {1}".format(name, folder)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise _Failed("{}: {}".format(path, error)) from error


if __name__ == "__main__":
    main()

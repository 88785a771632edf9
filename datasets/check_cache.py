"""What is known of images from an earlier run of `prepare`, so that a second run, or one after Ctrl-C, is quick.

    checked.npz      keys uint64 [n, 2] (of path, box, rotation, size of the file and time of its last change), and the
                     arrays of `Checked`; images that could not be read are looked at again
"""
import hashlib
import os

import numpy as np

from slim_retrieval.common.files import replacing
from slim_retrieval.datasets.checks import image_keys, nothing_known


class CheckCache:
    """The file of what is known of a table's images."""

    def __init__(self, path, table):
        """Name the file and the images; files that change later are looked at again the next time."""
        self._path, self._count = path, len(table)
        self._keys = np.array([_key(*one) for one in zip(table.paths, image_keys(table))], np.uint64).reshape(-1, 2)

    def load(self):
        """Return a `Checked` of the table's images, filled in as far as the file knows them."""
        known = nothing_known(self._count)
        if not os.path.exists(self._path):
            return known
        try:
            with np.load(self._path) as stored:
                arrays = {name: stored[name] for name in ("keys", "sizes", "pixels", "thumbs")}
        except Exception:  # a damaged cache is no loss
            return known
        places = {key.tobytes(): place for place, key in enumerate(arrays["keys"])}
        for row, key in enumerate(self._keys):
            place = places.get(key.tobytes())
            if place is not None:
                for name in ("sizes", "pixels", "thumbs"):
                    getattr(known, name)[row] = arrays[name][place]
        return known

    def save(self, known):
        """Write what is known of the images that could be read, complete or not at all."""
        done = known.sizes[:, 0] > 0
        with replacing(self._path) as temporary:
            np.savez(temporary, keys=self._keys[done], sizes=known.sizes[done], pixels=known.pixels[done],
                     thumbs=known.thumbs[done])


def _key(path, text):
    try:
        state = os.stat(path)
        text += "\0{}\0{}".format(state.st_size, state.st_mtime_ns)
    except OSError:
        text += "\0missing"
    return np.frombuffer(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:16], np.uint64)

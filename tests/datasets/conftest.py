import os
import zlib

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photos(tmp_path):
    """Return a function that writes small photos, each its own picture, below tmp_path; it gives the folder."""
    def write(*names, size=(12, 10), folder=""):
        root = os.path.join(str(tmp_path), folder)
        for name in names:
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            random = np.random.RandomState(zlib.crc32(name.encode("utf-8", "surrogateescape")))
            cells = random.randint(0, 256, (4, 4, 3)).astype(np.uint8)
            Image.fromarray(cells).resize(size, Image.NEAREST).save(path)
        return root
    return write


@pytest.fixture
def text(tmp_path):
    """Return a function that writes a text file below tmp_path; it gives the path."""
    def write(name, content, encoding="utf-8"):
        path = os.path.join(str(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(content.encode(encoding))
        return path
    return write

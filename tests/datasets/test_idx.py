import gzip
import struct

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.idx import read_idx

PIXELS = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4) * 10
DATA = PIXELS.tobytes()


def _images(magic=2051, count=3, height=2, width=4, data=DATA):
    return struct.pack(">IIII", magic, count, height, width) + data


def _labels(magic=2049, count=3, data=b"\x02\x00\x01"):
    return struct.pack(">II", magic, count) + data


def _write(tmp_path, images, labels, compress=False):
    for name, content in [("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", labels)]:
        if compress:
            (tmp_path / (name + ".gz")).write_bytes(gzip.compress(content))
        else:
            (tmp_path / name).write_bytes(content)
    return str(tmp_path / "t10k")


@pytest.mark.parametrize("compress", [False, True])
def test_pixels_labels_and_paths(tmp_path, compress):
    table = read_idx(_write(tmp_path, _images(), _labels(), compress))
    assert table.paths == ["t10k/000000", "t10k/000001", "t10k/000002"]
    assert table.columns == {"label": ["2", "0", "1"]}
    assert table.load(1).dtype == np.uint8
    for channel in range(3):
        assert (table.load(1)[:, :, channel] == PIXELS[1]).all()


def test_labels_txt_gives_the_names(tmp_path):
    prefix = _write(tmp_path, _images(), _labels())
    (tmp_path / "labels.txt").write_text("shirt\nshoe\nbag\n")
    assert read_idx(prefix).columns["label"] == ["bag", "shirt", "shoe"]
    (tmp_path / "labels.txt").write_text("shirt\nshoe\n")
    with pytest.raises(InputError, match="names 2 classes but .* has label 2"):
        read_idx(prefix)


@pytest.mark.parametrize("images, labels, message", [
    (_images(magic=2049), _labels(), "magic number is 2049, not 2051"),
    (_images(), _labels(magic=7), "magic number is 7, not 2049"),
    (_images(count=4), _labels(), r"is truncated: 24 bytes of data for shape \(4, 2, 4\), which needs 32"),
    (_images(data=DATA + b"?"), _labels(), "is too long: 25 bytes .* needs 24"),
    (_images()[:9], _labels(), "is truncated: 9 bytes, the header alone has 16"),
    (b"", _labels(), "is truncated: 0 bytes"),
    (_images(), _labels(count=2, data=b"\x00\x01"), "has 3 images but .* has 2 labels"),
])
def test_damaged_files_are_refused_with_both_values(tmp_path, images, labels, message):
    with pytest.raises(InputError, match=message):
        read_idx(_write(tmp_path, images, labels))


def test_missing_files_and_a_damaged_gz(tmp_path):
    prefix = _write(tmp_path, _images(), _labels(), compress=True)
    with pytest.raises(InputError, match="no file .*train-images-idx3-ubyte or .*gz"):
        read_idx(str(tmp_path / "train"))
    whole = (tmp_path / "t10k-images-idx3-ubyte.gz").read_bytes()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(whole[:-12])
    with pytest.raises(InputError, match="cannot be decompressed"):
        read_idx(prefix)

import os
import pickle

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.cifar import read_cifar
from slim_retrieval.datasets.layouts import read_layout

NAMES = ["airplane", "automobile", "bird"]


def pixels(count, seed):
    return np.random.RandomState(seed).randint(0, 256, (count, 3072)).astype(np.uint8)


def dump(folder, name, value, protocol=2):
    os.makedirs(str(folder), exist_ok=True)
    with open(str(folder / name), "wb") as stream:
        pickle.dump(value, stream, protocol)


def write_10(folder, form):
    """Two training batches of three images, a test batch of two; labels 0, 1, 2, ..."""
    parts = {"data_batch_1": (pixels(3, 1), [0, 1, 2]), "data_batch_2": (pixels(3, 2), [2, 1, 0]),
             "test_batch": (pixels(2, 3), [1, 0])}
    os.makedirs(str(folder), exist_ok=True)
    for name, (data, labels) in parts.items():
        if form == "pickle":
            dump(folder, name, {"data": data, "labels": labels, "batch_label": name, "filenames": ["x"] * len(data)})
        else:
            rows = [bytes(bytearray([label])) + row.tobytes() for label, row in zip(labels, data)]
            (folder / (name + ".bin")).write_bytes(b"".join(rows))
    if form == "pickle":
        dump(folder, "batches.meta", {"label_names": NAMES, "num_vis": 3072})
    else:
        (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")


@pytest.mark.parametrize("form", ["pickle", "binary"])
def test_cifar_10(tmp_path, form):
    write_10(tmp_path, form)
    train, test = read_cifar(str(tmp_path / "train")), read_cifar(str(tmp_path / "test"))
    assert train.columns == {"label": ["airplane", "automobile", "bird", "bird", "automobile", "airplane"]}
    assert train.paths[3] == "train/000003" and test.columns["label"] == ["automobile", "airplane"]
    data = pixels(3, 2)[0]  # the fourth image: red, green and blue planes, row by row
    image = train.load(3)
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    for y, x, channel in [(0, 0, 0), (0, 31, 1), (17, 5, 2), (31, 31, 2)]:
        assert image[y, x, channel] == data[1024 * channel + 32 * y + x]


@pytest.mark.parametrize("form", ["pickle", "binary"])
def test_cifar_100(tmp_path, form):
    fine, coarse = ["apple", "bear"], ["fruit", "carnivores"]
    for split, seed in [("train", 1), ("test", 2)]:
        data = pixels(2, seed)
        if form == "pickle":
            dump(tmp_path, split, {"data": data, "fine_labels": [1, 0], "coarse_labels": [1, 0]})
        else:
            rows = [bytes(bytearray([c, f])) + row.tobytes() for c, f, row in zip([1, 0], [1, 0], data)]
            (tmp_path / (split + ".bin")).write_bytes(b"".join(rows))
    if form == "pickle":
        dump(tmp_path, "meta", {"fine_label_names": fine, "coarse_label_names": coarse})
    else:
        (tmp_path / "fine_label_names.txt").write_text("\n".join(fine) + "\n")
        (tmp_path / "coarse_label_names.txt").write_text("\n".join(coarse) + "\n")
    table = read_cifar(str(tmp_path / "test"))
    assert table.columns == {"label": ["bear", "apple"], "superclass": ["carnivores", "fruit"]}
    assert table.load(0)[0, 1, 0] == pixels(2, 2)[0][1]


def test_the_layout_leaves_the_images_where_they_are(tmp_path):
    write_10(tmp_path / "cifar-10-batches-py", "pickle")
    name, found = read_layout(str(tmp_path), seed=0)
    assert (name, found.reader) == ("cifar", "cifar")
    assert found.sources["query"] == ("cifar-10-batches-py/test", [0.0, 0.1])
    assert len(found.splits["train"]) + len(found.splits["validation"]) == 6


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match="no CIFAR files of the train images"):
        read_cifar(str(tmp_path / "train"))
    with pytest.raises(InputError, match="the source of reader cifar is train or test"):
        read_cifar(str(tmp_path / "valid"))
    dump(tmp_path, "test_batch", {"data": pixels(2, 0), "labels": [0]})
    with pytest.raises(InputError, match="test_batch is not of CIFAR's form"):
        read_cifar(str(tmp_path / "test"))
    dump(tmp_path, "test_batch", {"data": pixels(2, 0), "labels": [0, 7]})
    dump(tmp_path, "batches.meta", {"label_names": NAMES})
    with pytest.raises(InputError, match="label 7 but only 3 names"):
        read_cifar(str(tmp_path / "test"))
    (tmp_path / "test_batch.bin").write_bytes(b"x" * 3074)
    with pytest.raises(InputError, match="test_batch.bin has 3,074 bytes, which are no records of 3,073"):
        read_cifar(str(tmp_path / "test"))


def test_a_batch_that_would_run_code_is_refused(tmp_path):
    (tmp_path / "test_batch").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match="asks for os.system, and only plain data"):
        read_cifar(str(tmp_path / "test"))

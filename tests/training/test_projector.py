"""The projector's files: as TensorBoard itself reads them, where it is installed, and what is in the sprite."""
import numpy as np
import pytest
from PIL import Image

from slim_retrieval.datasets.table import ImageTable, UnreadableImage
from slim_retrieval.training import projector


def read(i):
    if i == 3:
        raise UnreadableImage("3.png", "broken")
    return np.full((20, 10, 3), 10 * i, np.uint8)


TABLE = ImageTable(["{}.png".format(i) for i in range(6)], {"label": ["a\tb", "", "c", "c", "d", "d"]}, read)
FEATURES = np.random.RandomState(0).randn(5, 3).astype(np.float32)
ROWS = np.array([0, 1, 2, 3, 5])


def test_points_labels_and_pictures_are_in_one_order(tmp_path):
    projector.write(str(tmp_path), TABLE, ROWS, "label", FEATURES)
    points = np.loadtxt(str(tmp_path / "projector" / "embedding.tsv"), delimiter="\t")
    np.testing.assert_allclose(points, FEATURES, rtol=1e-4)
    assert (tmp_path / "projector" / "metadata.tsv").read_text().split("\n") == [
        "label\tpath", "a b\t0.png", "-\t1.png", "c\t2.png", "c\t3.png", "d\t5.png", ""]
    sprite = np.asarray(Image.open(str(tmp_path / "projector" / "sprite.png")))
    assert sprite.shape == (3 * 48, 3 * 48, 3)
    assert sprite[::48, ::48, 0].tolist() == [[0, 10, 20], [255, 50, 255], [255, 255, 255]]  # 3 cannot be read


def test_pictures_are_read_again_only_when_the_images_change(tmp_path):
    projector.write(str(tmp_path), TABLE, ROWS, "label", FEATURES)
    sprite = tmp_path / "projector" / "sprite.png"
    sprite.write_bytes(b"as it was")
    projector.write(str(tmp_path), TABLE, ROWS, "label", FEATURES + 1)
    assert sprite.read_bytes() == b"as it was"
    assert (tmp_path / "projector" / "embedding.tsv").read_text().startswith("{:.5g}\t".format(FEATURES[0, 0] + 1))
    projector.write(str(tmp_path), TABLE, ROWS[:4], "label", FEATURES[:4])
    assert sprite.read_bytes() != b"as it was"


def test_very_many_points_are_thinned_evenly(tmp_path, monkeypatch):
    monkeypatch.setattr(projector, "MOST_NUMBERS", 9)
    projector.write(str(tmp_path), TABLE, ROWS, "label", FEATURES)
    assert (tmp_path / "projector" / "metadata.tsv").read_text().split() == [
        "label", "path", "a", "b", "0.png", "c", "2.png", "d", "5.png"]


def test_tensorboards_own_plugin_reads_them(tmp_path):
    plugin = pytest.importorskip("tensorboard.plugins.projector.projector_plugin")
    config_type = pytest.importorskip("tensorboard.plugins.projector.projector_config_pb2").ProjectorConfig
    from google.protobuf import text_format
    projector.write(str(tmp_path), TABLE, ROWS, "label", FEATURES)
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), config_type())
    (embedding,) = config.embeddings
    points = plugin._read_tensor_tsv_file(str(tmp_path / embedding.tensor_path))
    np.testing.assert_allclose(points, FEATURES, rtol=1e-4)
    assert list(embedding.sprite.single_image_dim) == [48, 48]
    assert (tmp_path / embedding.metadata_path).exists() and (tmp_path / embedding.sprite.image_path).exists()

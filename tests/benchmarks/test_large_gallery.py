import csv_rows
import galleries
import gallery_generator
import large_gallery
import numpy as np


def test_classes_are_nearer_than_others_and_a_seed_repeats_them(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery_generator, "BLOCK", 300)
    labels = gallery_generator.write(str(tmp_path / "a.npy"), 1000, 48, seed=1)
    rows = np.load(str(tmp_path / "a.npy"))
    assert rows.shape == (1000, 48) and rows.dtype == np.float32 and np.bincount(labels).max() <= 1000
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    similarities, same = rows @ rows.T, labels[:, None] == labels
    assert similarities[same].mean() > similarities[~same].mean() + 0.2
    gallery_generator.write(str(tmp_path / "b.npy"), 1000, 48, seed=1)
    np.testing.assert_array_equal(np.load(str(tmp_path / "b.npy")), rows)
    np.testing.assert_array_equal(np.load(str(tmp_path / "b-labels.npy")), labels)


def test_measured_rows_are_kept_and_not_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(galleries, "QUERIES", 40)
    arguments = ["--folder", str(tmp_path / "f"), "--sizes", "300", "--dimensions", "16", "--output",
                 str(tmp_path / "o.csv"), "--methods"]
    large_gallery.main(arguments + ["none"])
    before = csv_rows.read(str(tmp_path / "o.csv"))
    large_gallery.main(arguments + ["none", "alpha_qe"])
    rows = csv_rows.read(str(tmp_path / "o.csv"))
    assert rows[0] == before[0] and [row["method"] for row in rows] == ["none", "alpha_qe"]
    assert all(0 < float(row["mAP"]) <= 1 and float(row["peak_mb"]) > 10 for row in rows)

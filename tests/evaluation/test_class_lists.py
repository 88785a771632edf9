"""The benchmarks' own lists, in miniature."""
import numpy as np
import pytest
import scipy.io

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import protocols


def test_cub200(tmp_path):
    (tmp_path / "images.txt").write_text("1 100.Pelican/a.jpg\n2 101.Crow/b.jpg\n3 200.Wren/c.jpg\n4 101.Crow/d.jpg\n")
    (tmp_path / "image_class_labels.txt").write_text("1 100\n2 101\n3 200\n4 101\n")
    for path in (tmp_path, tmp_path / "images.txt"):
        truth = protocols.read("cub200", str(path))
        assert truth.gallery.paths == ["101.Crow/b.jpg", "200.Wren/c.jpg", "101.Crow/d.jpg"]
        assert truth.relevance.num_positives.tolist() == [1, 0, 1]  # itself is junk


def test_cars196(tmp_path):
    kind = [("relative_im_path", object), ("bbox_x1", object), ("class", object), ("test", object)]
    rows = np.array([("car_ims/1.jpg", 3, 98, 0), ("car_ims/2.jpg", 3, 99, 1), ("car_ims/3.jpg", 3, 99, 0)], dtype=kind)
    scipy.io.savemat(str(tmp_path / "cars_annos.mat"), {"annotations": rows})
    truth = protocols.read("cars196", str(tmp_path))
    assert truth.query.paths == truth.gallery.paths == ["car_ims/2.jpg", "car_ims/3.jpg"]
    assert truth.query.labels == ["99", "99"] and truth.relevance.num_positives.tolist() == [1, 1]


def test_sop(tmp_path):
    (tmp_path / "Ebay_test.txt").write_text("image_id class_id super_class_id path\n59552 11319 1 bicycle_final/a.JPG\n"
                                            "59553 11319 1 bicycle_final/b.JPG\n59554 11320 1 bicycle_final/c.JPG\n")
    truth = protocols.read("sop", str(tmp_path))
    assert truth.query.labels == ["11319", "11319", "11320"] and truth.relevance.num_positives.tolist() == [1, 1, 0]
    assert truth.metrics[:4] == ("recall@1", "recall@10", "recall@100", "recall@1000")


def test_inshop(tmp_path):
    (tmp_path / "list_eval_partition.txt").write_text(
        "4\nimage_name item_id evaluation_status\nimg/W/a.jpg  id_01  train\nimg/W/b.jpg  id_02  query\n"
        "img/W/c.jpg  id_02  gallery\nimg/W/d.jpg  id_03  gallery\n")
    truth = protocols.read("inshop", str(tmp_path))
    assert truth.query.paths == ["img/W/b.jpg"] and truth.gallery.paths == ["img/W/c.jpg", "img/W/d.jpg"]
    assert truth.relevance.num_positives.tolist() == [1]


def test_any_labelled_list_does_too(tmp_path):
    (tmp_path / "gt.csv").write_text("path,label\na,1\nb,1\n")
    assert protocols.read("sop", str(tmp_path / "gt.csv")).relevance.num_positives.tolist() == [1, 1]


@pytest.mark.parametrize("name, file, text", [
    ("sop", "Ebay_test.txt", "image_id class_id super_class_id path\n1 2 x.jpg\n"),
    ("sop", "Ebay_test.txt", "image_id class_id super_class_id path\n"),
    ("inshop", "list_eval_partition.txt", "1\nimage_name item_id evaluation_status\na.jpg id_1 train\n"),
    ("cub200", "images.txt", "1 a.jpg\n"),
    ("cars196", "cars_annos.mat", "no matrix"),
])
def test_lists_that_are_laid_out_otherwise(tmp_path, name, file, text):
    (tmp_path / file).write_text(text)
    (tmp_path / "image_class_labels.txt").write_text("2 101\n")
    with pytest.raises(InputError, match="{} is not laid out as the {} of {}".format(file, file, name)):
        protocols.read(name, str(tmp_path))


def test_files_that_are_missing_or_empty(tmp_path):
    (tmp_path / "images.txt").write_text("1 a.jpg\n")
    with pytest.raises(InputError, match="no .*image_class_labels.txt; it must lie beside images.txt"):
        protocols.read("cub200", str(tmp_path))
    (tmp_path / "Ebay_test.txt").write_text("")
    with pytest.raises(InputError, match="Ebay_test.txt is empty"):
        protocols.read("sop", str(tmp_path))

"""From a configuration to the loader of a training set's batches."""
import numpy as np
import pytest

from slim_retrieval.common import config
from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.table import ImageTable
from slim_retrieval.datasets.training_set import pipeline_options, training_loader

COLOUR = ["red", "", "blue", "red", "", "blue"]
ITEM = ["a", "a", "b", "b", "c", "c"]


def table():
    return ImageTable(list("012345"), {"colour": COLOUR, "item": ITEM, "shop": ["x", "x", "x", "x", "y", "y"]},
                      lambda i: np.full((4, 4, 3), i, np.uint8))


def options(**changes):
    found = config.to_plain(config.resolve(None, dict({
        "model.image_size": "4", "training.classes_per_batch": "2", "training.images_per_class": "2"}, **changes)))
    found["losses"] = [{"label": "colour"}, {"label": "item"}]
    return found


def test_images_without_the_first_label_are_there_for_the_other_losses():
    loader, classes = training_loader(table(), ["colour", "item"], options(**{"training.unlabelled_per_batch": "2"}))
    assert classes == {"colour": ["blue", "red"], "item": ["a", "b", "c"]}
    for step in range(5):
        images, labels = loader.load(step)
        rows = images[:, 0, 0, 0]
        assert sorted(rows) == [0, 1, 2, 3, 4, 5]
        assert labels["colour"].tolist() == [["blue", "red"].index(COLOUR[row]) if COLOUR[row] else -1 for row in rows]
        assert labels["item"].tolist() == ["abc".index(ITEM[row]) for row in rows]
    loader, _ = training_loader(table(), ["colour", "item"], options())
    assert {int(row) for step in range(5) for row in loader.load(step)[0][:, 0, 0, 0]} == {0, 2, 3, 5}


def test_where_the_categories_come_from():
    chosen = options(**{"training.sampler": "pk_category"})
    chosen["losses"] = [{"label": "item"}]
    with pytest.raises(InputError, match="which column holds the categories"):
        training_loader(table(), ["item"], chosen)
    for where in (chosen["losses"][0], chosen["training"]):
        chosen["losses"][0]["category"], chosen["training"]["category"] = "", ""
        where["category"] = "shop"
        loader, _ = training_loader(table(), ["item"], chosen)
        whole = [set(loader.load(step)[1]["item"]) for step in range(8)]
        assert whole.count({0, 1}) >= 4  # shop x has these two; shop y is filled up from it
    chosen["training"]["category"] = "shelf"
    with pytest.raises(InputError, match="no label column 'shelf'"):
        training_loader(table(), ["item"], chosen)


def test_options_reach_the_loader_and_the_pipeline():
    chosen = options(**{"data.augmentation.crop_area": "[0.2, 0.5]", "data.augmentation.hue": "0.1", "run.seed": "7"})
    loader, _ = training_loader(table(), ["item"], chosen)
    boxes = loader._boxes(3, 50)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert areas.min() >= 0.2 and areas.max() <= 0.5
    found = pipeline_options(chosen)
    assert found["seed"] == 7 and found["augmentation"]["hue"] == 0.1 and found["crop_padding"] == 0

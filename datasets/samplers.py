"""The samplers by name, and the one that a configuration asks for."""
import logging

import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.datasets.sampler import PKSampler
from slim_retrieval.datasets.sampler_balanced import BalancedSampler, UniformSampler
from slim_retrieval.datasets.sampler_category import CategoryPKSampler
from slim_retrieval.datasets.sampler_hard import HardSampler
from slim_retrieval.datasets.sampler_pairs import PairSampler
from slim_retrieval.datasets.sampler_unlabelled import WithUnlabelled

log = logging.getLogger(__name__)


def _pk(labels, training, seed, categories):
    return PKSampler(labels, training["classes_per_batch"], training["images_per_class"], seed)


def _pk_category(labels, training, seed, categories):
    if categories is None:
        raise InputError("sampler pk_category: which column holds the categories? give training.category, or the first "
                         "loss's category")
    return CategoryPKSampler(labels, categories, training["classes_per_batch"], training["images_per_class"], seed,
                             training["categories_per_batch"])


def _pairs(labels, training, seed, categories):
    return PairSampler(labels, _labelled_size(training), training["negative_share"], seed)


def _balanced(labels, training, seed, categories):
    return BalancedSampler(labels, _labelled_size(training), seed)


def _uniform(labels, training, seed, categories):
    return UniformSampler(labels, _labelled_size(training), seed)


def _hard(labels, training, seed, categories):
    return HardSampler(labels, training["classes_per_batch"], training["images_per_class"],
                       training["mining"]["negatives"], seed, categories)


SAMPLERS = {"pk": _pk, "pk_category": _pk_category, "pairs": _pairs, "balanced": _balanced, "uniform": _uniform,
            "hard": _hard}
WHOLE_CLASSES = ("pk", "pk_category", "hard")


def build_sampler(labels, training, seed, categories=None):
    """Return the sampler that `training.sampler` names.

    A sampler has `batch(step)`, int32 rows, a pure function of (seed, step) (and, of `hard`, of what was mined), and
    `class_rows(row)`, the rows that may stand in for one that cannot be read.

    Args:
      labels: int [n], ids of the first loss's label column; below 0: none.
      training: dict of TrainingConfig.
      categories: int [n], ids of the category column, or None.

    Raises:
      InputError: unknown name, a batch size that does not fit, or the sampler's own.
    """
    make = lookup(SAMPLERS, training["sampler"], "training.sampler")
    batch_size(training)
    missing, wanted = int(np.sum(np.asarray(labels) < 0)), training["unlabelled_per_batch"]
    if training["sampler"] == "uniform" and wanted:
        raise InputError("training.unlabelled_per_batch is {}, but sampler uniform draws from all images, labelled or "
                         "not; set it to 0".format(wanted))
    sampler = make(labels, training, seed, categories)
    if missing and not wanted and training["sampler"] != "uniform":
        log.warning("%d of %d images have no label in the first loss's column: they are in no batch; "
                    "training.unlabelled_per_batch adds them for the other losses", missing, len(labels))
    return WithUnlabelled(sampler, wanted, group_size(training), seed) if wanted else sampler


def batch_size(training):
    """Return the number of images in a batch, over all towers.

    Raises:
      InputError: training.batch_size is not what the sampler makes.
    """
    lookup(SAMPLERS, training["sampler"], "training.sampler")
    product = training["classes_per_batch"] * training["images_per_class"]
    if training["sampler"] in WHOLE_CLASSES and training["batch_size"] not in (0, product):
        raise InputError("training.batch_size is {} but sampler {} makes batches of {} classes x {} images = {}; "
                         "change these, or leave batch_size at 0".format(
                             training["batch_size"], training["sampler"], training["classes_per_batch"],
                             training["images_per_class"], product))
    return _labelled_size(training) + training["unlabelled_per_batch"]


def images_per_step(training):
    """Return the images that one step's gradient is the mean of: the global batch."""
    return batch_size(training) * training["accumulate"]


def group_size(training):
    """Return how many images of a batch belong together: those of a class, an anchor's class and its hard ones, a pair.
    """
    if training["sampler"] in WHOLE_CLASSES:
        hard = training["mining"]["negatives"] if training["sampler"] == "hard" else 0
        return training["images_per_class"] * (1 + hard)
    return 2 if training["sampler"] == "pairs" else 1


def _labelled_size(training):
    return training["batch_size"] or training["classes_per_batch"] * training["images_per_class"]

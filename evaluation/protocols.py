"""Protocols by name. `PROTOCOLS` says for each how --ground_truth is read and, where a rule suffices, what it is.

A protocol with a rule needs only the images' names and labels, so a run's own index will do; the others need the
benchmark's ground truth. docs/evaluation.md describes each.
"""
from typing import Callable, NamedTuple, Optional

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.evaluation import (
    class_lists,
    consumer_to_shop,
    ilias,
    landmarks,
    numbered,
    oxford,
    qrels,
    revisited,
    same_camera,
    tables,
)
from slim_retrieval.evaluation.ground_truth import SHOWN, Index, classes


class Protocol(NamedTuple):
    """How a benchmark is evaluated.

    Attributes:
      read: function (path) -> `GroundTruth`.
      rule: function (query, gallery: tables.Table) -> `GroundTruth`; None where lists say what is right.
    """
    read: Callable
    rule: Optional[Callable] = None


def read(name, path):
    """Return the `GroundTruth` at `path` under a protocol named in `PROTOCOLS`.

    Raises:
      InputError: unknown protocol, or files that are missing or malformed; the message is one line.
    """
    return lookup(PROTOCOLS, name, "protocol").read(path)._replace(protocol=name)


def of_tables(name, query, gallery):
    """Return the `GroundTruth` of two tables of images (tables.Table) under a protocol that has a rule.

    Raises:
      InputError: unknown protocol, one without a rule, or tables without what it needs.
    """
    rule = lookup(PROTOCOLS, name, "protocol").rule
    if rule is None:
        raise InputError("protocol {} needs the benchmark's ground truth; give it with --ground_truth (or "
                         "evaluation.ground_truth)".format(name))
    return rule(query, gallery)._replace(protocol=name)


def same_label(metrics=SHOWN):
    """Return the rule "same label" of two tables with the columns path and label, reported by `metrics`."""
    def rule(query, gallery):
        indexes = [Index(table.column("path"), table.column("label")) for table in (query, gallery)]
        return classes(*indexes)._replace(metrics=metrics)
    return rule


def _ruled(rule, read_pair=tables.read_pair):
    return Protocol(lambda path: rule(*read_pair(path)), rule)


def _class_list(name):
    return _ruled(same_label(class_lists.METRICS[name]), lambda path: class_lists.read_pair(name, path))


def _cameras(name):
    return _ruled(same_camera.same_camera, lambda path: tables.read_pair(path, same_camera.FOLDERS[name]))


PROTOCOLS = {
    "classes": _ruled(same_label()),
    "oxford5k": Protocol(oxford.read_oxford),
    "paris6k": Protocol(oxford.read_paris),
    "roxford5k": Protocol(revisited.read_roxford),
    "rparis6k": Protocol(revisited.read_rparis),
    "holidays": _ruled(numbered.holidays),
    "ukbench": _ruled(numbered.ukbench),
    "market1501": _cameras("market1501"),
    "veri": _cameras("veri"),
    "cub200": _class_list("cub200"),
    "cars196": _class_list("cars196"),
    "sop": _class_list("sop"),
    "inshop": _class_list("inshop"),
    "deepfashion2": _ruled(consumer_to_shop.consumer_to_shop),
    "landmarks_v2": Protocol(landmarks.read_retrieval),
    "ilias": Protocol(ilias.read_image_queries),
    "ilias_text": Protocol(ilias.read_text_queries),
    "qrels": Protocol(qrels.read_qrels),
}
# The rule of classes under the names that people look for.
PROTOCOLS.update(dict.fromkeys(["mnist", "fashion_mnist", "cifar10", "cifar100", "omniglot"], PROTOCOLS["classes"]))

"""Losses by name: check a list of loss specs, and sum them into the one scalar that is trained."""
import inspect
import math
import re

from slim_retrieval.common.errors import InputError, lookup, nearest
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import (
    contrastive,
    distances,
    softmax,
    triplet_batch_all,
    triplet_batch_hard,
    triplet_semi_hard,
)

# name -> (function, what its first argument is: "embedding" or "logits")
LOSSES = {
    "softmax": (softmax.softmax, "logits"),
    "contrastive": (contrastive.contrastive, "embedding"),
    "triplet_batch_all": (triplet_batch_all.triplet_batch_all, "embedding"),
    "triplet_batch_hard": (triplet_batch_hard.triplet_batch_hard, "embedding"),
    "triplet_semi_hard": (triplet_semi_hard.triplet_semi_hard, "embedding"),
}

# What an option may be, beyond the type of its default.
RANGES = {"margin": (0.0, math.inf), "label_smoothing": (0.0, 1.0)}
CHOICES = {"distance": distances.DISTANCES}


def total_loss(specs, embedding, logits, labels):
    """Return the weighted sum of the losses, and scalars to watch.

    Args:
      specs: list of plain dicts {"name", "weight", "label", "options"} (schema's LossConfig); all but the name may be
        left out, as in a config.
      embedding: float32 [B, d], rows L2-normalised.
      logits: {label column: float32 [B, C]} of the columns of `needs_logits(specs)`.
      labels: {label column: int32 [B]} of the columns of `label_columns(specs)`.
    Returns:
      (scalar, {"loss/total": the weighted sum, "loss/<key>": each loss without its weight, "<key>/<scalar>": what that
      loss offers to watch}). The key is the loss's name, followed by its label column if the name occurs twice.
    Raises:
      InputError: as `check_specs`, or a column without labels or logits.
    """
    check_specs(specs)
    terms, watched = [], {}
    for key, spec in zip(_keys(specs), specs):
        function, consumes = LOSSES[spec["name"]]
        column = _label(spec)
        target = lookup(labels, column, "label column")
        given = lookup(logits, column, "logits for label column") if consumes == "logits" else embedding
        with tf.name_scope(key):
            value, scalars = function(given, target, **_options(spec))
            terms.append(float(spec.get("weight", 1.0)) * value)
        watched["loss/" + key] = value
        watched.update({"{}/{}".format(key, name): scalar for name, scalar in scalars.items()})
    total = tf.add_n(terms)
    watched["loss/total"] = total
    return total, watched


def check_specs(specs):
    """Check names, options, labels and weights of a list of losses, without building any graph.

    Raises:
      InputError: an unknown loss or option, or a value of the wrong type or out of range.
    """
    if not specs:
        raise InputError("no loss is given; list at least one, such as losses: [{name: softmax}]")
    for i, spec in enumerate(specs):
        where = "losses.{}".format(i)
        if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
            raise InputError("{}: expected a loss such as {{name: softmax}}, got {!r}".format(where, spec))
        function, _ = lookup(LOSSES, spec["name"], "loss")
        if not isinstance(_label(spec), str) or not _label(spec):
            raise InputError("{}.label: expected the name of a label column, got {!r}".format(where, _label(spec)))
        weight = spec.get("weight", 1.0)
        if not _is_number(weight) or weight < 0:
            raise InputError("{}.weight: expected a finite number of at least 0, got {!r}".format(where, weight))
        _check_options("{}.options".format(where), spec["name"], function, _options(spec))


def label_columns(specs):
    """Return the label columns that the losses use, each once, in order."""
    return list(dict.fromkeys(_label(spec) for spec in specs))


def needs_logits(specs):
    """Return the label columns that need a logits head, each once, in order."""
    return list(dict.fromkeys(_label(spec) for spec in specs if LOSSES[spec["name"]][1] == "logits"))


def _check_options(where, name, function, options):
    if not isinstance(options, dict):
        raise InputError("{}: expected options such as {{margin: 0.2}}, got {!r}".format(where, options))
    # The first two parameters are the tensors; the rest are the loss's options with their defaults.
    known = {p.name: p.default for p in list(inspect.signature(function).parameters.values())[2:]}
    for key, value in options.items():
        if key not in known:
            raise InputError("{}: {} has no option {!r}{}; known: {}".format(
                where, name, key, nearest(key, known), ", ".join(sorted(known))))
        _check_value("{}.{}".format(where, key), key, value, known[key])


def _check_value(where, key, value, default):
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError("{}: expected true or false, got {!r}".format(where, value))
    elif isinstance(default, float):
        low, high = RANGES.get(key, (-math.inf, math.inf))
        if not _is_number(value) or not low <= value <= high:
            raise InputError("{}: expected a number {}, got {!r}".format(
                where, "of at least {:g}".format(low) if math.isinf(high) else "from {:g} to {:g}".format(low, high),
                value))
    elif value not in list(CHOICES[key]):  # a list, so that a value that cannot be hashed is refused too
        raise InputError("{}: expected one of {}, got {!r}{}".format(
            where, ", ".join(sorted(CHOICES[key])), value, nearest(value, CHOICES[key])))


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _label(spec):
    return spec.get("label", "label")


def _options(spec):
    return spec.get("options") or {}


def _keys(specs):
    """Return a distinct key for each spec: name; name_<label> if the name occurs twice; name_<label>_2 if both do."""
    names = [spec["name"] for spec in specs]
    keys = []
    for spec in specs:
        key = spec["name"]
        if names.count(key) > 1:
            key += "_" + re.sub(r"[^A-Za-z0-9_.-]", "_", _label(spec))  # what a name scope may hold
        base, number = key, 1
        while key in keys:
            number += 1
            key = "{}_{}".format(base, number)
        keys.append(key)
    return keys

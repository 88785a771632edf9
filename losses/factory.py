"""From a list of losses to the one scalar that is trained, what to watch, and what to store after the step."""
import functools
from collections import namedtuple

from slim_retrieval.common.errors import lookup
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import class_vectors, memory, registry, weighting
from slim_retrieval.losses.registry import LOSSES
from slim_retrieval.losses.specs import check_specs, head_of, keys, label_of, scope_name, split_options

# What the losses see of the network: embedding [B, d], rows L2-normalised; raw [B, d], the same before; logits
# {head: [B, C]}; shared: the tensors that `raw` was put together from (one a tower).
Outputs = namedtuple("Outputs", "embedding raw logits shared")
# What is known of the label columns: num_classes {column: count}; tags {column: [V, T]} (specs.tag_columns).
Columns = namedtuple("Columns", "num_classes tags")
# total: scalar; scalars: {name: scalar}; stored: {key: (rows, labels)} for the memories; values, present: [T], the
# losses and which of them had a label.
Total = namedtuple("Total", "total scalars stored values present")

FIXED = {"name": "fixed", "alpha": 1.5}


def total_loss(specs, outputs, labels, columns, method=FIXED, shares=None):
    """Return the Total of a list of losses; variables are made under the scope `losses` of the current one.

    Args:
      specs: list of plain dicts (schema's LossConfig); all but the name may be left out, as in a config.
      outputs: Outputs of one tower, or of all towers together.
      labels: {column: int32 [B]} of the columns of `label_columns(specs)`; below 0: unknown.
      columns: Columns.
      method: {"name": one of WEIGHTINGS, "alpha": GradNorm's} (schema's WeightingConfig).
      shares: {column: scalar} factor of the losses of a column, for towers of unequal numbers of known labels.
    Returns:
      Total. Its scalars: "loss/total"; "loss/<key>", each loss without its weight; "weight/<key>", the weight it had;
      "<key>/<scalar>", what a loss offers to watch. The key is the loss's name, followed by its label column if the
      name occurs twice.
    Raises:
      InputError: as `check_specs`, or a column without labels or logits.
    """
    check_specs(specs)
    tf.train.get_or_create_global_step()  # before any scope, so that its name has none
    values, present, scalars, stored = [], [], {}, {}
    with tf.variable_scope("losses"):
        for key, spec in zip(keys(specs), specs):
            column = label_of(spec)
            target = lookup(labels, column, "label column")
            share = (shares or {}).get(column, 1.0)
            rows = _embedding(spec, outputs)
            with tf.variable_scope(key):
                value, watched = _loss(spec, rows, outputs.logits, target, labels, columns)
            values.append(share * value)
            present.append(tf.cast(tf.reduce_any(target >= 0), tf.float32))
            scalars["loss/" + key] = share * value
            scalars.update({"{}/{}".format(key, name): share * scalar for name, scalar in watched.items()})
            if spec.get("memory"):
                stored[key] = (rows, target)
        combine = lookup(weighting.WEIGHTINGS, method["name"], "loss weighting")
        total, weights = combine(values, present, [float(spec.get("weight", 1.0)) for spec in specs],
                                 outputs.shared, method)
    scalars.update({"weight/" + key: tf.convert_to_tensor(weight) for key, weight in zip(keys(specs), weights)})
    scalars["loss/total"] = total
    return Total(total, scalars, stored, tf.stack(values), tf.stack(present))


def update_ops(specs, totals, method=FIXED):
    """Return the ops that run after a step's gradients: they fill the memories and note GradNorm's first losses.

    Args:
      totals: the Total of each tower, in the order of the batch. To be called in the scope of `total_loss`, with reuse.
    """
    operations = []
    with tf.variable_scope("losses", reuse=True):
        for key, spec in zip(keys(specs), specs):
            if spec.get("memory"):
                rows, labels = (tf.concat([t.stored[key][i] for t in totals], 0) for i in (0, 1))
                with tf.variable_scope(key, reuse=True):
                    operations.append(memory.store(spec["memory"], rows, labels, spec.get("memory_start", 0)))
        if method["name"] == "gradnorm":
            first = weighting.first_losses(len(specs))
            count = float(len(totals))
            values = tf.add_n([t.values for t in totals]) / count
            there = tf.add_n([t.present for t in totals]) > 0
            operations.append(tf.assign(first, tf.where(tf.logical_and(first < 0, there), values, first)).op)
    return operations


def _loss(spec, rows, logits, target, labels, columns):
    """Return what the loss of a spec returns, called with all that it takes."""
    function, column = LOSSES[spec["name"]], label_of(spec)
    wanted = registry.inputs(function)
    given = {"embeddings": rows, "labels": target}
    if "logits" in wanted:
        given["logits"] = lookup(logits, head_of(spec), "logits for head")
    if "num_classes" in wanted:
        given["num_classes"] = lookup(columns.num_classes, column, "number of classes of label column")
    if "tags" in wanted:
        given["tags"] = lookup(columns.tags, column, "tags of label column")
    arguments = {name: given[name] for name in wanted}
    own, parts = split_options(spec)
    for hook, part in registry.chosen(function, spec).items():
        arguments[hook] = functools.partial(part, **parts[hook])
    if spec.get("category"):
        arguments["categories"] = lookup(labels, spec["category"], "label column")
    if spec.get("memory"):
        arguments["memory"] = memory.candidates(spec["memory"], class_vectors.width(rows), rows.dtype)
    return function(**dict(arguments, **own))


def _embedding(spec, outputs):
    """Return the rows that a metric loss sees: the embedding, or a linear layer of its own on the same feature."""
    head = head_of(spec)
    if not head or "logits" in registry.inputs(LOSSES[spec["name"]]):
        return outputs.embedding
    width = class_vectors.width(outputs.raw)
    with tf.variable_scope("heads/" + scope_name(head), reuse=tf.AUTO_REUSE):  # losses of one head share it
        weights = tf.get_variable("weights", [width, width], outputs.raw.dtype)
    return class_vectors.unit(tf.matmul(outputs.raw, weights))

"""One model on several devices: the batch is split, gradients are averaged, variables are shared.

`loss_scope` says what a loss sees. `tower`: each tower mines in its own slice of the batch and the gradients are
averaged. `global`: the embeddings of all towers are gathered and one loss is taken over the whole batch.
"""
from collections import namedtuple

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses.factory import FIXED, Columns, Outputs, total_loss
from slim_retrieval.losses.factory import update_ops as loss_update_ops
from slim_retrieval.losses.specs import logits_heads, watched_label
from slim_retrieval.losses.watch import embedding_statistics
from slim_retrieval.nets.freezing import variables_behind
from slim_retrieval.nets.model import build_model
from slim_retrieval.training.devices import VARIABLE_DEVICE, spread, tower_device
from slim_retrieval.training.precision import float32_variables, layer_type
from slim_retrieval.training.sync_batch_norm import synchronize

# loss: scalar; scalars: {name: scalar}; gradients: [(gradient, variable)], averaged; update_ops: tower 0's batch norm
# and what the losses keep from one step to the next; embedding: float32 [B, d] of the whole batch.
Towers = namedtuple("Towers", "loss scalars gradients update_ops embedding")


def build_towers(images, labels, devices, model_options, losses, num_classes, loss_scope, trainable_scopes=(),
                 weighting=FIXED, tags=None, frozen=frozenset(), batch_norm="tower",
                 precision="float32", scale=None, variables="cpu"):
    """Build every tower, the loss and its averaged gradients in the current graph.

    Args:
      images: float32 [B, S, S, 3], raw RGB; B must divide by the number of towers. Or a list of the towers' slices.
      labels: {column: int32 [B] or list}; below 0: unknown, the image is left out of that column's losses.
      devices: a device string for each tower.
      model_options: dict of ModelConfig; losses: list of dicts of LossConfig.
      num_classes: {label column: classes}.
      loss_scope: "tower" or "global".
      trainable_scopes: train only variables under these; empty: all. Those of the losses lie under `losses`.
      weighting: dict of WeightingConfig; tags: {label column: [V, T]} (losses/label_columns.py).
      frozen: names of variables that are left as they are, whatever `trainable_scopes` say.
      batch_norm: "tower" (by the moments of its slice), "sync" (of the whole batch) or "frozen" (by the stored ones).
      precision: of the backbone's layers (training/precision.py); scale: as in `gradients_of`.
      variables: "cpu", or "spread" over the towers' devices by size.

    Returns:
      Towers.

    Raises:
      InputError: nothing is left to train, or what the parts that are built raise.
    """
    image_slices = split_batch(images, len(devices))
    label_slices = [dict(zip(labels, parts)) for parts in zip(*(split_batch(v, len(devices)) for v in labels.values()))]
    models, scopes, heads = [], [], logits_heads(losses, num_classes, tags)
    dtype = layer_type(precision)
    place = spread(devices) if variables == "spread" else None
    getter = None if dtype == tf.float32 else float32_variables
    for number, device in enumerate(devices):
        with tf.variable_scope(tf.get_variable_scope(), reuse=True if number else None, custom_getter=getter), \
                tf.device(tower_device(device, place)), tf.name_scope("tower_{}".format(number)) as scope:
            models.append(build_model(image_slices[number], model_options, heads, batch_norm != "frozen", frozen,
                                      dtype))
            scopes.append(scope)
    if batch_norm == "sync" and len(devices) > 1:
        synchronize(scopes, [tower_device(device) for device in devices])
    # Each tower builds update ops of the same averages; one tower's are enough and do not race.
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS, scopes[0])
    def build_loss(*tower):
        return _loss(losses, Columns(num_classes, tags or {}), weighting, *tower)
    if loss_scope == "global":
        totals, loss, scalars = _global_loss(models, label_slices, build_loss)
    else:
        totals, loss, scalars = _tower_losses(models, label_slices, build_loss, devices, scopes)
    with tf.device(VARIABLE_DEVICE):
        gradients = gradients_of(loss, trainable_variables(trainable_scopes, frozen), scale)
    if not gradients:
        raise InputError("nothing is left to train: model.freeze_up_to and model.trainable_scopes leave out all that "
                         "the losses depend on; freeze less, or add a layer, such as model.embedding_size")
    update_ops = updates_behind(loss, update_ops)
    # What the losses keep changes in place, so everything of this step must have read it.
    read = [loss] + list(scalars.values()) + [g for g, _ in gradients]
    with tf.device(VARIABLE_DEVICE), tf.control_dependencies(read):
        update_ops = update_ops + loss_update_ops(losses, totals, weighting)
    with tf.device(VARIABLE_DEVICE):
        embedding = tf.concat([model.embedding for model in models], 0)
    return Towers(loss, scalars, gradients, update_ops, embedding)


def updates_behind(loss, update_ops):
    """Return the updates of the batch norms that the loss depends on.

    Layers beyond the end point are not computed for their averages alone; these stay as they are.
    """
    layers = {name.rpartition("/")[0] for name in variables_behind(loss)}
    return [op for op in update_ops if getattr(op, "op", op).inputs[0].op.name.rpartition("/")[0] in layers]


def split_batch(tensor, parts):
    """Return `parts` slices of equal length along the batch; a list of them stays as it is."""
    if isinstance(tensor, list):
        return tensor
    share(int(tensor.shape[0]), parts)
    return tf.split(tensor, parts)


def share(batch, towers):
    """Return how many images of a batch each tower has.

    Raises:
      InputError: the batch does not divide evenly.
    """
    if batch % towers:
        raise InputError("a batch of {} does not divide among {} towers".format(batch, towers))
    return batch // towers


def trainable_variables(scopes=(), frozen=frozenset()):
    """Return the trainable variables, or those under `scopes`, without those whose names are in `frozen`.

    A scope takes whole path components: `block1` does not take `block10/weights`.

    Raises:
      InputError: a scope matches nothing.
    """
    variables = [v for v in tf.trainable_variables() if v.op.name not in frozen]
    for scope in scopes:
        if not any(in_scope(v.op.name, scope) for v in variables):
            raise InputError("model.trainable_scopes: no trainable variable lies under {!r}{}; there are e.g. "
                             "{}".format(scope, _why_none(scope, frozen), ", ".join(v.op.name for v in variables[:3])))
    return [v for v in variables if not scopes or any(in_scope(v.op.name, scope) for scope in scopes)]


def _why_none(scope, frozen):
    return " (model.freeze_up_to freezes those there)" if any(in_scope(name, scope) for name in frozen) else ""


def scopes_of(variables):
    """Return all scopes that hold variables, such as {"a", "a/b"} of a/b/weights."""
    return {"/".join(parts[:n]) for parts in (v.op.name.split("/") for v in variables) for n in range(1, len(parts))}


def in_scope(name, scope):
    """Return whether the variable `name` is `scope` or lies under it."""
    scope = scope.rstrip("/")
    return name == scope or name.startswith(scope + "/")


def gradients_of(loss, variables, scale=None):
    """Return [(gradient, variable)] of the variables that `loss` depends on.

    `scale`, float32 [], multiplies the loss before the backward pass and divides the gradients after it.

    `loss` is the mean over the towers, so a tower that does not depend on a variable counts with a gradient of zero.
    Each tower's backward pass runs where its forward pass ran.
    """
    gradients = tf.gradients(loss if scale is None else loss * scale, variables, colocate_gradients_with_ops=True)
    found = [(tf.convert_to_tensor(g), v) for g, v in zip(gradients, variables) if g is not None]
    return found if scale is None else [(g / scale, v) for g, v in found]


def decayed_variables(variables):
    """Return those that weight decay acts on: `weights` of convolutions and dense layers.

    Not biases, batch norm, or depthwise filters (few weights each; decaying them costs accuracy, as in MobileNet's
    published training).
    """
    return [v for v in variables if v.op.name.split("/")[-1] == "weights"]


def add_weight_decay(gradients, weight_decay):
    """Return the gradients plus weight_decay * variable, added once, after averaging over towers."""
    decayed = {v.op.name for v in decayed_variables([v for _, v in gradients])}
    return [(g + weight_decay * v if v.op.name in decayed else g, v) for g, v in gradients]


def _tower_losses(models, label_slices, build_loss, devices, scopes):
    totals, tower_scalars = [], []
    for number, (model, labels, device, scope) in enumerate(zip(models, label_slices, devices, scopes)):
        with tf.variable_scope(tf.get_variable_scope(), reuse=True if number else None), \
                tf.device(tower_device(device)), tf.name_scope(scope):
            outputs = Outputs(model.embedding, model.raw, model.logits, [model.raw])
            total, scalars = build_loss(outputs, labels, _shares(labels, label_slices))
        totals.append(total)
        tower_scalars.append(scalars)
    with tf.device(VARIABLE_DEVICE):
        scalars = {name: tf.add_n([s[name] for s in tower_scalars]) / float(len(models)) for name in tower_scalars[0]}
        loss = tf.add_n([t.total for t in totals]) / float(len(models))
        return totals, loss, scalars


def _shares(labels, label_slices):
    """Return {column: a tower's known labels over the mean of all towers}.

    With it the mean over towers is the mean over the images whose label is known, however they fall on the towers.
    """
    counts = {column: tf.add_n([_known(part[column]) for part in label_slices]) for column in labels}
    return {column: _known(labels[column]) * float(len(label_slices)) / tf.maximum(counts[column], 1)
            for column in labels}


def _known(labels):
    return tf.cast(tf.math.count_nonzero(labels >= 0), tf.float32)


def _global_loss(models, label_slices, build_loss):
    with tf.device(VARIABLE_DEVICE):
        embedding, raw = (tf.concat([getattr(m, name) for m in models], 0) for name in ("embedding", "raw"))
        logits = {c: tf.concat([m.logits[c] for m in models], 0) for c in models[0].logits}
        labels = {c: tf.concat([part[c] for part in label_slices], 0) for c in label_slices[0]}
        total, scalars = build_loss(Outputs(embedding, raw, logits, [m.raw for m in models]), labels, None)
        return [total], total.total, scalars


def _loss(losses, columns, weighting, outputs, labels, shares):
    total = total_loss(losses, outputs, labels, columns, weighting, shares)
    statistics = embedding_statistics(outputs.embedding, labels[watched_label(losses)], outputs.raw)
    return total, dict(total.scalars, **statistics)

"""Synchronised batch norm: every tower normalises by the moments of the whole batch, not of its own slice.

The networks are built as always, tower after tower, each with batch norms of its own. Then `synchronize` rewires the
graph: the batch norms of one layer share their moments. All of it are plain operations, so the gradient flows through
the moments of all towers, on any devices and machines, and there is no collective that could wait for ever. TensorFlow
has no public call to change an operation's input; `_update_input`, which its own loops use, is in 1.15 and 2.x alike.
"""
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.folding import BATCH_NORMS


def synchronize(scopes, devices):
    """Let the batch norms of all towers, layer by layer, normalise by the moments of the whole batch.

    To be called when all towers are built, and before there are gradients. What the moving averages are fed with are
    then the moments of the whole batch, too.

    Args:
      scopes: the towers' name scopes; their slices of the batch have one size.
      devices: the towers' devices (or device functions).

    Returns:
      the number of layers.

    Raises:
      InputError: no batch norm normalises by the batch: there is none, or all are frozen.
    """
    layers = list(zip(*(_batch_norms(scope) for scope in scopes)))
    if not layers:
        raise InputError("training.batch_norm is sync but no batch norm of this network normalises by the batch; "
                         "set it to frozen")
    for operations in layers:
        _synchronize_layer(operations, scopes, devices)
    return len(layers)


def moments(means, variances, count):
    """Return mean, variance and unbiased variance of equally large parts taken together.

    Args:
      means, variances: of each part, float32 [C].
      count: values in all parts together.

    The parts' own spread plus the spread of their means (Chan, Golub and LeVeque 1979): no difference of large squares,
    as E[x^2] - E[x]^2 would be.
    """
    parts = float(len(means))
    mean = tf.add_n(means) / parts
    variance = tf.add_n([v + tf.square(m - mean) for m, v in zip(means, variances)]) / parts
    return mean, variance, variance * (count / max(count - 1.0, 1.0))


def _batch_norms(scope):
    return [operation for operation in tf.get_default_graph().get_operations()
            if operation.name.startswith(scope) and operation.type in BATCH_NORMS
            and operation.get_attr("is_training")]


def _synchronize_layer(operations, scopes, devices):
    names = {operation.name[len(scope):] for operation, scope in zip(operations, scopes)}
    assert len(names) == 1, "the towers' layers differ: {}".format(sorted(names))
    inputs, means, variances = [], [], []
    for operation, scope, device in zip(operations, scopes, devices):
        with tf.device(device), tf.name_scope(scope + "sync_batch_norm/"):
            inputs.append(tf.cast(operation.inputs[0], tf.float32))
            means.append(tf.reduce_mean(inputs[-1], [0, 1, 2]))
            variances.append(tf.reduce_mean(tf.square(inputs[-1] - means[-1]), [0, 1, 2]))
    with tf.device(devices[0]), tf.name_scope("sync_batch_norm"):
        count = float(len(operations) * operations[0].inputs[0].shape[:3].num_elements())
        mean, variance, unbiased = moments(means, variances, count)
    for operation, scope, device, values in zip(operations, scopes, devices, inputs):
        with tf.device(device), tf.name_scope(scope + "sync_batch_norm/"):
            normalized = _normalize(values, mean, variance, operation)
        for old, new in zip(operation.outputs, (normalized, mean, unbiased)):
            _replace(old, new)


def _normalize(values, mean, variance, operation):
    """Return gamma (x - mean) / sqrt(variance + epsilon) + beta, computed in float32, in the type of the layer."""
    gamma, beta = operation.inputs[1:3]
    scale = gamma * tf.rsqrt(variance + operation.get_attr("epsilon"))
    return tf.cast((values - mean) * scale + beta, operation.inputs[0].dtype)


def _replace(old, new):
    """Let all that reads `old` read `new`."""
    for reader in old.consumers():
        for index, tensor in enumerate(reader.inputs):
            if tensor is old:
                reader._update_input(index, new)

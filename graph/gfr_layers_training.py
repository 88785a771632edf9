"""The kinds of layer of GFR's networks as TensorFlow graphs; gfr_layers.py has the equations."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.graph import gfr_layer, gfr_layers, gfr_options


def forward(rows, tables, weights, options):
    """Return the features of a batch's anchors, [b, width of the feature].

    Args:
      rows: [u, d]; tables: [(own, member)] of each layer, see gfr_batches.expand.
      weights: [{name: tensor}], see gfr_layers.shapes.
      options: GFRConfig, resolved.
    """
    pieces = [normalise(tf.matmul(rows, weights[0]["I"])) if "I" in weights[0] else rows]
    layer = LAYERS[options.layer]
    for number, ((own, member), layer_weights) in enumerate(zip(tables, weights), 1):
        x = tf.nn.relu(pieces[-1]) if options.activate and number > 1 else pieces[-1]
        h = layer(layer_weights, tf.gather(pieces[0], own), x, own, member, options, number)
        if options.pair_norm:  # over the nodes that this step computes
            h = normalise(h - tf.reduce_mean(h, axis=0, keepdims=True))
        pieces = [tf.gather(piece, own) for piece in pieces] + [h]
    return _jump(pieces, gfr_options.jump(options))


def _jump(pieces, how):
    if how == "concat":
        return normalise(tf.concat(pieces, axis=1))
    return normalise(tf.reduce_max(tf.stack(pieces[1:]), axis=0)) if how == "max" else pieces[-1]


def sage(weights, first, rows, own, member, options, number):
    """Return h [b, d] of the nodes `own`: gfr_layer.layer as a tensor."""
    x, there = tf.gather(rows, own), tf.expand_dims(member >= 0, 2)
    at = tf.maximum(member, 0)
    value = tf.gather(tf.matmul(rows, weights["P"]), at)                                # [b, 1 + k, d]
    if options.weighted:
        value *= _softmax(_similarity(x, rows, at), there)
    there = tf.cast(there, tf.float32)
    if options.aggregate == "max":
        z = tf.reduce_max(value * there + (there - 1) * 1e30, axis=1)
    else:
        z = tf.reduce_sum(value * there, axis=1) / tf.reduce_sum(there, axis=1)
    h = normalise(tf.matmul(tf.concat([x, z], axis=1) if options.concate else z, weights["W"]))
    return normalise(x + h) if options.residue else h


def gat(weights, first, rows, own, member, options, number):
    """Return h [b, d]: gfr_layers.gat as a tensor."""
    projected, at, there = tf.matmul(rows, weights["P"]), tf.maximum(member, 0), tf.expand_dims(member >= 0, 2)
    width = int(weights["P"].shape[1])

    def by_head(values):  # [u, d] -> [u, heads]
        return tf.reduce_sum(tf.reshape(values, [-1, options.heads, width // options.heads]), axis=2)

    attention = (tf.gather(by_head(projected * weights["a"][0]), own)[:, None]
                 + tf.gather(by_head(projected * weights["a"][1]), at))                 # [b, 1 + k, heads]
    attention = _softmax(tf.nn.leaky_relu(attention, gfr_layers.LEAK), there)
    attention = tf.repeat(attention, width // options.heads, axis=2)
    h = normalise(tf.reduce_sum(attention * tf.gather(projected, at), axis=1))
    return normalise(tf.gather(rows, own) + h) if options.residue else h


def appnp(weights, first, rows, own, member, options, number):
    """Return h [b, d]: gfr_layers.appnp as a tensor."""
    return normalise(_restarted(weights, first, rows, own, member, options))


def gcnii(weights, first, rows, own, member, options, number):
    """Return h [b, d]: gfr_layers.gcnii as a tensor."""
    z, share = _restarted(weights, first, rows, own, member, options), float(gfr_layers.identity_share(number))
    return normalise((1 - share) * z + share * tf.matmul(z, weights["W"]))


LAYERS = {"sage": sage, "gat": gat, "appnp": appnp, "gcnii": gcnii}


def normalise(x):
    """Return `x` with rows of unit length; zero rows stay zero and get no gradient, rather than a huge one."""
    squared = tf.reduce_sum(tf.square(x), axis=1, keepdims=True)
    inverse = tf.math.rsqrt(tf.maximum(squared, gfr_layer.TINY))
    return x * tf.where(squared > gfr_layer.TINY, inverse, tf.zeros_like(inverse))


def _restarted(weights, first, rows, own, member, options):
    x, at = tf.gather(rows, own), tf.maximum(member, 0)
    weight = _softmax(weights["t"][0] * _similarity(x, rows, at), tf.expand_dims(member >= 0, 2))
    return (1 - options.restart) * tf.reduce_sum(weight * tf.gather(rows, at), axis=1) + options.restart * first


def _similarity(x, rows, at):
    """Return x_i . x_j, [b, 1 + k, 1]."""
    return tf.reduce_sum(x[:, None] * tf.gather(rows, at), 2, keepdims=True)


def _softmax(values, there):
    """Return the softmax over the members [b, 1 + k, heads], 0 where none is there."""
    return tf.nn.softmax(tf.where(tf.logical_and(there, tf.ones_like(values, tf.bool)), values,
                                  tf.fill(tf.shape(values), -1e30)), axis=1)

"""The kinds of layer of GFR's networks, in NumPy. gfr_layers_training.py holds the same as TensorFlow graphs.

With x a layer's input (unit rows), x_0 the first layer's, M(i) a node and its neighbours (gfr_layer.members):

    sage    gfr_layer.py: the published layer
    gat     u = x P;  w = softmax over j in M(i) of leaky(a_1 . u_i + a_2 . u_j), for each head
            h = normalise(sum_j w_j u_j), or normalise(x_i + that) if `residue`
            Velickovic et al., "Graph Attention Networks", ICLR 2018, equations 3 and 5
    appnp   x_0 = normalise(x I);  w = softmax over j in M(i) of t x_i . x_j
            z = (1 - r) sum_j w_j x_j + r x_0, r the option `restart`;  h = normalise(z)
            Klicpera et al., "Predict then Propagate", ICLR 2019, equation 5, with the weights of Thekumparampil et
            al., "Attention-based Graph Neural Network", 2018, equation 5
    gcnii   z as in appnp;  h = normalise((1 - b) z + b z W) with b = log(0.5 / l + 1) in layer l
            Chen et al., "Simple and Deep Graph Convolutional Networks", ICML 2020, equation 5

All but sage start as plain averaging of neighbours: P and I are identities, a and W are 0, and t is 10.
"""
import collections

import numpy as np

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import gfr_layer

LEAK = 0.2
THETA = 0.5
TEMPERATURE = 10.0

# shapes: (width, options) -> {name: shape} of one layer. first: what the first layer has besides, square matrices.
# layer: (weights, first [b, d], rows [u, d], projected [u, d], own, member, options, number from 1) -> h [b, d].
Kind = collections.namedtuple("Kind", "shapes first layer")


def sage(weights, first, rows, projected, own, member, options, number):
    """Return h [b, d] of the published layer."""
    return gfr_layer.layer(rows, projected, own, member, weights["W"], options)


def gat(weights, first, rows, projected, own, member, options, number):
    """Return h [b, d] of a graph attention layer; head c sees the c-th part of the columns."""
    heads = options.heads
    scores = [(projected * a).reshape(len(projected), heads, -1).sum(axis=2) for a in weights["a"]]
    attention = scores[0][own][:, None] + scores[1][member]                              # [b, 1 + k, heads]
    attention = np.where(attention > 0, attention, LEAK * attention)
    attention[member < 0] = -np.inf
    attention = np.exp(attention - attention.max(axis=1, keepdims=True))
    attention /= attention.sum(axis=1, keepdims=True)
    z = np.zeros((len(own), projected.shape[1]), np.float32)
    for column, j in enumerate(member.T):  # one member at a time: [b, k, d] is never held
        z += np.repeat(attention[:, column], projected.shape[1] // heads, axis=1) * projected[j]
    h = gfr_layer.normalise(z)
    return gfr_layer.normalise(np.asarray(rows[own], np.float32) + h) if options.residue else h


def appnp(weights, first, rows, projected, own, member, options, number):
    """Return h [b, d] of one step of personalised propagation."""
    return gfr_layer.normalise(_restarted(weights, first, rows, own, member, options))


def gcnii(weights, first, rows, projected, own, member, options, number):
    """Return h [b, d] of a layer with initial residual and identity mapping."""
    z, share = _restarted(weights, first, rows, own, member, options), np.float32(identity_share(number))
    return gfr_layer.normalise((1 - share) * z + share * (z @ weights["W"]))


def identity_share(number):
    """Return b, how much of the learned map the l-th layer takes; deeper ones take less."""
    return np.log(THETA / number + 1)


def _restarted(weights, first, rows, own, member, options):
    x = np.asarray(rows[own], np.float32)
    weight = gfr_layer.softmax(x, rows, member, weights["t"][0])
    z = np.zeros(x.shape, np.float32)
    for column, j in enumerate(member.T):
        z += weight[:, column, None] * rows[j]
    return np.float32(1 - options.restart) * z + np.float32(options.restart) * first


LAYERS = {
    "sage": Kind(lambda d, options: {"P": (d, d), "W": (d * (2 if options.concate else 1), d)}, (), sage),
    "gat": Kind(lambda d, options: {"P": (d, d), "a": (2, d)}, (), gat),
    "appnp": Kind(lambda d, options: {"t": (1,)}, ("I",), appnp),
    "gcnii": Kind(lambda d, options: {"t": (1,), "W": (d, d)}, ("I",), gcnii),
}


def shapes(width, options):
    """Return [{name: shape}] of a network's weights, layer by layer.

    Raises:
      InputError: a width that the heads do not divide.
    """
    kind = lookup(LAYERS, options.layer, "layer of GFR")
    if options.layer == "gat" and width % options.heads:
        raise InputError("gfr.heads: {} heads cannot share {} dimensions evenly; choose a divisor".format(
            options.heads, width))
    layers = [dict(kind.shapes(width, options)) for _ in range(options.layers)]
    layers[0].update(dict.fromkeys(kind.first, (width, width)))
    return layers


def initial(width, options, seed):
    """Return the untrained weights, [{name: float32 array}].

    Those of sage are uniform within 1 / sqrt(rows), as PyTorch's Linear draws them. Random rotations and
    near-identities were tried and are no better.
    """
    rng = np.random.RandomState(seed)
    draw = {"sage": lambda name, shape: rng.uniform(-1, 1, shape) * shape[0] ** -0.5}.get(options.layer, _start)
    return [{name: draw(name, shape).astype(np.float32) for name, shape in layer.items()}
            for layer in shapes(width, options)]


def _start(name, shape):
    if name in ("P", "I"):
        return np.eye(shape[0])
    return np.full(shape, TEMPERATURE if name == "t" else 0)


def enter(rows, weights):
    """Return x_0 of the rows: themselves, or normalise(rows I)."""
    return gfr_layer.normalise(rows @ weights[0]["I"]) if "I" in weights[0] else rows


def project(rows, weights):
    """Return rows P, or the rows where the layer has no P. Computed once a node, then gathered."""
    return rows @ weights["P"] if "P" in weights else rows

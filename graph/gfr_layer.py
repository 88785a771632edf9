"""One sage layer of GFR in NumPy: aggregate a node and its neighbours, project, normalise.

For node i with neighbours N(i), x of unit rows, learned P and W, no biases (DESIGN, section 5, "GFR"):

    M(i) = {i} and N(i)                  (concate: N(i) alone; {i} where N(i) is empty)
    w    = softmax over j in M(i) of x_i . x_j      (1 where not `weighted`)
    z    = max or mean over j in M(i) of w_j x_j P
    h    = normalise(z W)                (concate: normalise([x_i ; z] W))
    h    = normalise(x_i + h)            if `residue`

What happens between the layers and after the last is in gfr_network.py, the other kinds of layer in gfr_layers.py.
A mean is divided by the size of M(i) even where it is weighted, as the equation has it.
"""
import numpy as np

# Rows whose squared norm is below this stay zero. Dividing them by a small constant instead would give them
# a gradient as large as the constant is small.
TINY = 1e-20

def normalise(x):
    """Return `x` with rows of unit length; zero rows stay zero."""
    squared = np.einsum("ij,ij->i", x, x)
    inverse = np.where(squared > TINY, 1 / np.sqrt(np.maximum(squared, TINY)), 0)
    return x * inverse[:, None].astype(np.float32)


def members(own, near, concate):
    """Return M(i), [b, 1 + k]: the node itself and its neighbours, with -1 for what is left out.

    Args:
      own: int [b], the nodes' positions.
      near: int [b, k], positions of their neighbours; -1 pads.
    """
    own = np.asarray(own)
    alone = ~(near >= 0).any(axis=1)
    first = np.where(alone, own, -1) if concate else own
    return np.concatenate([first[:, None], near], axis=1)


def layer(rows, projected, own, member, W, options):
    """Return h of the nodes `own`, float32 [b, d].

    Args:
      rows: [u, d], the layer's inputs x, of at least every node that `own` and `member` name; may be memory-mapped.
      projected: [u, d], rows P.
      own, member: positions in `rows`: int [b]; int [b, 1 + k] with -1 for none, as `members` gives them.
      W: the layer's second matrix.
      options: an object with GFRConfig's fields aggregate, weighted, residue, concate.
    """
    x = np.asarray(rows[own], dtype=np.float32)
    z = aggregate(projected, member, options.aggregate, softmax(x, rows, member) if options.weighted else None)
    h = normalise((np.concatenate([x, z], axis=1) if options.concate else z) @ W)
    return normalise(x + h) if options.residue else h


def softmax(x, rows, member, factor=1):
    """Return w [b, 1 + k], the softmax over each row's members j of factor x . rows[j]; 0 where there is none."""
    similarity = np.stack([np.einsum("ij,ij->i", x, rows[j]) for j in member.T], axis=1) * np.float32(factor)
    similarity[member < 0] = -np.inf
    weight = np.exp(similarity - similarity.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def aggregate(projected, member, how, weight=None):
    """Return z [b, d]: max or mean over each row's members. One member at a time: [b, k, d] is never held."""
    z = np.full((len(member), projected.shape[1]), -np.inf if how == "max" else 0, np.float32)
    for column, j in enumerate(member.T):
        value = projected[j]
        if weight is not None:
            value *= weight[:, column, None]
        value[j < 0] = -np.inf if how == "max" else 0
        if how == "max":
            np.maximum(z, value, out=z)
        else:
            z += value
    return z if how == "max" else z / (member >= 0).sum(axis=1, keepdims=True).astype(np.float32)

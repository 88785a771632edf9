"""Multi-class N-pair loss (Sohn, NIPS 2016, equation 6)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, reducers
from slim_retrieval.losses.pairs import all_pairs


def n_pairs(embeddings, labels, scale=16.0, reducer=reducers.mean, memory=None, categories=None):
    """Return the mean over positive pairs of log(1 + sum_c mean_{n of class c} exp(scale (s(a, n) - s(a, p)))).

    The paper draws one image of each other class; the mean over a class's images stands for that draw (with one image
    a class the two are the same). s is the inner product; the paper leaves vectors unnormalised and penalises their
    length, here they have length 1 and `scale` takes its place.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      reducer, memory, categories: see reducers.py and pairs.py.
    Returns:
      (loss scalar, {}). Pairs whose anchor has no negative are left out.
    """
    pairs = all_pairs(embeddings, labels, "cosine", memory, categories)
    similarities = scale * (1 - pairs.distances)  # [B, N]
    candidates = labels if memory is None else tf.concat([labels, memory[1]], 0)  # [N]
    _, places, counts = tf.unique_with_counts(candidates)
    sizes = tf.cast(tf.gather(counts, places), embeddings.dtype)  # [N]: images of the candidate's class
    negatives = masks.masked_row_logsumexp(similarities - tf.log(sizes)[None, :], pairs.negatives)  # [B]
    losses = tf.nn.softplus(negatives[:, None] - similarities)  # [B, N]
    return reducer(losses, tf.logical_and(pairs.positives, masks.any_of_row(pairs.negatives)[:, None])), {}

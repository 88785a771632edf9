"""NT-Xent, the normalised temperature-scaled cross entropy of SimCLR (Chen et al., ICML 2020, equation 1)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, reducers
from slim_retrieval.losses.pairs import all_pairs


def nt_xent(embeddings, labels, temperature=0.1, reducer=reducers.mean, memory=None, categories=None):
    """Return the mean over positive pairs of -log(e^{s(a,p)/t} / (e^{s(a,p)/t} + sum_n e^{s(a,n)/t})).

    A class of two images is SimCLR's pair of views; of more, each positive stands against the negatives alone (not
    against the other positives, as in supervised_contrastive). This is also the in-batch softmax of image pairs.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      temperature: t.
      reducer, memory, categories: see reducers.py and pairs.py.
    Returns:
      (loss scalar, {}). Pairs whose anchor has no negative are left out.
    """
    pairs = all_pairs(embeddings, labels, "cosine", memory, categories)
    similarities = (1 - pairs.distances) / temperature  # [B, N]
    negatives = masks.masked_row_logsumexp(similarities, pairs.negatives)  # [B]
    losses = tf.nn.softplus(negatives[:, None] - similarities)  # [B, N]
    return reducer(losses, tf.logical_and(pairs.positives, masks.any_of_row(pairs.negatives)[:, None])), {}

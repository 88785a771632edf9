"""FastAP: average precision by soft histograms of distances (Cakir, He, Xia, Kulis and Sclaroff, CVPR 2019)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, reducers
from slim_retrieval.losses.pairs import all_pairs, anchors


def fast_ap(embeddings, labels, bins=10, reducer=reducers.mean, memory=None, categories=None):
    """Return the mean over anchors of 1 - FastAP, FastAP = 1/N+ sum_j h+_j H+_j / H_j (equation 6).

    h+ and h are histograms over the squared distances from 0 to 4 of an anchor's positives and of all its candidates,
    H+ and H their running sums. A distance counts in the two bins beside it, linearly (section 3.3).

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      bins: cells of the histogram; it has bins + 1 centres.
      reducer, memory, categories: see reducers.py and pairs.py.
    Returns:
      (loss scalar, {}). Anchors without a positive or a negative are left out.
    """
    pairs = all_pairs(embeddings, labels, "squared", memory, categories)
    step = 4.0 / bins
    positive, everything, area = 0.0, 0.0, tf.zeros_like(pairs.distances[:, 0])
    either = tf.logical_or(pairs.positives, pairs.negatives)
    for center in range(bins + 1):
        pulse = tf.nn.relu(1 - tf.abs(pairs.distances - center * step) / step)  # [B, N]
        here = masks.masked_row_sum(pulse, pairs.positives)  # [B]: h+_j
        positive += here
        everything += masks.masked_row_sum(pulse, either)
        # An empty bin before the first candidate is 0 / 0; its term is 0, and so is its gradient.
        filled = tf.where(everything > 0, everything, tf.ones_like(everything))
        area += here * positive / filled
    losses = 1 - area / tf.maximum(masks.count(pairs.positives, embeddings.dtype), 1)
    return reducer(losses, anchors(pairs)), {}

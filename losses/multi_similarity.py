"""Multi-similarity loss (Wang, Han, Huang, Dong and Scott, CVPR 2019, equation 15)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, miners, reducers
from slim_retrieval.losses.pairs import all_pairs, anchors


def multi_similarity(embeddings, labels, alpha=2.0, beta=50.0, base=0.5, pair_miner=miners.multi_similarity_pairs,
                     reducer=reducers.mean, memory=None, categories=None):
    """Return the mean over anchors of log(1 + sum_p e^{-alpha (s-b)}) / alpha + log(1 + sum_n e^{beta (s-b)}) / beta.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      alpha, beta, base: of the formula; b, lambda in the paper, is a cosine similarity.
      pair_miner: which positives and negatives enter the sums; by default the paper's (option epsilon).
      reducer, memory, categories: see reducers.py and pairs.py.
    Returns:
      (loss scalar, {"mined_positives", "mined_negatives": share of the pairs that the miner kept}). Anchors without a
      positive or a negative are left out; one of which the miner keeps nothing counts as 0.
    """
    pairs = all_pairs(embeddings, labels, "cosine", memory, categories)
    positives, negatives = pair_miner(pairs)
    above = 1 - pairs.distances - base  # [B, N]
    losses = masks.masked_row_log1psumexp(-alpha * above, positives) / alpha \
        + masks.masked_row_log1psumexp(beta * above, negatives) / beta  # [B]
    return reducer(losses, anchors(pairs)), {
        "mined_positives": masks.masked_mean(tf.cast(positives, embeddings.dtype), pairs.positives),
        "mined_negatives": masks.masked_mean(tf.cast(negatives, embeddings.dtype), pairs.negatives)}

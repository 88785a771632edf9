"""Supervised contrastive loss (Khosla et al., NeurIPS 2020, equation 2, L_out)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, reducers
from slim_retrieval.losses.pairs import all_pairs, anchors


def supervised_contrastive(embeddings, labels, temperature=0.1, reducer=reducers.mean, memory=None, categories=None):
    """Return the mean over anchors of the mean over positives of -log(e^{s(a,p)/t} / sum_{k != a} e^{s(a,k)/t}).

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      temperature: t.
      reducer, memory, categories: see reducers.py and pairs.py.
    Returns:
      (loss scalar, {}). Anchors without a positive or a negative are left out.
    """
    pairs = all_pairs(embeddings, labels, "cosine", memory, categories)
    similarities = (1 - pairs.distances) / temperature  # [B, N]
    everything = masks.masked_row_logsumexp(similarities, tf.logical_or(pairs.positives, pairs.negatives))  # [B]
    positives = masks.masked_row_sum(similarities, pairs.positives)  # [B]
    losses = everything - positives / tf.maximum(masks.count(pairs.positives, embeddings.dtype), 1)
    return reducer(losses, anchors(pairs)), {}

"""Triplet loss with any miner and any reducer; the three `triplet_*` files are its best known combinations."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import masks, miners, reducers
from slim_retrieval.losses.pairs import all_pairs


def triplet(embeddings, labels, margin=0.2, soft=False, distance="euclidean", triplet_miner=miners.every_triplet,
            reducer=reducers.mean_active, memory=None, categories=None):
    """Return the reduction over the mined triplets of max(0, D(a, p) - D(a, n) + margin).

    Schroff, Kalenichenko and Philbin 2015, equation 2; the soft margin is that of Hermans, Beyer and Leibe 2017,
    section 2: log(1 + exp(D(a, p) - D(a, n))).

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      margin: in units of the distance; unused when `soft`.
      soft: the soft margin in place of the hinge.
      distance: euclidean, squared or cosine.
      triplet_miner, reducer, memory, categories: see miners.py, reducers.py and pairs.py.
    Returns:
      (loss scalar, {"active_triplets": share of the mined triplets whose loss is above 0, or whose order is wrong when
      `soft`}). No triplet: all 0.
    """
    triplets = triplet_miner(all_pairs(embeddings, labels, distance, memory, categories))
    difference = triplets.positive - triplets.negative  # the shape of triplets.valid
    losses = tf.nn.softplus(difference) if soft else tf.nn.relu(difference + margin)
    active = tf.cast(difference > 0 if soft else losses > 0, embeddings.dtype)
    return reducer(losses, triplets.valid), {"active_triplets": masks.masked_mean(active, triplets.valid)}

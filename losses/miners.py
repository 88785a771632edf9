"""Which pairs or triplets of a batch a loss looks at. A miner takes any loss that has the option.

A triplet miner takes Pairs and gives Triplets; a pair miner takes Pairs and gives the masks of positives and negatives
to keep. What is chosen is chosen without gradient; the distances of what is chosen have one.
"""
from collections import namedtuple

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import distances, masks, randomness
from slim_retrieval.losses.pairs import anchors

# positive, negative: distances D(a, p) and D(a, n); valid: bool; candidate: int32, which candidate the negative is.
# Axis 0 is the anchor. The four can be broadcast against each other to valid's shape.
Triplets = namedtuple("Triplets", "positive negative valid candidate")


def every_triplet(pairs):
    """Return all triplets: [B, N, N]. B^3 entries for each tensor, so not for large batches or with a memory."""
    columns = tf.range(tf.shape(pairs.distances)[1])
    valid = tf.logical_and(pairs.positives[:, :, None], pairs.negatives[:, None, :])
    return Triplets(pairs.distances[:, :, None], pairs.distances[:, None, :], valid, columns[None, None, :])


def batch_hard(pairs):
    """Return for each anchor its farthest positive and closest negative: [B] (Hermans et al. 2017, equation 5)."""
    negative = _closest(pairs.distances, pairs.negatives)
    positive = _closest(-pairs.distances, pairs.positives)
    return Triplets(_pick(pairs.distances, positive), _pick(pairs.distances, negative), anchors(pairs), negative)


def hard_negative(pairs):
    """Return every positive pair with its anchor's closest negative: [B, N]."""
    return _with_negative(pairs, tf.zeros_like(pairs.positives, tf.int32) + _closest(
        pairs.distances, pairs.negatives)[:, None])


def semi_hard(pairs):
    """Return every positive pair with its closest negative among those farther than the positive: [B, N].

    Where none is farther, the farthest negative (Schroff et al. 2015, section 3.2, by TensorFlow 1's contrib's rule).
    """
    candidate, _ = semi_hard_candidates(pairs)
    return _with_negative(pairs, candidate)


def semi_hard_candidates(pairs):
    """Return (the candidate that `semi_hard` chooses, whether it is farther than the positive), [B, N] each.

    By sorting each anchor's negatives and looking up D(a, p) in them: B N memory where the direct form takes B N^2.
    """
    found = tf.stop_gradient(pairs.distances)
    beyond = tf.fill(tf.shape(found), tf.constant(found.dtype.max, found.dtype))
    descending, order = tf.nn.top_k(-tf.where(pairs.negatives, found, beyond), k=tf.shape(found)[1])  # [B, N]
    rank = tf.searchsorted(-descending, found, side="right")  # [B, N]: how many negatives are at most as far
    negatives = tf.math.count_nonzero(pairs.negatives, axis=1, dtype=tf.int32)[:, None]
    farther = rank < negatives
    last = tf.zeros_like(rank) + tf.maximum(negatives - 1, 0)
    return tf.gather(order, tf.where(farther, rank, last), batch_dims=1), farther


def random_negative(pairs):
    """Return every positive pair with one of its anchor's negatives, all equally likely: [B, N]."""
    return _with_negative(pairs, _draw(tf.zeros_like(pairs.distances), pairs.negatives))


def distance_weighted(pairs, cutoff=0.5, nonzero_loss_cutoff=1.4):
    """Return every positive pair with a negative drawn by 1 / q(D): [B, N] (Wu et al. 2017, section 4).

    q(D) = D^(d-2) (1 - D^2 / 4)^((d-3)/2) is how often a distance D occurs between points spread evenly over the sphere
    in d dimensions, so that all distances are drawn about equally often.

    Args:
      cutoff: Euclidean distance below which weights rise no further (the paper's lambda; there the noise is worst).
      nonzero_loss_cutoff: Euclidean distance beyond which nothing is drawn, unless an anchor has no closer negative.
    """
    found = tf.clip_by_value(_euclidean(pairs), cutoff, 2.0 - 1e-3)
    log_weights = ((2.0 - pairs.width) * tf.log(found)
                   - (pairs.width - 3.0) / 2 * tf.log(1.0 - tf.square(found) / 4))  # [B, N]
    near = tf.logical_and(pairs.negatives, found < nonzero_loss_cutoff)
    allowed = tf.logical_or(near, tf.logical_and(pairs.negatives, tf.logical_not(
        masks.any_of_row(near)[:, None])))
    return _with_negative(pairs, _draw(log_weights, allowed))


def every_pair(pairs):
    """Return all positives and negatives."""
    return pairs.positives, pairs.negatives


def hardest_pairs(pairs):
    """Return each anchor's farthest positive and closest negative alone."""
    columns = tf.range(tf.shape(pairs.distances)[1])[None, :]
    positive = tf.equal(columns, _closest(-pairs.distances, pairs.positives)[:, None])
    negative = tf.equal(columns, _closest(pairs.distances, pairs.negatives)[:, None])
    return tf.logical_and(positive, pairs.positives), tf.logical_and(negative, pairs.negatives)


def multi_similarity_pairs(pairs, epsilon=0.1):
    """Return the negatives closer than the farthest positive + epsilon, and the positives farther than the closest
    negative - epsilon (Wang et al. 2019, equations 10 and 11, with distances for similarities).

    Args:
      epsilon: in units of the distance.
    """
    farthest = masks.masked_row_max(pairs.distances, pairs.positives)[:, None]
    closest = masks.masked_row_min(pairs.distances, pairs.negatives)[:, None]
    both = anchors(pairs)[:, None]
    positives = tf.logical_and(pairs.positives, tf.logical_and(both, pairs.distances > closest - epsilon))
    negatives = tf.logical_and(pairs.negatives, tf.logical_and(both, pairs.distances < farthest + epsilon))
    return positives, negatives


def sampled_pairs(pairs):
    """Return the pairs as sampler `pairs` drew them, images 2i and 2i + 1 of the batch, alone."""
    rows, columns = tf.range(tf.shape(pairs.distances)[0])[:, None], tf.range(tf.shape(pairs.distances)[1])[None, :]
    drawn = tf.equal(columns, rows + 1 - 2 * (rows % 2))
    return tf.logical_and(pairs.positives, drawn), tf.logical_and(pairs.negatives, drawn)


TRIPLET_MINERS = {"all": every_triplet, "batch_hard": batch_hard, "hard_negative": hard_negative,
                  "semi_hard": semi_hard, "random": random_negative, "distance_weighted": distance_weighted}
PAIR_MINERS = {"all": every_pair, "batch_hard": hardest_pairs, "multi_similarity": multi_similarity_pairs,
               "sampled": sampled_pairs}


def _with_negative(pairs, candidate):
    """Return Triplets of all positive pairs, the negative given as int32 [B, N]."""
    valid = tf.logical_and(pairs.positives, masks.any_of_row(pairs.negatives)[:, None])
    return Triplets(pairs.distances, tf.gather(pairs.distances, candidate, batch_dims=1), valid, candidate)


def _closest(found, mask):
    """Return the column of each row's smallest entry where `mask` holds: int32 [B]; any column where it never holds."""
    never = tf.fill(tf.shape(found), tf.constant(found.dtype.max, found.dtype))
    return tf.argmin(tf.where(mask, tf.stop_gradient(found), never), axis=1, output_type=tf.int32)


def _pick(found, columns):
    return tf.gather(found, columns[:, None], batch_dims=1)[:, 0]


def _draw(log_weights, mask):
    """Return int32 [B, N]: for each place a column of its row where `mask` holds, drawn by exp(log_weights)."""
    largest = masks.masked_row_max(log_weights, mask)[:, None]
    weights = tf.where(mask, tf.exp(tf.minimum(log_weights - largest, 0.0)), tf.zeros_like(log_weights))
    cumulated = tf.stop_gradient(tf.cumsum(weights, axis=1))  # [B, N]
    target = cumulated[:, -1:] * randomness.uniform(tf.shape(log_weights), log_weights.dtype)
    # The first column whose cumulated weight lies above the target: never one of weight 0.
    columns = tf.searchsorted(cumulated, target, side="right")
    return tf.minimum(columns, tf.shape(log_weights)[1] - 1)


def _euclidean(pairs):
    """Return the Euclidean distances between unit vectors, whichever distance the pairs are measured in."""
    found = tf.stop_gradient(pairs.distances)
    if pairs.kind == "euclidean":
        return found
    return distances.root(found if pairs.kind == "squared" else 2 * found)

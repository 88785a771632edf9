"""Statistics of a batch's embeddings that reveal collapse, when every image is mapped to (nearly) one point."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import distances, masks

# Unit vectors in general position are about 1.41 apart; at 0.05 all similarities lie above 0.998.
COLLAPSED_BELOW = 0.05

# The scalars of a loss that say which share of its triplets, pairs or anchors still costs anything.
ACTIVE = ("active_triplets", "active_pairs", "active_anchors", "active_negatives")


def embedding_statistics(embeddings, labels, before_normalization=None):
    """Return scalars to watch; no gradient flows through them.

    Args:
      embeddings: float32 [B, d], rows L2-normalised.
      labels: int32 [B].
      before_normalization: float32 [B, d], the same rows before L2-normalisation, if there is any.
    Returns:
      {"embedding/mean_norm": mean L2 norm of the rows (before normalisation if given),
       "embedding/mean_pair_distance", "embedding/std_pair_distance": Euclidean, over pairs of different images,
       "embedding/hardest_positive": mean over anchors of the distance to the farthest positive,
       "embedding/hardest_negative": mean over anchors of the distance to the closest negative,
       "batch/with_positive", "batch/with_negative": share of the images of known label that have one in the batch}.
      A mean over nothing (batch of 1, no positives, no negatives) is 0.
    """
    embeddings = tf.stop_gradient(embeddings)
    rows = embeddings if before_normalization is None else tf.stop_gradient(before_normalization)
    pair_distances = distances.euclidean(embeddings)  # [B, B]
    pairs = masks.distinct_pairs(labels)  # [B, B]
    positives, negatives = masks.positive_pairs(labels), masks.negative_pairs(labels)  # [B, B]
    mean = masks.masked_mean(pair_distances, pairs)
    return {
        "batch/with_positive": masks.masked_mean(tf.cast(masks.any_of_row(positives), rows.dtype), labels >= 0),
        "batch/with_negative": masks.masked_mean(tf.cast(masks.any_of_row(negatives), rows.dtype), labels >= 0),
        "embedding/mean_norm": tf.reduce_mean(tf.norm(rows, axis=1)),
        "embedding/mean_pair_distance": mean,
        "embedding/std_pair_distance": tf.sqrt(masks.masked_mean(tf.square(pair_distances - mean), pairs)),
        "embedding/hardest_positive": masks.masked_mean(
            masks.masked_row_max(pair_distances, positives), tf.reduce_any(positives, axis=1)),
        "embedding/hardest_negative": masks.masked_mean(
            masks.masked_row_min(pair_distances, negatives), tf.reduce_any(negatives, axis=1))}


def summary(values):
    """Return {short name: text} for a line of the log: what is still active, how long and how spread embeddings are.

    Args:
      values: {name: number}, the scalars of training. A loss without a share of active triplets or pairs shows none.
    """
    found = {name.rsplit("/", 1)[0]: value for name, value in sorted(values.items())
             if name.rsplit("/", 1)[-1] in ACTIVE}
    shown = {"active" if len(found) == 1 else "active_" + name: "{:.0%}".format(value) for name, value in found.items()}
    shown["norm"] = "{:.3g}".format(values["embedding/mean_norm"])
    shown["apart"] = "{:.3f}+-{:.3f}".format(values["embedding/mean_pair_distance"],
                                             values["embedding/std_pair_distance"])
    return shown


def without_active(values):
    """Return the sorted keys of the losses that show shares of what is active, all of them 0.

    Contrastive loss is none of them: it shows its negatives, and its positives always cost something.
    """
    shares = {}
    for name, value in values.items():
        key, _, kind = name.rpartition("/")
        if kind.startswith("active_"):
            shares.setdefault(key, {})[kind] = value
    return sorted(key for key, found in shares.items()
                  if list(found) != ["active_negatives"] and not any(found.values()))


def describe_collapse(values, batch_size):
    """Return one line that says the embeddings have collapsed, or '' when they have not.

    Args:
      values: {name: number}, `embedding_statistics` as evaluated by a session.
      batch_size: B; a batch of 1 has no pairs and says nothing.
    """
    distance = values["embedding/mean_pair_distance"]
    if batch_size < 2 or distance >= COLLAPSED_BELOW:
        return ""
    return ("embeddings have collapsed: two images of a batch are {:.2g} apart on average, below {}; lower the "
            "learning rate, or start with triplet_batch_all or softmax".format(distance, COLLAPSED_BELOW))

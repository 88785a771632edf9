"""Proxy-Anchor (Kim, Kim, Cho and Kwak, CVPR 2020, equation 4)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import class_vectors, masks


def proxy_anchor(embeddings, labels, num_classes, alpha=32.0, margin=0.1):
    """Return the mean over P+ of log(1 + sum_{x of p} e^{-alpha (s - m)}), plus that over P for the images not of p.

    The second term is log(1 + sum_{x not of p} e^{alpha (s + m)}); s is the cosine of image x and proxy p.
    P are all proxies, one a class, P+ those with images in the batch. Proxies and embeddings have length 1.

    Args:
      embeddings: float32 [B, d].
      labels: int32 [B] in [0, num_classes); below 0: left out.
      num_classes: rows of the trainable `proxies` [C, d].
      margin: m (delta in the paper).
    Returns:
      (loss scalar, {"accuracy": share of the batch whose closest proxy is the label's}).
    """
    labels, embeddings = masks.known(labels, embeddings)
    cosines = class_vectors.class_cosines(embeddings, num_classes, "proxies")  # [B, C]
    own = tf.transpose(tf.one_hot(labels, num_classes, on_value=True, off_value=False))  # [C, B]
    similarities = tf.transpose(cosines)  # [C, B]
    attraction = masks.masked_row_log1psumexp(-alpha * (similarities - margin), own)  # [C]
    repulsion = masks.masked_row_log1psumexp(alpha * (similarities + margin), tf.logical_not(own))  # [C]
    hits = tf.equal(tf.argmax(cosines, axis=1, output_type=labels.dtype), labels)
    return masks.masked_mean(attraction, masks.any_of_row(own)) + tf.reduce_mean(repulsion), {
        "accuracy": masks.mean(tf.cast(hits, embeddings.dtype))}

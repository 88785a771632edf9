"""Proxy-NCA (Movshovitz-Attias, Toshev, Leung, Ioffe and Singh, ICCV 2017, equation 4)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import class_vectors, masks


def proxy_nca(embeddings, labels, num_classes, scale=8.0):
    """Return the mean of -log(e^{-scale D(x, p_y)} / sum_{c != y} e^{-scale D(x, p_c)}), D the squared distance.

    The sum leaves out the image's own class, so the loss can fall below 0. Proxies and embeddings have length 1.

    Args:
      embeddings: float32 [B, d].
      labels: int32 [B] in [0, num_classes); below 0: left out.
      num_classes: rows of the trainable `proxies` [C, d].
    Returns:
      (loss scalar, {"accuracy": share of the batch whose closest proxy is the label's}). With one class the loss is 0.
    """
    labels, embeddings = masks.known(labels, embeddings)
    cosines = class_vectors.class_cosines(embeddings, num_classes, "proxies")  # [B, C]
    similarities = 2 * scale * (cosines - 1)  # -scale * D
    own = tf.one_hot(labels, num_classes, on_value=True, off_value=False)
    others = masks.masked_row_logsumexp(similarities, tf.logical_not(own))  # [B]
    hits = tf.equal(tf.argmax(cosines, axis=1, output_type=labels.dtype), labels)
    losses = others - masks.masked_row_sum(similarities, own)
    return masks.masked_mean(losses, masks.any_of_row(tf.logical_not(own))), {
        "accuracy": masks.mean(tf.cast(hits, embeddings.dtype))}

"""CosFace, the large-margin cosine loss (Wang et al., CVPR 2018, equation 4)."""
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import class_vectors, masks
from slim_retrieval.losses.softmax import softmax


def cosface(embeddings, labels, num_classes, margin=0.35, scale=64.0):
    """Return the mean cross entropy of scale * (cos(x, w_c) - margin [c is the label]).

    Args:
      embeddings: float32 [B, d].
      labels: int32 [B] in [0, num_classes); below 0: left out.
      num_classes: rows of the trainable `weights` [C, d].
      margin, scale: m and s. A few hundred classes want a smaller scale than the paper's 64 for faces: 16 to 32.
    Returns:
      (loss scalar, {"accuracy": share of the batch whose largest cosine is the label's, without the margin}).
    """
    labels, embeddings = masks.known(labels, embeddings)
    cosines = class_vectors.class_cosines(embeddings, num_classes, "weights")  # [B, C]
    own = tf.one_hot(labels, num_classes, dtype=embeddings.dtype)
    loss, _ = softmax(scale * (cosines - margin * own), labels)
    return loss, softmax(cosines, labels)[1]

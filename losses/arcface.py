"""ArcFace, the additive angular margin loss (Deng, Guo, Xue and Zafeiriou, CVPR 2019, equation 3)."""
import math

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import class_vectors, masks
from slim_retrieval.losses.softmax import softmax


def arcface(embeddings, labels, num_classes, margin=0.5, scale=64.0):
    """Return the mean cross entropy of scale * cos(theta_c + margin [c is the label]), theta_c the angle of x and w_c.

    Where theta + margin passes pi, cos(theta) - margin sin(margin) takes over, so that the loss goes on growing with
    the angle (the authors' code).

    Args:
      embeddings: float32 [B, d].
      labels: int32 [B] in [0, num_classes); below 0: left out.
      num_classes: rows of the trainable `weights` [C, d].
      margin: m in radians, from 0 to pi; scale: s. A few hundred classes want a smaller scale than 64: 16 to 32.
    Returns:
      (loss scalar, {"accuracy": share of the batch whose largest cosine is the label's, without the margin}).
    """
    labels, embeddings = masks.known(labels, embeddings)
    cosines = class_vectors.class_cosines(embeddings, num_classes, "weights")  # [B, C]
    own = tf.one_hot(labels, num_classes, on_value=True, off_value=False)
    loss, _ = softmax(scale * tf.where(own, add_angle(cosines, margin), cosines), labels)
    return loss, softmax(cosines, labels)[1]


def add_angle(cosines, margin):
    """Return cos(theta + margin) from cos(theta), continued by cos(theta) - margin sin(margin) beyond pi."""
    # By the addition theorem: the derivative of acos is infinite at 1. So is that of the sine, hence the floor.
    sines = tf.sqrt(tf.maximum(1 - tf.square(cosines), class_vectors.NORM_EPSILON))
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    return tf.where(cosines > math.cos(math.pi - margin), turned, cosines - margin * math.sin(margin))

"""SoftTriple: several centres for each class (Qian et al., ICCV 2019, equations 7 and 9)."""
import numpy as np

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import class_vectors, distances, masks
from slim_retrieval.losses.softmax import softmax


def soft_triple(embeddings, labels, num_classes, centers=10, scale=20.0, gamma=0.1, margin=0.01, tau=0.2):
    """Return the mean cross entropy of scale * (S_c - margin [c is the label]), plus tau times the centres' spread.

    S_c = sum_k q_k x.w_ck with q = softmax_k(x.w_ck / gamma): a soft choice among the centres of class c. The spread is
    the sum of the distances between centres of one class over C K (K - 1): it draws superfluous centres together.

    Args:
      embeddings: float32 [B, d].
      labels: int32 [B] in [0, num_classes); below 0: left out.
      num_classes: C; the trainable `centers` are [C, K, d].
      centers: K. scale: lambda. margin: delta.
    Returns:
      (loss scalar, {"accuracy": share of the batch whose largest S is the label's}).
    """
    labels, embeddings = masks.known(labels, embeddings)
    vectors = class_vectors.unit(class_vectors.class_vectors(
        "centers", [num_classes, centers, class_vectors.width(embeddings)], embeddings.dtype))
    products = tf.tensordot(class_vectors.unit(embeddings), vectors, [[1], [2]])  # [B, C, K]
    similarities = tf.reduce_sum(tf.nn.softmax(products / gamma) * products, axis=2)  # [B, C]
    own = tf.one_hot(labels, num_classes, dtype=embeddings.dtype)
    loss, _ = softmax(scale * (similarities - margin * own), labels)
    if centers > 1 and tau:
        first, second = np.triu_indices(centers, 1)
        squared = tf.reduce_sum(tf.square(tf.gather(vectors, first, axis=1) - tf.gather(vectors, second, axis=1)), 2)
        loss += tau * tf.reduce_sum(distances.root(squared)) / (num_classes * centers * (centers - 1))
    return loss, softmax(similarities, labels)[1]

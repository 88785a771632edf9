"""Normalised softmax (Zhai and Wu, "Classification is a strong baseline for deep metric learning", BMVC 2019)."""
from slim_retrieval.losses import class_vectors, masks
from slim_retrieval.losses.softmax import softmax


def normalized_softmax(embeddings, labels, num_classes, temperature=0.05, label_smoothing=0.0):
    """Return the mean of -log softmax(cos(x, w_c) / temperature) at the label (equation 3).

    Args:
      embeddings: float32 [B, d].
      labels: int32 [B] in [0, num_classes); below 0: left out.
      num_classes: rows of the trainable `weights` [C, d].
      temperature: sigma in the paper.
      label_smoothing: as in softmax.py.
    Returns:
      (loss scalar, {"accuracy": share of the batch whose largest cosine is the label's}).
    """
    labels, embeddings = masks.known(labels, embeddings)
    cosines = class_vectors.class_cosines(embeddings, num_classes, "weights")  # [B, C]
    return softmax(cosines / temperature, labels, label_smoothing)

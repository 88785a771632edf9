"""What TensorBoard shows: scalars, and a picture of the hardest triplets of a batch."""
import io

import numpy as np
from PIL import Image

from slim_retrieval.common.tensorflow import tf

SIDE = 96  # pixels of an image in the picture, at most
GAP = 4  # white pixels between images


def write_scalars(writer, step, scalars):
    """Write {name: number} of a step."""
    values = [tf.Summary.Value(tag=name, simple_value=float(value)) for name, value in sorted(scalars.items())]
    writer.add_summary(tf.Summary(value=values), step)


def write_picture(writer, step, name, pixels):
    """Write a picture, uint8 [H, W, 3], of a step."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    picture = tf.Summary.Image(height=pixels.shape[0], width=pixels.shape[1], colorspace=3,
                               encoded_image_string=stream.getvalue())
    writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag=name, image=picture)]), step)


def hardest_triplets(embeddings, labels, count):
    """Return int [m, 3], m <= count: rows of anchor, farthest positive, closest negative; the worst anchors first.

    Anchors are ordered by D(a, p) - D(a, n), which is above 0 where the negative is closer; those without a positive
    or a negative, or of unknown label, are left out.

    Args:
      embeddings: float [B, d].
      labels: int [B]; below 0: unknown.
    """
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None, :], axis=2)
    known = (labels[:, None] >= 0) & (labels[None, :] >= 0)
    same = labels[:, None] == labels[None, :]
    positives, negatives = same & known & ~np.eye(len(labels), dtype=bool), ~same & known
    farthest = np.where(positives, distances, -np.inf)
    closest = np.where(negatives, distances, np.inf)
    anchors = np.flatnonzero(positives.any(axis=1) & negatives.any(axis=1))
    hardness = farthest.max(axis=1)[anchors] - closest.min(axis=1)[anchors]
    anchors = anchors[np.argsort(-hardness, kind="stable")][:count]
    return np.stack([anchors, farthest.argmax(axis=1)[anchors], closest.argmin(axis=1)[anchors]], axis=1)


def triplet_picture(images, triplets):
    """Return uint8 [H, W, 3]: a line for each triplet, with anchor, positive and negative side by side.

    Args:
      images: [B, S, S, 3] of 0 to 255.
      triplets: int [m, 3], m >= 1.
    """
    side = min(SIDE, images.shape[1])
    height, width = (count * (side + GAP) - GAP for count in triplets.shape)
    picture = np.full((height, width, 3), 255, np.uint8)
    for i, row in enumerate(triplets):
        for j, image in enumerate(images[row]):
            pixels = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).resize((side, side), Image.BILINEAR)
            top, left = i * (side + GAP), j * (side + GAP)
            picture[top:top + side, left:left + side] = pixels
    return picture

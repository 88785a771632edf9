"""Fashion-MNIST: few large classes; of its 10,000 test images, or of all 70,000."""
import numpy as np
from sets_common import raw, sample, sample_each


def all_pixels(material):
    """Raw pixels of all images."""
    parts = [material.fashion(split) for split in ("train", "t10k")]
    return {"features": raw(np.concatenate([images for images, _ in parts])),
            "labels": np.concatenate([labels for _, labels in parts])}


def pixels(material, size=None, each=None):
    """Raw pixels of `size` images, or of `each` of each class."""
    images, labels = material.fashion("t10k")
    rows = sample(len(labels), size) if each is None else sample_each(labels, each)
    return {"features": raw(images)[rows], "labels": labels[rows]}


def mobile(material, size=None, each=None):
    """MobileNetV2 features, dark on white as photographs of clothing are; the 3,000 lie within the 8,677."""
    images, labels = material.fashion("t10k")
    rows = sample(len(labels), 8677)
    features, labels = material.mobile(255 - images[rows]), labels[rows]
    chosen = slice(size) if each is None else sample_each(labels, each)
    return {"features": features[chosen], "labels": labels[chosen]}

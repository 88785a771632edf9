"""Fashion-MNIST's 10,000 test images: few large classes."""
from sets_common import raw, sample, sample_each


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

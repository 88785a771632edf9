"""What the makers of feature sets share: raw pixels as features, samples by class, training classes."""
import numpy as np
from PIL import Image

RAW_SIZE = 28


def raw(pictures, fit=None):
    """Return grey pixels at 28 x 28 less their mean, float32 [n, 784]: the weakest feature that still works.

    Args:
      pictures: uint8 [n, H, W] or [n, H, W, 3].
      fit: bool [n], the rows that the mean is taken of (not the queries); None: all.
    """
    pixels = np.stack([np.asarray(Image.fromarray(picture).convert("L").resize((RAW_SIZE, RAW_SIZE), Image.BILINEAR))
                       for picture in pictures]).reshape(len(pictures), -1).astype(np.float32)
    return pixels - pixels[slice(None) if fit is None else fit].mean(axis=0)


def standardised(columns):
    """Return columns with mean 0 and deviation 1; a constant column becomes 0."""
    columns = np.asarray(columns, np.float64)
    deviation = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def sample(count, size, seed=0):
    """Return `size` of the row numbers 0..count-1, drawn without replacement."""
    return np.random.RandomState(seed).permutation(count)[:size]


def sample_each(labels, size, seed=0):
    """Return row numbers, `size` drawn from each class, class by class."""
    random = np.random.RandomState(seed)
    return np.concatenate([random.permutation(np.flatnonzero(labels == label))[:size] for label in np.unique(labels)])


def sample_classes(labels, size, seed=0):
    """Return bool [n]: the rows of `size` classes drawn without replacement."""
    classes = np.unique(labels)
    return np.isin(labels, classes[np.random.RandomState(seed).permutation(len(classes))[:size]])


def unique_pictures(pictures, groups):
    """Return bool [n]: no earlier picture of the same group has exactly the same pixels."""
    seen, result = set(), np.zeros(len(pictures), bool)
    for i, (picture, group) in enumerate(zip(pictures, groups)):
        key = (group, picture.tobytes())
        result[i] = key not in seen
        seen.add(key)
    return result

"""Features of any number of images with known classes, made block by block: what large galleries are measured on.

A class has a centre and an image lies around it, both normal in LATENT dimensions (an image with SPREAD times the
deviation of a centre); a layer of rectified units bends these into WIDE, a linear map takes them to d, where noise of
NOISE times the feature's length is added. Like features of a network they are curved, have some 24 dimensions of their
own, a common mean (norm .54), and classes that overlap: plain search has a mean average precision near .6 for classes
of 48 images in the mean (log-normal, 3 to 1,000).
"""
import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.progress import progress

LATENT, WIDE = 24, 64
SPREAD, NOISE = 0.55, 0.35
BLOCK = 20000


def write(path, n, d, seed=0):
    """Write float32 [n, d] with L2-normalised rows to path (.npy), and their labels beside it; return the labels.

    Args:
      path: ends in .npy; the labels, int32 [n], go to the same with -labels.npy.
    """
    random = np.random.RandomState(seed)
    labels = draw_labels(n, random)
    centres = random.randn(labels.max() + 1, LATENT).astype(np.float32)
    bend = 1.5 * random.randn(LATENT, WIDE).astype(np.float32) / np.sqrt(LATENT)
    widen = random.randn(WIDE, d).astype(np.float32) / np.sqrt(WIDE)
    with files.replacing(path) as temporary:
        array = np.lib.format.open_memmap(temporary, "w+", np.float32, (n, d))
        for start in progress(range(0, n, BLOCK), what="making features", unit="block"):
            own = labels[start:start + BLOCK]
            latent = centres[own] + SPREAD * random.randn(len(own), LATENT).astype(np.float32)
            rows = unit(np.maximum(latent @ bend, 0) @ widen)
            rows += NOISE * random.randn(*rows.shape).astype(np.float32) / np.sqrt(d)
            array[start:start + BLOCK] = unit(rows)
        array.flush()
    files.write_array(path[:-len(".npy")] + "-labels.npy", labels)
    return labels


def draw_labels(n, random):
    """Return int32 [n], classes in any order."""
    sizes = np.clip(np.exp(random.randn(n // 3 + 1) + 3.4), 3, 1000).astype(int)
    labels = np.repeat(np.arange(len(sizes)), sizes)[:n].astype(np.int32)
    random.shuffle(labels)
    return labels


def unit(rows):
    """Return the rows, L2-normalised."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

"""Features of single photos, made as those of a run's split were made: by the same weights with the same settings."""
import contextlib
import os
import time

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import digest
from slim_retrieval.datasets import images
from slim_retrieval.nets import whiten
from slim_retrieval.nets.extraction import FeatureNetwork, stored_model
from slim_retrieval.nets.split_features import checksum_of, resize_of
from slim_retrieval.nets.whitening import apply_whitening

BATCH = 32  # photos that the network takes at once
AGAIN = "extract the features again (extract_features.py)"


@contextlib.contextmanager
def opened(run, meta, devices=()):
    """Yield the function from photos to their features; the network is built once, and held until the context ends.

    The function takes a list of p paths, or files' bytes, and returns (float32 [p, d], rows L2-normalised, seconds). It
    raises InputError where a photo cannot be read or has no feature.

    Args:
      run: folder of the run.
      meta: dict, the meta.json of the features that the photos' are to be compared with.
      devices: names of the devices to run on; none: extraction's choice.

    Raises:
      InputError: the run no longer has the weights or the whitening of these features, or cannot know.
    """
    checkpoint = _checkpoint(run, meta)
    stored_model(os.path.dirname(checkpoint), meta["model"], meta["end_point"])
    whitening = _whitening(run, meta)
    running = dict(resize_of(meta["resize"]), devices=list(devices), precision=meta["precision"])
    with FeatureNetwork(checkpoint, meta["model"], meta["end_point"], meta["pooling"], (), meta["views"], running,
                        weights=meta["weights"]) as network:
        yield lambda photos: _features(network, photos, meta["draft"], whitening)


def _features(network, photos, draft, whitening):
    """Return (float32 [p, d], rows L2-normalised, seconds)."""
    start = time.perf_counter()
    found = network.of_list([images.decode(photo, size_of=network.size_of, draft=draft) for photo in photos],
                            min(len(photos), BATCH))[0]
    if whitening:
        found = apply_whitening(found, *whitening)
    norms = np.linalg.norm(found.astype(np.float64), axis=1, keepdims=True)
    for photo, norm in zip(photos, norms[:, 0]):
        if not np.isfinite(norm) or norm == 0:
            raise InputError("the network gives a feature of length {} for {}; take another photo".format(
                norm, "a photo" if isinstance(photo, bytes) else photo))
    return (found / norms).astype(np.float32), time.perf_counter() - start


def _checkpoint(run, meta):
    """Return the path of the checkpoint that the features were extracted with."""
    if "models" in meta:
        raise InputError("the features of {} are those of {} models side by side; name the run of one model".format(
            run, len(meta["models"])))
    if "checkpoint_hash" not in meta:
        raise InputError("the features of {} do not say which weights made them; delete {} and {}".format(
            run, os.path.join(run, "features"), AGAIN))
    path = os.path.join(run, "checkpoints", meta["checkpoint"])
    if not os.path.isfile(path + ".index"):
        raise InputError("the features of {} were extracted with {}, which is there no more; {}".format(
            run, path, AGAIN))
    if digest(checksum_of(path)) != meta["checkpoint_hash"]:
        raise InputError("{} has other weights than the features of {} were extracted with; {}".format(
            path, run, AGAIN))
    return path


def _whitening(run, meta):
    """Return (mean, projection), or None."""
    if not meta["whitening"]:
        return None
    mean, projection, record = whiten.load(run, meta["whitening"]["name"], meta)
    if record["hash"] != meta["whitening"]["hash"]:
        raise InputError("whitening {} was fitted anew since the features of {} were extracted; {}".format(
            record["name"], run, AGAIN))
    return mean, projection

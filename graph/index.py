"""A fitted method that answers single queries, kept from call to call where fitting takes long.

    <run>/index/cfa/     cfa_file.py; built by the first query, and again when features or settings are others
    <run>/gfr/           what GFR learned (learned.py)
"""
import os
import time

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import cfa_file, knn, methods, pipeline


def fitted(name, config, key, read, folder):
    """Return the method fitted on the gallery: from its files where they fit, so that the gallery is not read at all.

    Args:
      name: a method in methods.METHODS.
      config: the checked configuration as nested dicts.
      key: str, hash of the gallery's features.
      read: function that returns (gallery, train), sources.Source, train perhaps None: see pipeline.retrieve.
      folder: of the run.
    """
    lookup(methods.METHODS, name, "method")
    knn.import_faiss()  # here, so that the first query does not wait for it
    if name != "cfa" or config["cfa"]["queries"] == "joint":
        return pipeline.fitted(name, config, *read(), folder, pipeline.Stages())[0]
    path = os.path.join(folder, "index", name)
    key = files.digest(config["cfa"], config["graph"], config["run"]["seed"], key)
    try:
        return cfa_file.load(path, key)
    except InputError as reason:
        print("  {}: building it".format(reason), flush=True)
    model = pipeline.fitted(name, config, *read(), folder, pipeline.Stages())[0]
    cfa_file.save(model, path, key)
    return model


def ask(estimator, queries, k):
    """Return (ids int32 [q, k], similarities float32 [q, k] or None, seconds) of queries' nearest gallery images.

    Args:
      estimator: fitted. Of one that only re-orders there are no similarities.
      queries: float32 [q, d], rows L2-normalised.
      k: how many; beyond the gallery's size -1 pads.
    """
    start = time.perf_counter()
    if hasattr(estimator, "rank"):
        ids, similarities = estimator.rank(queries, k), None
    else:
        ids, similarities = knn.search(estimator.transform(queries), estimator.gallery_, k)
    return ids, similarities, time.perf_counter() - start

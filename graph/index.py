"""A fitted method that answers single queries, kept from call to call where fitting takes long.

    <run>/index/cfa/                       cfa_file.py; built by the first query, and again when settings are others;
                                           where the gallery has got or lost some images it is updated (growth.py)
    <run>/index/<method>/lists/<array>/    index_lists.py, of each large array that is searched
    <run>/gfr/                             what GFR learned (learned.py)
"""
import os
import time
from collections import namedtuple

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.graph import cfa_file, growth, index_lists, methods, pipeline, sources
from slim_retrieval.graph.plain import Plain

# estimator: fitted (methods.py); lists: {"gallery_": InvertedFile, "source_": InvertedFile}, of arrays that have them.
Index = namedtuple("Index", "estimator lists")


def fitted(name, config, key, read, folder):
    """Return the Index of a method fitted on the gallery: from its files where they fit, the gallery then unread.

    Args:
      name: a method in methods.METHODS.
      config: the checked configuration as nested dicts.
      key: str, hash of the gallery's features.
      read: function that returns (gallery, train), sources.Source, train perhaps None: see pipeline.retrieve.
      folder: of the run.
    """
    lookup(methods.METHODS, name, "method")
    path, settings = os.path.join(folder, "index", name), config["retrieval"]
    lists = os.path.join(path, "lists")
    if name == "cfa" and config["cfa"]["queries"] != "joint":
        estimator, keys, came_from = _cfa(path, config, key, read, folder)
        searched = ["gallery_"] if estimator.queries == "raw" else ["source_", "gallery_"]
        return Index(estimator, index_lists.lists_of(estimator, searched, settings, keys[1], lists, keys[0], came_from))
    if name == "none" and settings["search"] == "auto":
        try:
            return Index(Plain(), {"gallery_": index_lists.load(lists, "gallery_", key, settings["recall"])})
        except InputError:  # it is told below, where the gallery is large
            pass
    estimator = pipeline.fitted(name, config, *read(), folder, pipeline.Stages())[0]
    if name != "none":
        return Index(estimator, {})
    return Index(estimator, index_lists.lists_of(estimator, ["gallery_"], settings, key, lists))


def of_run(name, config, run):
    """Return the Index of a method fitted on the gallery of a run.

    Args:
      name, config: see `fitted`. run: folder, with features/gallery as extraction writes them.
    """
    key = files.read_json(os.path.join(run, "features", "gallery", "meta.json"))["features_hash"]
    return fitted(name, config, key, lambda: (sources.from_run(run, "gallery"), sources.train_of_run(run)), run)


def ask(index, queries, k):
    """Return (ids int32 [q, k], similarities float32 [q, k] or None, seconds) of queries' nearest gallery images.

    Args:
      index: an Index. Of a method that only re-orders there are no similarities.
      queries: float32 [q, d], rows L2-normalised.
      k: how many; beyond the gallery's size -1 pads.
    """
    start = time.perf_counter()
    estimator, lists = index
    if hasattr(estimator, "rank"):
        ids, similarities = estimator.rank(queries, k), None
    else:
        more = {"search": index_lists.search_of(lists["source_"])} if "source_" in lists else {}
        queries = estimator.transform(queries, **more)
        search = index_lists.search_of(lists.get("gallery_"))
        ids, similarities = search(queries, getattr(estimator, "gallery_", None), k)
    return ids, similarities, time.perf_counter() - start


def _cfa(path, config, key, read, folder):
    """Return (CFA from the files, updated or fitted; keys of what was stored and is; which of its rows each row was).

    What was not stored before is stored. Unless an index was updated the first key and the last value are None.
    """
    settings = files.digest(config["cfa"], config["graph"], config["run"]["seed"])
    keys = [None, files.digest(settings, key)]
    try:
        return cfa_file.load(path, settings, key), keys, None
    except InputError as problem:
        reason = str(problem)
    gallery, train = read()
    model, reason, came_from = _updated(path, settings, gallery.features, reason)
    if model is None:
        print("  {}: building it".format(reason), flush=True)
        config = dict(config, cfa=dict(config["cfa"], keep=True))
        model = pipeline.fitted("cfa", config, gallery, train, folder, pipeline.Stages())[0]
    else:
        keys[0] = files.digest(settings, cfa_file.gallery_of(path))
    cfa_file.save(model, path, settings, key)
    return model, keys, came_from


def _updated(path, settings, gallery, reason):
    """Return (the stored CFA updated to this gallery or None, why it is not, which row each row was)."""
    try:
        before = cfa_file.load(path, settings)
    except InputError:
        return None, reason, None
    found = growth.changes(before, gallery)
    if found.anew:
        return None, "{}, and {}".format(reason, found.anew), None
    model = growth.update(before, gallery, found)
    print("  {}: {}".format(reason, growth.told(model.report_["growth"])), flush=True)
    return model, "", found.came_from

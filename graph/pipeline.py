"""From features to a ranking: graph, learn, fit, transform, search, each stage timed."""
import os
import time

from slim_retrieval.common import files, machine
from slim_retrieval.common.errors import lookup
from slim_retrieval.graph import features, knn_store, learned, methods, ranking

STORED, FEW = 100, 100000  # neighbours stored for as many images: more methods find enough in the graph


def retrieve(name, config, query, gallery, train=None, folder=".", side=None, edges=None):
    """Rank the gallery for each query by a method; return (ranking, record).

    Args:
      name: a method in methods.METHODS.
      config: the checked configuration as nested dicts.
      query, gallery: sources.Source.
      train: sources.Source with labels for a method that learns; None: it learns from the gallery, without labels.
      side: side_information.Side about the gallery, or None.
      edges: (query, gallery), sources.Source of the features that make the edges instead, or None.
      folder: graphs are kept in its graph/, trained weights in its <method>/ by a hash of what they depend on.

    Returns:
      ranking: int32 [q, k], best first.
      record: dict of what is stored beside a ranking. `seconds` counts the graph's building also where a stored graph
        was reused (`graph_reused`), so that methods stay comparable.

    Raises:
      InputError: unknown method, widths that differ.
    """
    lookup(methods.METHODS, name, "method")
    features.check_same_width(query.features, gallery.features)
    stages = Stages()
    estimator, section, teacher = fitted(name, config, gallery, train, folder, stages, side, edges)
    k = config["retrieval"]["k"] or ranking.default_depth(len(gallery.features))
    k = min(k, len(gallery.features))
    to_ask = {"edge_features": edges[0].features} if edges else {}
    ranks = _rank(estimator, query.features, k, config["retrieval"]["block"], stages, to_ask)
    return ranks, _record(name, section, config["run"]["seed"], (query, gallery, teacher), ranks, stages, estimator)


def fitted(name, config, gallery, train, folder, stages, side=None, edges=None):
    """Return (estimator fitted on the gallery, its section of the configuration, the Source that taught it or None).

    Args:
      stages: Stages, which takes the times.
      name, config, gallery, train, folder, side, edges: see `retrieve`.
    """
    make = lookup(methods.METHODS, name, "method")
    section, seed = dict(config.get(name, {})), config["run"]["seed"]
    estimator, teacher = make(section, seed), None
    if methods.needs_training(name, section):
        teacher = learned.teacher(name, train, gallery)
        estimator, section["checkpoint"] = learned.learned(
            name, estimator, section, seed, teacher, folder, stages,
            lambda: _graph(estimator, teacher, config, folder, stages, "train_graph"))
    near = _graph(estimator, edges[1] if edges else gallery, config, folder, stages, "graph")
    to_fit = {} if side is None else {"side": side}  # only methods that take it get it
    if edges:
        to_fit["edge_features"] = edges[1].features
    with stages("fit"):
        estimator.fit(gallery.features, neighbors=near, **to_fit)
    for what, why in getattr(estimator, "report_", {}).get("chosen", {}).items():
        print("  chosen {}: {}".format(what, why), flush=True)
    return estimator, section, teacher


def _rank(estimator, queries, k, block, stages, more):
    """Return the ranking, int32 [q, k]: the method's own, or nearest neighbours among its features."""
    if hasattr(estimator, "rank"):
        with stages("rank"):
            return estimator.rank(queries, k, **more)
    with stages("transform"):
        moved = estimator.transform(queries, **more)
    with stages("search"):
        return ranking.rank(moved, estimator.gallery_, k, block)


class Stages(machine.Stopwatch):
    """A stopwatch that prints each stage as it ends."""

    reused = False

    def __exit__(self, *error):
        super().__exit__(*error)
        if error[0] is None:
            self.tell(self._stage)

    def tell(self, stage, note=""):
        print("  {}: {:.2f} s{}".format(stage, self.seconds[stage], note), flush=True)


def _graph(estimator, source, config, folder, stages, stage):
    """Return the neighbours that the method takes, stored or built; None when it takes none."""
    needed = estimator.needed_neighbors(len(source.features))
    if needed == 0:
        return None
    k = max(needed, config["graph"]["neighbors"] or (STORED if len(source.features) <= FEW else 0))
    array, key = source.features, source.key
    if hasattr(estimator, "graph_features"):
        array = estimator.graph_features(features.check_features(array, "gallery"))
        key += "" if array is source.features else "-centred"
    ids, similarities, meta = knn_store.load_or_build(array, k, os.path.join(folder, "graph"), key,
                                                config["retrieval"]["block"], config["graph"]["index"],
                                                config["graph"]["recall"])
    stages.seconds[stage] = meta["seconds"]
    stages.reused = stages.reused or meta["reused"]
    stages.tell(stage, " (stored, not built again)" if meta["reused"] else " ({})".format(meta["backend"]))
    return ids, similarities


def _record(name, section, seed, read, ranks, stages, estimator):
    query, gallery, teacher = read
    hashes = {"query": query.features_hash, "gallery": gallery.features_hash}
    if teacher is not None and teacher.labels is not None:  # else it is the gallery
        hashes["train"] = teacher.features_hash
    return {"method": name, "parameters": methods.parameters(estimator, section), "seed": seed, "k": ranks.shape[1],
            "num_queries": len(query.features), "num_gallery": len(gallery.features),
            "features_hash": hashes,
            "seconds": stages.total, "stage_seconds": dict(stages.seconds), "graph_reused": stages.reused,
            "peak_memory_mb": machine.peak_memory_mb(), "versions": machine.versions(),
            "report": getattr(estimator, "report_", {}), "written": time.strftime("%Y-%m-%d %H:%M:%S")}


def write(folder, name, ranks, record):
    """Write <folder>/<name>.npy and .json; return the .npy's path.

    A ranking never lies beside another's json or none: both are written in full, then the old ranking goes, the json
    is put in place, and the ranking last.
    """
    path = os.path.join(folder, name + ".npy")
    with files.replacing(path) as array, files.replacing(os.path.join(folder, name + ".json")) as about:
        files.write_array(array, ranks)
        files.write_json(about, record)
        files.remove(path)
    return path

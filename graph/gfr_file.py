"""The file of a trained GFR: an .npz of arrays and `meta`, a JSON text. Nothing in it is pickled.

    network layers        P0, W0, P1, ...: name and layer, see gfr_layers.shapes
    mean, matrix          the metric, where there is one
    scorer, propagation   layers edge: weights and, last, bias of gfr_scorer.Scorer; what else
                          gfr_edge.Edges holds

Format 1 held layers sage alone and named no kind of layer; it is still read.
"""
import json
import os
import zipfile

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gfr_edge, gfr_edge_features, gfr_layers, gfr_metric, gfr_scorer

FORMAT = 3
KEYS = ["seed", "width", "options", "report"]
FIRST_FORMAT = {"layer": "sage"}  # what its options leave unsaid


def write(path, weights, metric, edges, meta):
    """Write what was learned and the dict `meta` with KEYS to `path`, complete or not at all.

    Args:
      weights: [{name: array}] of a network; empty for layers edge.
      metric: gfr_metric.Metric or None.
      edges: gfr_edge.Edges or None.
    """
    arrays = {name + str(i): value for i, layer in enumerate(weights) for name, value in layer.items()}
    if metric is not None:
        arrays.update(mean=metric.mean, matrix=metric.matrix)
    if edges is not None:
        arrays.update(scorer=np.append(edges.scorer.weight, edges.scorer.bias),
                      propagation=np.array(edges[1:]))
    text = json.dumps(dict(meta, format=FORMAT), sort_keys=True)
    with files.replacing(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, meta=np.array(text), **arrays)


def read(path):
    """Return (arrays by name, meta dict with KEYS) of a file that `write` wrote.

    Raises:
      InputError: no such file, another kind of file, another format.
    """
    if not os.path.isfile(path):
        raise InputError("no file {}; train a GFR first, or give another gfr.checkpoint".format(path))
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(str(arrays.pop("meta")))
        found = meta["format"]
        if found in (1, FORMAT):
            meta = {key: meta[key] for key in KEYS}
        if found == 1:
            meta["options"] = dict(FIRST_FORMAT, **meta["options"])
    # np.load gives a bare array (no context manager, no .files) for an .npy file.
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError("{} is not a file that GFR.save wrote ({}: {}); train again".format(
            path, type(error).__name__, error)) from error
    if found not in (1, FORMAT):
        raise InputError("{} has format {}, this version reads {}; train again".format(path, found, FORMAT))
    return arrays, meta


def weights(path, arrays, width, options):
    """Return (network weights, Metric or None, Edges or None); refuse shapes that contradict width and options.

    Args:
      width: columns of the features that were trained on.
      options: GFRConfig, resolved.
    """
    metric, edges, network = None, None, []
    if "mean" in arrays or "matrix" in arrays:
        rank = arrays["matrix"].shape[-1] if "matrix" in arrays else 0
        metric = gfr_metric.Metric(_array(path, arrays, "mean", (width,)),
                                   _array(path, arrays, "matrix", (width, rank)))
        width = rank or width
    if options.layer == "edge":
        scorer = _array(path, arrays, "scorer", (gfr_edge_features.COUNT + 1,), np.float64)
        propagation = _array(path, arrays, "propagation", (4,), np.float64)
        edges = gfr_edge.Edges(gfr_scorer.Scorer(scorer[:-1], float(scorer[-1])), *map(float, propagation[:3]),
                               layers=int(propagation[3]))
    else:
        network = [{name: _array(path, arrays, name + str(i), shape) for name, shape in layer.items()}
                   for i, layer in enumerate(gfr_layers.shapes(width, options))]
    return network, metric, edges


def _array(path, arrays, name, shape, dtype=np.float32):
    found = arrays[name].shape if name in arrays else "none"
    if found != shape:
        raise InputError("{}: {} has shape {}, its options ask for {}; train again".format(path, name, found, shape))
    return arrays[name].astype(dtype)

"""Where side information comes from: columns of an index, files of vectors and scores, another run's features."""
from collections import namedtuple

import numpy as np

from slim_retrieval.common import partition
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import edge_features, leakage, pair_scores, side_columns, side_information, side_text
from slim_retrieval.graph.leakage import Piece

# side: side_information.Side or None. edges: (query, gallery) Sources of the features that make edges, or None.
# pieces: list of leakage.Piece. settings: plain dict for the record.
Given = namedtuple("Given", "side edges pieces settings")

SOURCES = ["labels", "text", "text_vectors", "pair_scores", "edge_features"]  # settings that name something to read


def gather(section, nodes, run=None, cut=None, directory="runs", columns_path=None, edge_paths=(None, None)):
    """Return all side information about a ranking as a Given, after the check that it is not the ground truth.

    Args:
      section: dict, the section `side` of the configuration.
      nodes: (query, gallery), the sources.Source that are ranked.
      run: folder of the run, or None for features from anywhere.
      cut: (share, seed) where the run's validation split is cut into query and gallery, else None.
      directory: folder that holds all runs.
      columns_path: --side_columns, a CSV file, or None.
      edge_paths: (--query_edge_features, --edge_features), .npy files, or None twice.

    Raises:
      InputError: see `read`, edge_features.read and leakage.check.
    """
    rows = len(nodes[1].features)
    query, gallery, columns = None, None, side_columns.NONE
    if run and (columns_path or edge_paths[0] or any(section[name] for name in SOURCES)):
        query, gallery, path = side_columns.read_indexes(run, cut)
        columns = side_columns.Columns(gallery, path, True)
    if columns_path:
        if not any(section[name] for name in ("labels", "text", "pair_scores")):
            raise InputError("--side_columns {}: nothing uses it; name its columns with --side.labels or "
                             "--side.text".format(columns_path))
        columns = side_columns.Columns(side_columns.read_columns(columns_path, rows, gallery), columns_path, False)
    side, pieces = read(section, rows, columns)
    edges = edge_features.read(section["edge_features"], edge_paths, nodes, cut, directory)
    if edges:
        pieces.append(Piece("edge_features", edges[1].where, "", partition.row_codes(edges[1].features)))
    labels = [None if index is None else index.get(leakage.EVALUATED) for index in (query, gallery)]
    leakage.check(pieces, *labels)
    settings = {} if side is None else side_information.settings(side)
    if edges:
        settings["edge_features"] = {name: source.features_hash for name, source in zip(("query", "gallery"), edges)}
    return Given(side, edges, pieces, settings)


def read(section, rows, columns=side_columns.NONE):
    """Return (Side, pieces), or (None, []) when the settings ask for nothing.

    Args:
      section: dict, the section `side` of the configuration.
      rows: number of gallery images.
      columns: Columns about them.

    Returns:
      side_information.Side, and a list of leakage.Piece: what each source joins.

    Raises:
      InputError: something is missing, malformed, or about another number of images.
    """
    given, pieces = {"denoise": section["denoise"]}, []
    for reader in (_read_labels, _read_text, _read_pairs):
        found = reader(section, rows, columns)
        if found:
            given.update(found[0])
            pieces.append(found[1])
    if not pieces and section["denoise"] == "none":
        return None, []
    side = side_information.Side(**given)
    side_information.check(side, rows)
    return side, pieces


def _read_labels(section, rows, columns):
    if not section["labels"]:
        return None
    codes = partition.codes(side_columns.column(columns, section["labels"], "side.labels"))
    given = {"labels": codes, "modes": list(section["modes"]), "trust": _trust(section["trust"])}
    given.update((name, section[name]) for name in ("add_neighbors", "agree", "disagree"))
    return given, Piece("side.labels", columns.path, section["labels"], codes)


def _read_text(section, rows, columns):
    if section["text"] and section["text_vectors"]:
        raise InputError("side.text ({!r}) and side.text_vectors ({!r}) exclude each other; give a column or "
                         "vectors".format(section["text"], section["text_vectors"]))
    if section["text"]:
        texts = side_columns.column(columns, section["text"], "side.text")
        vectors = side_text.tfidf(texts)
        piece = Piece("side.text", columns.path, section["text"], partition.codes(texts))
    elif section["text_vectors"]:
        vectors = side_text.given(section["text_vectors"], rows)
        piece = Piece("side.text_vectors", section["text_vectors"], "", partition.row_codes(vectors))
    else:
        return None
    count = section["text_neighbors"]
    return {"text": vectors, "text_weight": section["text_weight"],
            "text_neighbors": side_text.neighbors(vectors, count) if count else None}, piece


def _read_pairs(section, rows, columns):
    path = section["pair_scores"]
    if not path:
        return None
    pairs = pair_scores.read(path, rows, None if columns.values is None else columns.values.get("path"))
    return ({"pairs": pairs, "pair_mode": section["pair_mode"], "pair_scale": section["pair_scale"]},
            Piece("side.pair_scores", path, "", pair_scores.groups(pairs, rows)))


def _trust(text):
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 <= value <= 1:
        raise InputError("side.trust: {!r} is neither auto nor a number from 0 to 1".format(text))
    return value

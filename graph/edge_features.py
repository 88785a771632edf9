"""Features that make the edges, where these are others than the features that are ranked.

One feature for both lets its errors count twice: it joins the wrong images and then mixes them.
"""
from slim_retrieval.common import runs
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import features, sources


def read(run, paths, nodes, cut=None, directory="runs"):
    """Return the Sources (query, gallery) of the features that make edges, or None when none are named.

    Args:
      run: another run, by name or path, or "".
      paths: (query, gallery), .npy files, or None twice.
      nodes: (query, gallery), the Sources that are ranked; the edge features are about the same images.
      cut: (share, seed) of the validation split, or None.
      directory: folder that holds all runs.

    Raises:
      InputError: only one file, files and a run, another number of rows, or widths that differ.
    """
    if any(paths) and not all(paths):
        raise InputError("--edge_features and --query_edge_features go together, as a query's neighbours are found by "
                         "the features that make the gallery's edges; missing: {}".format(
                             "--edge_features" if paths[0] else "--query_edge_features"))
    if any(paths) and run:
        raise InputError("--edge_features and side.edge_features ({}) exclude each other; give files or a run".format(
            run))
    if any(paths):
        edges = sources.from_file(paths[0], "query"), sources.from_file(paths[1], "gallery")
    elif run:
        folder = runs.find(run, directory)
        edges = sources.from_validation(folder, *cut) if cut else (sources.from_run(folder, "query"),
                                                                   sources.from_run(folder, "gallery"))
    else:
        return None
    for name, edge, node in zip(("query", "gallery"), edges, nodes):
        if len(edge.features) != len(node.features):
            raise InputError("edge features {} have {} rows and the {} features {} have {}; they must match row by "
                             "row".format(edge.where, len(edge.features), name, node.where, len(node.features)))
    features.check_same_width(edges[0].features, edges[1].features, "query edge")
    return edges

"""What a run's rankings are scored by, and whether they belong to its features."""
import glob
import os

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.validation import cut
from slim_retrieval.evaluation import protocols, tables
from slim_retrieval.evaluation.binding import bind
from slim_retrieval.evaluation.ground_truth import Index
from slim_retrieval.evaluation.scoring import about_path, name_of, read_about, read_object


def read_ground_truth(run, config, validation=False):
    """Return the `GroundTruth` of a run's features; with `validation`, of the cut of its validation split.

    The protocol is evaluation.protocol. Its ground truth is read from evaluation.ground_truth and matched by name with
    the run's images; without that, its rule is applied to the run's own index. The validation split never has a
    benchmark's ground truth: it is judged by the protocol's rule, or else by "same label".
    """
    settings, features = config.evaluation, os.path.join(run, "features")
    protocol = lookup(protocols.PROTOCOLS, settings.protocol, "protocol")
    if validation:
        path = os.path.join(features, "validation", "index.csv")
        if not os.path.isfile(path):
            raise InputError("no validation features {}; set data.validation and run extract_features.py".format(path))
        table = tables.read_table(path)
        query, gallery = cut(len(table.column("path")), settings.validation_queries, config.run.seed)
        return protocols.of_tables(settings.protocol if protocol.rule else "classes", table.take(query),
                                   table.take(gallery))
    query, gallery = (_read_index(features, split) for split in tables.SPLITS)
    if not settings.ground_truth:
        return protocols.of_tables(settings.protocol, query, gallery)
    # A photo may hold several queries: `query` is the ground truth's name for each (datasets/benchmark_oxford.py).
    return bind(protocols.read(settings.protocol, settings.ground_truth), query.column("path"), gallery.column("path"),
                "the run {}".format(run), query.columns.get("query"), settings.allow_missing)


def read_train_index(run):
    """Return the `Index` of the run's train features, or None when they were not extracted."""
    path = os.path.join(run, "features", "train", "index.csv")
    if not os.path.isfile(path):
        return None
    table = tables.read_table(path)
    return Index(table.column("path"), table.columns.get("label", []))


def find_rankings(base, methods=None, validation=False):
    """Return {method: path of its .npy} below `base`, of all methods or of those named.

    Raises:
      InputError: there is none, or none of that name.
    """
    folder = os.path.join(base, "rankings")
    found = {name_of(path): path for path in sorted(glob.glob(os.path.join(folder, "*.npy")))}
    if not found:
        raise InputError("no rankings in {}; run retrieve.py{} first".format(
            folder, " --validation" if validation else ""))
    return {name: lookup(found, name, "ranking in {}".format(folder)) for name in methods or found}


def check_belongs(run, path, config, validation=False):
    """Return the JSON beside a ranking after checking that it was made from the run's present features.

    Raises:
      InputError: no JSON, no hashes in it, features that were extracted again since, or (validation) another cut.
    """
    about, name = read_about(path) or {}, name_of(path)
    again = "run retrieve.py{} --method {} --name {} again".format(
        " --validation" if validation else "", about.get("method", "METHOD"), name)
    if not isinstance(about.get("features_hash"), dict) or not about["features_hash"]:
        raise InputError("{} does not say which features it was made from; {}".format(about_path(path), again))
    for split, made_from in sorted(about["features_hash"].items()):
        folder = "validation" if validation and split in ("query", "gallery") else split
        meta = os.path.join(run, "features", folder, "meta.json")
        if not os.path.isfile(meta):
            raise InputError("no {}; run extract_features.py again".format(meta))
        present = read_object(meta).get("features_hash")
        if present != made_from:
            raise InputError("{} was made from {} features {}, but the run now has {}; {}".format(
                path, folder, made_from, present, again))
    if validation:
        _check_cut(about, config, path, again)
    return about


def _check_cut(about, config, path, again):
    """Refuse a ranking of other validation queries: the same number of them may have been drawn by another seed."""
    for key, present in (("validation_queries", config.evaluation.validation_queries), ("seed", config.run.seed)):
        if about.get(key) != present:
            raise InputError("{} was cut with {} {}, but the configuration has {}; give the same or {}".format(
                path, key, about.get(key), present, again))


def _read_index(features, split):
    path = os.path.join(features, split, "index.csv")
    if not os.path.isfile(path):
        raise InputError("no {} features {}; run extract_features.py".format(split, path))
    return tables.read_table(path)

"""Evaluate the rankings of a run: find them, check that they belong to its features, return results by method."""
import glob
import os

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.validation import cut
from slim_retrieval.evaluation import ground_truth as truths
from slim_retrieval.evaluation import leakage, metrics, rankings

COPIED = ["method", "parameters", "seed", "seconds", "stage_seconds", "peak_memory_mb", "features_hash",
          "side_information"]


def read_ground_truth(run, config, validation=False):
    """Return the `GroundTruth` of a run's features; with `validation`, of the cut of its validation split."""
    if not validation:
        return truths.read("classes", os.path.join(run, "features"))
    path = os.path.join(run, "features", "validation", "index.csv")
    if not os.path.isfile(path):
        raise InputError("no validation features {}; set data.validation and run extract_features.py".format(path))
    index = truths.read_index(path)
    query, gallery = cut(len(index.paths), config.evaluation.validation_queries, config.run.seed)
    return truths.classes(truths.take(index, query), truths.take(index, gallery))


def read_train_index(run):
    """Return the `Index` of the run's train features, or None when they were not extracted."""
    path = os.path.join(run, "features", "train", "index.csv")
    return truths.read_index(path) if os.path.isfile(path) else None


def find_rankings(folder, methods=None):
    """Return {method: path of its .npy} in `folder`, of all methods or of those named.

    Raises:
      InputError: there is none, or none of that name.
    """
    found = {_name(path): path for path in sorted(glob.glob(os.path.join(folder, "*.npy")))}
    if not found:
        raise InputError("no rankings in {}; run retrieve.py first".format(folder))
    return {name: lookup(found, name, "ranking in {}".format(folder)) for name in methods or found}


def check_belongs(run, path, config, validation=False):
    """Return the JSON beside a ranking after checking that it was made from the run's present features.

    Raises:
      InputError: no JSON, no hashes in it, features that were extracted again since, or (validation) another cut.
    """
    about, name = read_about(path) or {}, _name(path)
    again = "run retrieve.py{} --method {} --name {} again".format(
        " --validation" if validation else "", about.get("method", "METHOD"), name)
    if not isinstance(about.get("features_hash"), dict) or not about["features_hash"]:
        raise InputError("{} does not say which features it was made from; {}".format(_about_path(path), again))
    for split, made_from in sorted(about["features_hash"].items()):
        folder = "validation" if validation and split in ("query", "gallery") else split
        meta = os.path.join(run, "features", folder, "meta.json")
        if not os.path.isfile(meta):
            raise InputError("no {}; run extract_features.py again".format(meta))
        present = _read_json(meta).get("features_hash")
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


def read_about(path):
    """Return the JSON that lies beside a ranking's .npy, or None."""
    return _read_json(_about_path(path)) if os.path.isfile(_about_path(path)) else None


def evaluate(path, ground_truth, settings, about=None):
    """Return (ranking, result) of one method.

    Args:
      path: the ranking's .npy file.
      ground_truth: the `GroundTruth`.
      settings: the evaluation configuration (schema's EvaluationConfig).
      about: dict that lies beside the ranking, with seconds and peak memory; or None.

    Returns:
      the ranking, int [num_queries, k], memory-mapped; and the metrics with the file's `name`, what `about` adds and
      how it was scored. `average_precision` is an array and is left out of files by `write`.
    """
    leakage.check(path, about, ground_truth)
    num_gallery = ground_truth.relevance.num_gallery
    ranks = rankings.load(path, len(ground_truth.query.paths), num_gallery)
    result = metrics.evaluate(ranks, ground_truth.relevance, settings.ap, sorted({1} | set(settings.recall_at)))
    result.update({key: (about or {}).get(key) for key in COPIED})
    result.update(k=ranks.shape[1], num_gallery=num_gallery, ap=settings.ap, positives=ground_truth.rule)
    result["name"] = _name(path)
    return ranks, result


def write(path, result, caption):
    """Write one method's result as JSON, with the caption of its table."""
    kept = {key: value for key, value in result.items() if key != "average_precision"}
    files.write_json(path, dict(kept, caption=caption))


def _name(path):
    return os.path.splitext(os.path.basename(path))[0]


def _about_path(path):
    return os.path.splitext(path)[0] + ".json"


def _read_json(path):
    value = files.read_json(path)
    if not isinstance(value, dict):
        raise InputError("{}: expected a JSON object, got {}".format(path, type(value).__name__))
    return value

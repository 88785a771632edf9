"""Score one ranking by a ground truth, compare methods, write the results."""
import os

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import leakage, metrics, ranking_files, significance

COPIED = ["method", "parameters", "seed", "seconds", "stage_seconds", "peak_memory_mb", "features_hash",
          "side_information"]
REFERENCE = "none"  # plain search, which every other method is compared with
OWN_AP = "protocol"


def evaluate(path, ground_truth, settings, about=None, seed=0):
    """Return (ranking, result, the `GroundTruth` for them) of one method.

    Args:
      path: the ranking, in a form of ranking_files.py.
      ground_truth: the `GroundTruth`.
      settings: the evaluation configuration (schema's EvaluationConfig).
      about: dict that lies beside the ranking, with seconds and peak memory; or None.
      seed: of the interval.

    Returns:
      the ranking, int [num_queries, k], memory-mapped where it is a .npy; the metrics with the file's `name`,
      `mAP_interval`, what `about` adds, how it was scored, and `settings` with the same metrics for each setting of the
      protocol; the ground truth, with the distractors that the ranking names. `average_precision` is an array and is
      left out of files by `write`.
    """
    leakage.check(path, about, ground_truth)
    ranks, ground_truth = ranking_files.read(path, ground_truth)
    ap = definition(settings, ground_truth)
    depths, names = sorted({1} | set(settings.recall_at)), shown(settings, ground_truth)
    result = _score(ranks, ground_truth.relevance, ap, depths, names, seed)
    result["settings"] = {
        name: _score(ranks if one.rows is None else ranks[one.rows], one.relevance, ap, depths, names, seed)
        for name, one in ground_truth.settings.items()}
    result.update({key: (about or {}).get(key) for key in COPIED})
    result.update(name=name_of(path), protocol=ground_truth.protocol, k=ranks.shape[1], ap=ap,
                  num_gallery=ground_truth.relevance.num_gallery, positives=ground_truth.rule)
    return ranks, result, ground_truth


def definition(settings, ground_truth):
    """Return the definition of average precision: evaluation.ap, or the protocol's own."""
    return ground_truth.ap if settings.ap == OWN_AP else settings.ap


def shown(settings, ground_truth):
    """Return the names of the metrics to print: evaluation.metrics, or those that the protocol is reported by."""
    return list(settings.metrics or ground_truth.metrics)


def compare(results, seed=0):
    """Add `against_none` to each result: {"difference", "interval", "p"} of its mAP less that of `none`.

    It is None for `none` itself and where there is no `none`. See significance.py.

    Args:
      results: {method: result of `evaluate`}, of the same queries.
      seed: of the test.
    """
    for name, result in results.items():
        reference = results.get(REFERENCE) if name != REFERENCE else None
        _compare(result, reference, seed)
        for setting, one in result["settings"].items():
            _compare(one, reference and reference["settings"][setting], seed)


def write(path, result, caption):
    """Write one method's result as JSON, with the caption of its table."""
    kept = _without_arrays(result)
    kept["settings"] = {name: _without_arrays(one) for name, one in result["settings"].items()}
    files.write_json(path, dict(kept, caption=caption))


def read_about(path):
    """Return the JSON that lies beside a ranking's .npy, or None."""
    about = about_path(path)
    return read_object(about) if about != path and os.path.isfile(about) else None


def about_path(path):
    """Return where the JSON of a ranking lies."""
    return os.path.splitext(path)[0] + ".json"


def name_of(path):
    """Return the name of a ranking's file or folder, without its ending."""
    return os.path.splitext(os.path.basename(os.path.abspath(path)))[0]


def read_object(path):
    """Return the JSON object in `path`."""
    value = files.read_json(path)
    if not isinstance(value, dict):
        raise InputError("{}: expected a JSON object, got {}".format(path, type(value).__name__))
    return value


def _score(ranks, relevance, ap, depths, names, seed):
    result = metrics.evaluate(ranks, relevance, ap, depths, names)
    result.update(mAP_interval=significance.interval(result["average_precision"], seed), against_none=None)
    return result


def _compare(result, reference, seed):
    result["against_none"] = None if reference is None else significance.paired(
        result["average_precision"], reference["average_precision"], seed)


def _without_arrays(result):
    return {key: value for key, value in result.items() if key != "average_precision"}

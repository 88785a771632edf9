"""Rankings from anywhere. `read` tells the form by the path:

    R.npy        int [queries, k], ids in the order of the ground truth, best first, -1 pads      (rankings.py)
    R/           a text file for each query, one image name a line, best first: <query>.txt, whatever its ending
                 (Oxford's `compute_ap`), or - one for all queries - images named in any way that names.py knows
    R.json       {query: {image: similarity}}                                                     (ILIAS)
    R.csv        id,images: names separated by blanks, best first                                 (Google Landmarks)
    other        TREC run: query Q0 image rank score tag; the score decides, the rank is not read

Lists may end early: what is not in them was never returned. A score's ties go to the smaller id, the image that stands
first in the ground truth (trec_eval: to the later name).
"""
import math
import os

from slim_retrieval.common import csv_columns, files
from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import rankings
from slim_retrieval.evaluation.ranked_names import assemble
from slim_retrieval.evaluation.tables import read_lines


def read(path, truth):
    """Return (ranks int [num_queries, k], the `GroundTruth` for them).

    Args:
      path: a ranking in one of the forms above.
      truth: the `GroundTruth`; distractors that the ranking names are added where it does not list the whole gallery.

    Raises:
      InputError: a file that is missing, empty or malformed, or that does not fit the ground truth.
    """
    if os.path.isdir(path):
        return assemble(read_lists(path), truth, path, must_have_all=True)
    suffix = os.path.splitext(path)[1]
    if suffix in _READERS and os.path.isfile(path):
        return assemble(_READERS[suffix](path), truth, path)
    if os.path.isfile(path) and not _is_array(path):
        return assemble(read_run(path), truth, path)
    if not truth.is_complete and os.path.isfile(path):
        raise InputError("{} holds ids, and the ground truth names only {} images of the gallery: give "
                         "--gallery_names, one name a line in the order of the ids, or lists of names".format(
                             path, len(truth.gallery.paths)))
    return rankings.load(path, len(truth.query.paths), truth.relevance.num_gallery), truth


def read_lists(folder):
    """Return {query: image names} of a folder with a text file for each query."""
    found = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith(".") or not os.path.isfile(path):
            continue
        query, ending = os.path.splitext(name)
        if ending == ".npy":
            raise InputError("{} holds rankings as .npy: give one of them, such as {}".format(folder, path))
        if query in found:
            raise InputError("{} has two rankings for the query {}; one is {}".format(folder, query, name))
        found[query] = read_lines(path)
    if not found:
        raise InputError("{} holds no rankings; it needs a text file for each query, <query>.txt".format(folder))
    return found


def read_run(path):
    """Return {query: {image: score}} of a TREC run."""
    found = {}
    for number, line in enumerate(read_lines(path), 1):
        words = line.split()
        score = _number(words[4]) if len(words) == 6 else None
        if score is None:
            raise InputError("{} line {}: {!r} is not query, Q0, image, rank, score and tag".format(path, number, line))
        scores = found.setdefault(words[0], {})
        if words[2] in scores:
            raise InputError("{} line {}: {} is ranked more than once for the query {}".format(
                path, number, words[2], words[0]))
        scores[words[2]] = score
    return found


def read_similarities(path):
    """Return {query: {image: similarity}} of a JSON file."""
    content = files.read_json(path)
    if not isinstance(content, dict) or not content or not all(isinstance(one, dict) for one in content.values()):
        raise InputError("{} is not {{query: {{image: similarity}}}}; ILIAS' search.py writes such files".format(path))
    for query, scores in content.items():
        for image, score in scores.items():
            if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
                raise InputError("{}: the similarity of {} to the query {} is {!r}; it must be a number".format(
                    path, image, query, score))
    return content


def read_submission(path):
    """Return {query: image names} of a CSV file with the columns id and images."""
    columns = csv_columns.read(path, ["id", "images"])
    if len(set(columns["id"])) != len(columns["id"]):
        raise InputError("{} has an id twice; one list for each query".format(path))
    if not columns["id"]:
        raise InputError("{} is empty; it needs a list for each query".format(path))
    return {name: images.split() for name, images in zip(columns["id"], columns["images"])}


_READERS = {".json": read_similarities, ".csv": read_submission}


def _is_array(path):
    if path.endswith((".npy", ".npz")):
        return True
    with open(path, "rb") as stream:
        return stream.read(6) == b"\x93NUMPY"


def _number(text):
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None

"""Oxford5k and Paris6k as their authors publish them: four lists of images for each query.

    all_souls_1_query.txt     oxc1_all_souls_000013 136.5 34.1 648.5 955.7      the query's image and its box
    all_souls_1_good.txt      a clear picture of the building                   right
    all_souls_1_ok.txt        more than a quarter of it is visible              right
    all_souls_1_junk.txt      less than a quarter is visible                    junk

The query's image is in the gallery and counts. Everything that the lists do not name is wrong. AP is the trapezoid of
the authors' `compute_ap.cpp`. Order: queries by name; gallery images, those that some list names, by name.
Source: Philbin et al., CVPR 2007 (Oxford) and CVPR 2008 (Paris), www.robots.ox.ac.uk/~vgg/data.
"""
import glob
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import revisited
from slim_retrieval.evaluation.ground_truth import listed
from slim_retrieval.evaluation.names import stem

METRICS = ("mAP", "precision@1", "precision@5", "precision@10")
RULE = "good and ok images, junk removed"

# Paris: 20 of the 6,412 files are damaged; by convention they are no part of the benchmark.
# Source: www.robots.ox.ac.uk/~vgg/data/parisbuildings/corrupt.txt
CORRUPT = {"paris_{}_{:06d}".format(place, number) for place, numbers in {
    "louvre": [136, 146], "moulinrouge": [422], "museedorsay": [1059], "notredame": [188], "pantheon": [284, 960, 974],
    "pompidou": [195, 196, 201, 467, 640], "sacrecoeur": [299, 330, 353], "triomphe": [662, 833, 863, 867],
}.items() for number in numbers}


def read_oxford(path):
    """Return the `GroundTruth` of Oxford5k: a folder of <query>_{query,good,ok,junk}.txt, or revisited.py's .pkl."""
    return _read(path, "gnd_oxford5k.pkl", set())


def read_paris(path):
    """Return the `GroundTruth` of Paris6k; `CORRUPT` images are junk for every query, and a gallery may lack them."""
    return _read(path, "gnd_paris6k.pkl", CORRUPT)


def _read(path, pickle_name, corrupt):
    if path.endswith(".pkl") or os.path.isfile(os.path.join(path, pickle_name)):
        return revisited.read_original(path, pickle_name, RULE, METRICS)
    files = sorted(glob.glob(os.path.join(glob.escape(path), "*_query.txt")))
    if not files:
        raise InputError("ground truth {} holds no *_query.txt; give the folder of <query>_query.txt, _good.txt, "
                         "_ok.txt and _junk.txt".format(path))
    queries, images, positives, junk = [], [], [], []
    for file in files:
        base = file[:-len("_query.txt")]
        words = " ".join(_lines(file)).split()
        if not words:
            raise InputError("{} is empty; it must name the query's image".format(file))
        queries.append(os.path.basename(base))
        images.append(words[0][len("oxc1_"):] if words[0].startswith("oxc1_") else words[0])
        right, removed = _lines(base + "_good.txt") + _lines(base + "_ok.txt"), _lines(base + "_junk.txt")
        positives.append([stem(name) for name in right if stem(name) not in corrupt])
        junk.append(sorted({stem(name) for name in removed} | corrupt))
    gallery = sorted({name for names in positives + junk for name in names})
    return listed(queries, gallery, positives, junk, RULE, ap="trapezoid", metrics=METRICS, is_complete=False,
                  optional=frozenset(i for i, name in enumerate(gallery) if name in corrupt), query_names=tuple(images))


def _lines(path):
    """Return the names in a list; it may be empty."""
    try:
        with open(path, encoding="utf-8") as stream:
            return [line.strip() for line in stream if line.strip()]
    except FileNotFoundError as error:
        raise InputError("no {}; the ground truth needs a list good, ok and junk for each query".format(
            path)) from error
    except UnicodeDecodeError as error:
        raise InputError("{} is not UTF-8; save it again as UTF-8".format(path)) from error

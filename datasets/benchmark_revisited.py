"""Revisited Oxford and Paris: 70 queries, cropped, search a gallery that holds none of them.

    PATH/gnd_roxford5k.pkl      dict: imlist, qimlist (names without .jpg), gnd (per query easy, hard, junk, bbx)
    PATH/gnd_rparis6k.pkl
    PATH/jpg/<image>.jpg        or anywhere below PATH

`distractors` names a folder of images (revisitop1m) that join the gallery, after the images that the ground truth
counts. Rows keep the order of imlist and qimlist. The pickle is read by an unpickler for plain data.

Source: https://github.com/filipradenovic/revisitop; Radenovic et al., CVPR 2018
"""
import glob
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.restricted_pickle import read_pickle
from slim_retrieval.datasets.benchmark_oxford import distractor_rows, landmark
from slim_retrieval.datasets.found import Found, images_by_stem, rows_to_table
from slim_retrieval.datasets.regions import format_box

_FILES = {"roxford5k": "gnd_roxford5k.pkl", "rparis6k": "gnd_rparis6k.pkl"}


def is_roxford(path):
    """Return whether gnd_roxford5k.pkl lies in the folder."""
    return bool(_truth(path, "roxford5k"))


def is_rparis(path):
    """Return whether gnd_rparis6k.pkl lies in the folder."""
    return bool(_truth(path, "rparis6k"))


def read_roxford(path, options):
    """Return the `Found` of revisited Oxford."""
    return _read(path, options, "roxford5k")


def read_rparis(path, options):
    """Return the `Found` of revisited Paris."""
    return _read(path, options, "rparis6k")


def _read(path, options, name):
    truth = _truth(path, name)
    if not truth:
        raise InputError("{} holds no {}; fetch it from the benchmark's page".format(path, _FILES[name]))
    content = _checked(read_pickle(truth), truth)
    distractors = distractor_rows(options)
    stems = images_by_stem(path, "the ground truth", options["distractors"])
    missing = [stem for stem in content["imlist"] + content["qimlist"] if stem not in stems]
    if missing:
        raise InputError("{} names {:,} images of which {:,} are not below {}, e.g. {}".format(
            truth, len(content["imlist"]) + len(content["qimlist"]), len(missing), path, missing[0]))
    queries = [{"path": stems[stem], "label": landmark(stem), "box": format_box(one["bbx"])}
               for stem, one in zip(content["qimlist"], content["gnd"])]
    gallery = [{"path": stems[stem], "label": landmark(stem)} for stem in content["imlist"]]
    return Found({"query": rows_to_table(queries), "gallery": rows_to_table(gallery + distractors)},
                 protocol=name, ground_truth=os.path.abspath(truth))


def _truth(path, name):
    found = [os.path.join(path, _FILES[name])] + sorted(glob.glob(os.path.join(glob.escape(path), "*", _FILES[name])))
    return next((file for file in found if os.path.isfile(file)), None)


def _checked(content, path):
    """Return the ground truth with its lists as lists of text.

    Raises:
      InputError: it is not of the published form.
    """
    try:
        result = {"imlist": [str(stem) for stem in content["imlist"]],
                  "qimlist": [str(stem) for stem in content["qimlist"]], "gnd": list(content["gnd"])}
        right = len(result["gnd"]) == len(result["qimlist"]) and all(len(one["bbx"]) == 4 for one in result["gnd"])
    except (KeyError, TypeError, IndexError):
        right = False
    if not right:
        raise InputError("{} is not the revisited ground truth: it needs imlist, qimlist and gnd, with a bbx for each "
                         "query".format(path))
    return result

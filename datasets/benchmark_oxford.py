"""Oxford5k and Paris6k with the VGG ground truth.

    PATH/.../<image>.jpg                        oxbuild_images, or paris_1 and paris_2; folders do not matter
    PATH/.../all_souls_1_query.txt              "oxc1_all_souls_000013 136.5 34.1 648.5 955.7": image and box
    PATH/.../all_souls_1_{good,ok,junk}.txt     names of images

55 queries, cropped to their boxes, search all images (5,063 in Oxford; 6,392 of 6,412 in Paris, of which 20 files are
damaged: the check finds them). `distractors` names a folder of images (Oxford100k) that join the gallery.
The label is the landmark in the file's name; it is no ground truth.

Sources: https://www.robots.ox.ac.uk/~vgg/data/oxbuildings/, https://www.robots.ox.ac.uk/~vgg/data/parisbuildings/;
Philbin et al., CVPR 2007 and 2008
"""
import os
import re

from slim_retrieval.common.errors import InputError
from slim_retrieval.datasets.found import Found, find_images, folder_contents, images_by_stem, read_lines, rows_to_table
from slim_retrieval.datasets.regions import format_box

QUERY = "_query.txt"
DISTRACTOR = "distractor"


def is_oxford(path):
    """Return whether the VGG ground truth of Oxford lies in the folder or one of its folders."""
    return _kind(path) == "oxford5k"


def is_paris(path):
    """Return whether the VGG ground truth of Paris lies in the folder or one of its folders."""
    return _kind(path) == "paris6k"


def read_vgg(path, options):
    """Return the `Found`: queries with `box` and `query` (the ground truth's name for it), and the gallery.

    Raises:
      InputError: no ground truth, a query file that is none, or a query whose image is not there.
    """
    folder = _truth_folder(path)
    if folder is None:
        raise InputError("{} holds no <query>{} with its _good, _ok and _junk lists, nor does a folder in it".format(
            path, QUERY))
    distractors = distractor_rows(options)
    stems = images_by_stem(path, "the ground truth", options["distractors"])
    queries = [_query(os.path.join(folder, name), stems) for name in _query_files(folder)]
    gallery = [{"path": stems[stem], "label": landmark(stem)} for stem in sorted(stems)]
    return Found({"query": rows_to_table(queries), "gallery": rows_to_table(gallery + distractors)},
                 protocol=_kind(path), ground_truth=os.path.abspath(folder))


def distractor_rows(options):
    """Return the rows of the images below the folder `distractors`, none when it is not given.

    Raises:
      InputError: no such folder, or no image in it.
    """
    folder = options["distractors"]
    if not folder:
        return []
    images = find_images(folder)[0] if os.path.isdir(folder) else []
    if not images:
        raise InputError("--distractors {}: {}".format(folder, "there is no image below it" if os.path.isdir(folder)
                                                       else "there is no such folder"))
    return [{"path": os.path.abspath(os.path.join(folder, image)), "label": DISTRACTOR} for image in images]


def _query(path, stems):
    words = " ".join(read_lines(path)).split()
    name = os.path.basename(path)[:-len(QUERY)]
    if len(words) != 5:
        raise InputError("{}: expected an image's name and four numbers, got {!r}".format(path, " ".join(words)[:80]))
    stem = re.sub("^oxc1_", "", words[0])
    if stem not in stems:
        raise InputError("{}: its image {} is not among the {:,} images".format(path, stem, len(stems)))
    try:
        box = format_box(words[1:])
    except ValueError as error:
        raise InputError("{}: its box is {}".format(path, error)) from error
    return {"path": stems[stem], "label": landmark(stem), "box": box, "query": name}


def landmark(stem):
    """Return "all_souls" of "all_souls_000013" and "defense" of "paris_defense_000605"."""
    return re.sub("^paris_", "", re.sub(r"_\d+$", "", stem)) or stem


def _truth_folder(path):
    """Return the folder that holds query files, or None."""
    if not os.path.isdir(path):
        return None
    candidates = [path] + [os.path.join(path, name) for name in folder_contents(path)[0]]
    return next((folder for folder in candidates if _query_files(folder)), None)


def _query_files(folder):
    names = set(os.listdir(folder))
    return sorted(name for name in names if name.endswith(QUERY) and name[:-len(QUERY)] + "_good.txt" in names)


def _kind(path):
    folder = _truth_folder(path)
    if folder is None:
        return None
    first = " ".join(read_lines(os.path.join(folder, _query_files(folder)[0])))
    return "paris6k" if first.startswith("paris_") else "oxford5k"

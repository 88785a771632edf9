"""`LAYOUTS`: every arrangement of images that `prepare` knows, {name: (recognise, read)}.

`recognise(path)` says whether a file or folder is arranged so, by its own marks; `read(path, options)` gives the
`Found`. They are tried in this order: benchmarks by their marks, then what people have.
"""
import os

from slim_retrieval.common.errors import InputError, lookup, nearest
from slim_retrieval.datasets import benchmark_cameras as cameras
from slim_retrieval.datasets import benchmark_cars as cars
from slim_retrieval.datasets import benchmark_fashion as fashion
from slim_retrieval.datasets import benchmark_groups as groups
from slim_retrieval.datasets import benchmark_landmarks as landmarks
from slim_retrieval.datasets import benchmark_metric as metric
from slim_retrieval.datasets import benchmark_oxford as oxford
from slim_retrieval.datasets import benchmark_packed as packed
from slim_retrieval.datasets import benchmark_revisited as revisited
from slim_retrieval.datasets import layout_folder, layout_list, layout_shop
from slim_retrieval.datasets.found import find_images

LAYOUTS = {
    "list": (layout_list.is_list, layout_list.read_list),
    "roxford5k": (revisited.is_roxford, revisited.read_roxford),
    "rparis6k": (revisited.is_rparis, revisited.read_rparis),
    "oxford5k": (oxford.is_oxford, oxford.read_vgg),
    "paris6k": (oxford.is_paris, oxford.read_vgg),
    "cub200": (metric.is_cub, metric.read_cub),
    "cars196": (cars.is_cars, cars.read_cars),
    "sop": (metric.is_sop, metric.read_sop),
    "inshop": (fashion.is_inshop, fashion.read_inshop),
    "deepfashion2": (fashion.is_deepfashion2, fashion.read_deepfashion2),
    "market1501": (cameras.is_market, cameras.read_market),
    "veri": (cameras.is_veri, cameras.read_veri),
    "landmarks_v2": (landmarks.is_landmarks, landmarks.read_landmarks),
    "omniglot": (metric.is_omniglot, metric.read_omniglot),
    "mnist": (packed.is_mnist, packed.read_mnist),
    "cifar": (packed.is_cifar, packed.read_cifar_folder),
    "holidays": (groups.is_holidays, groups.read_holidays),
    "ukbench": (groups.is_ukbench, groups.read_ukbench),
    "consumer_to_shop": (layout_shop.is_shop_tree, layout_shop.read_shop_tree),
    "split_folders": (layout_folder.is_split_folders, layout_folder.read_split_folders),
    "flat": (layout_folder.is_flat, layout_folder.read_flat),
    "folders": (layout_folder.is_folders, layout_folder.read_folders),
}

# Options that are for some layouts only, with what they are when not given.
OPTIONS = {
    "path_column": ("", ["list"]), "label_column": ("", ["list"]), "images": ("", ["list"]),
    "unlabelled": (False, ["list", "folders"]), "class_folder": ("first", ["folders", "split_folders"]),
    "distractors": ("", ["oxford5k", "paris6k", "roxford5k", "rparis6k"]), "boxes": (False, ["cub200", "cars196"]),
    "rotations": (False, ["omniglot"]),
}


def recognise(path):
    """Return the name of the layout of a file or folder.

    Raises:
      InputError: there is no such path, or nothing in it is known.
    """
    if not os.path.exists(path):
        parent = os.path.dirname(os.path.abspath(path))
        beside = os.listdir(parent) if os.path.isdir(parent) else []
        raise InputError("there is no {}{}".format(path, nearest(os.path.basename(path.rstrip("/")), beside)))
    for name, (is_so, _) in LAYOUTS.items():
        if is_so(path):
            return name
    raise InputError("{} is no folder and no list of images (.csv, .tsv or .txt){}".format(
        path, "; unpack it first" if path.lower().endswith((".zip", ".tar", ".tgz", ".gz")) else ""))


def read_layout(path, name="", **options):
    """Return (layout's name, `Found`) of a file or folder.

    Args:
      name: a layout's name; found out when empty.
      options: see OPTIONS; `seed` fixes what is drawn.

    Raises:
      InputError: nothing known, an option that the layout has no use for, or the layout's own.
    """
    find_images.cache_clear()
    if name:
        lookup(LAYOUTS, name, "layout")
        if not os.path.exists(path):
            recognise(path)
    name = name or recognise(path)
    for option, (default, layouts) in OPTIONS.items():
        if options.setdefault(option, default) != default and name not in layouts:
            raise InputError("--{} is for the layout {}, but {} is {} (another with --layout)".format(
                option, " or ".join(layouts), path, name))
    return name, LAYOUTS[name][1](path, options)

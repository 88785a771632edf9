"""Ground truth must not help to rank: refuse a ranking whose side information is the ground truth it is scored by."""
import os
import zipfile

import numpy as np

from slim_retrieval.common import partition
from slim_retrieval.common.errors import InputError


def check(path, about, ground_truth):
    """Refuse a ranking made with side information that joins the same gallery images as the ground truth's labels.

    Compared are the gallery images whose label some query has. What was used lies beside the ranking; retrieve.py
    wrote it (graph/leakage.py).

    Args:
      path: the ranking's .npy file.
      about: dict of the json beside it, or None: nothing is known then.
      ground_truth: the `GroundTruth` to score by.

    Raises:
      InputError: the side information is the ground truth, or its record is missing or damaged.
    """
    used = (about or {}).get("side_information")
    if not used or not used["sources"]:
        return
    for source, codes in zip(used["sources"], _read_codes(path, used, len(ground_truth.gallery.paths))):
        share = partition.agreement_with_truth(codes, ground_truth.query.labels, ground_truth.gallery.labels)
        if partition.is_truth(share, source["column"]):
            column = "column {!r} of ".format(source["column"]) if source["column"] else ""
            raise InputError("{} was ranked with {} ({}{}), which joins the same gallery images as the column 'label' "
                             "of the ground truth ({:.0%} of the pairs); rank again without it".format(
                                 path, source["setting"], column, source["path"], share))


def _read_codes(path, used, num_gallery):
    """Return the codes of each source, int [num_gallery]."""
    codes_path = os.path.join(os.path.dirname(path), used["codes"])
    try:
        with np.load(codes_path, allow_pickle=False) as stored:
            codes = [stored[str(number)] for number in range(len(used["sources"]))]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError("{} was ranked with side information, whose record {} is missing or damaged; put it back or "
                         "rank again".format(path, codes_path)) from error
    for one in codes:
        if one.shape != (num_gallery,):
            raise InputError("{} was ranked with side information on {} gallery images, and the ground truth has {}; "
                             "give the ground truth of this gallery".format(path, len(one), num_gallery))
    return codes

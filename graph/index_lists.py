"""Lists for the arrays of a fitted method that single queries are compared with, where these are large.

A query of CFA is compared twice: its feature with those of the gallery, then what it has become with what they have
become. What each search misses adds up, so that each may miss half of what the answer may.
"""
import os

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import inverted_file, inverted_search, keys, knn

LARGE = 2**25  # bytes of an array from which on lists are made; reading as much takes some 3 ms


def lists_of(estimator, names, settings, key, folder, key_before=None, came_from=None):
    """Return {name: InvertedFile} of an estimator's large arrays, from files, updated or built now.

    Args:
      names: ["gallery_"], or for a CFA ["source_", "gallery_"].
      settings: the section retrieval of the configuration.
      key: str, hash of all that the arrays depend on.
      folder: each array has a folder in it.
      key_before, came_from: of the gallery before, where this one is an update of it: the lists are kept.
    """
    large = [name for name in names if settings["search"] == "auto" and getattr(estimator, name).nbytes > LARGE]
    recall, found = 1 - (1 - settings["recall"]) / max(1, len(large)), {}
    for name in large:
        try:
            found[name] = load(folder, name, key, recall)
        except InputError as reason:
            before = _before(folder, name, key_before, recall, came_from)
            print("  {}: {} them".format(reason, "updating" if before else "building"), flush=True)
            asked = _asked(estimator, found.get("source_")) if len(names) > 1 and name == "gallery_" else None
            try:
                found[name] = inverted_file.build(getattr(estimator, name), os.path.join(folder, name),
                                                  _key(key, recall), recall, before=before, asked=asked)
                print(_told(found[name].about), flush=True)
            except OSError as error:
                print("  they cannot be stored ({}): the search reads all images".format(error), flush=True)
    return found


def load(folder, name, key, recall):
    """Return the InvertedFile of one array; InputError where it is not there, of something else or damaged."""
    return inverted_file.load(os.path.join(folder, name), _key(key, recall))


def search_of(lists):
    """Return what searches an array that has these lists, or None, called as knn.search."""
    return knn.search if lists is None else lambda queries, array, k: inverted_search.search(lists, queries, k)


def _key(key, recall):
    return files.digest(key, round(recall, 9))


def _before(folder, name, key, recall, came_from):
    """Return what inverted_file.build needs to keep the lists of the gallery before, or None."""
    try:
        return None if came_from is None else (load(folder, name, key, recall), came_from)
    except InputError:
        return None


def _asked(estimator, lists):
    """Return the function from rows to what a CFA makes of them as queries that are not in the gallery.

    Twice, as inverted_probes.depths wants it: with their true neighbours, and with those that the lists tell.

    Args:
      lists: InvertedFile of source_, or None.
    """
    def moved(rows, search):
        def others(queries, array, k):
            ids, similarities = search(queries, array, k + 1)
            return keys.without(rows, similarities, ids, k)

        return estimator.moved(np.asarray(estimator.original_[rows]), np.asarray(estimator.source_[rows]), others)

    def asked(rows):
        true = moved(rows, knn.search)
        return true, true if lists is None else moved(rows, search_of(lists))

    return asked


def _told(about):
    """Return a line of text about lists that were built."""
    return "  {} lists of {} images in {:.0f} s; {}".format(
        about["lists"], about["images"], about["seconds"], ", ".join(
            "{probes} of them give {recall:.3f} of the {k} nearest".format(**depth) for depth in about["depths"]))

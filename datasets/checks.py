"""Look at every image once: can it be read, how large is it, what does it show (two fingerprints).

The images are decoded by threads: Pillow and hashlib release Python's lock, threads were no slower than processes
(docs/datasets.md), need no copies and stop at once.
"""
import collections
import hashlib
import os
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import List, NamedTuple

import numpy as np
from PIL import Image

from slim_retrieval.common.progress import progress
from slim_retrieval.datasets.regions import BOX, ROTATION
from slim_retrieval.datasets.table import UnreadableImage

GRID = 9  # side of the thumbnail that is kept
_CHUNK = 16  # images a task
_SECONDS_BETWEEN_SAVES = 300


class Checked(NamedTuple):
    """What is known of n images.

    Attributes:
      problems: n texts, empty where the image can be read.
      sizes: int32 [n, 2], width and height of what is read (after a crop).
      pixels: uint64 [n, 2], digest of size and decoded pixels: equal for equal pictures in files of any format.
      thumbs: uint8 [n, GRID, GRID, 3], the picture shrunk.
    """
    problems: List[str]
    sizes: np.ndarray
    pixels: np.ndarray
    thumbs: np.ndarray


def check_images(table, workers=None, known=None, save=None):
    """Return the `Checked` of all images of an ImageTable.

    Args:
      workers: threads; as many as there are cores unless given.
      known: a `Checked` whose sizes are 0 where an image has yet to be looked at (from an earlier check); it is filled
        in place.
      save: function that is given what is known so far, every few minutes, at the end, and when something stops us.
    """
    known = known or nothing_known(len(table))
    todo = [i for i in range(len(table)) if not known.sizes[i, 0]]
    saved = time.time()
    try:
        with progress(total=len(table), initial=len(table) - len(todo), what="checking images", unit="img") as bar:
            for rows, results in _looked_at(table, todo, workers or os.cpu_count() or 1):
                for row, (problem, size, digest, thumb) in zip(rows, results):
                    known.problems[row] = problem
                    known.sizes[row], known.pixels[row], known.thumbs[row] = size, digest, thumb
                bar.update(len(rows))
                if save and time.time() - saved > _SECONDS_BETWEEN_SAVES:
                    save(known)
                    saved = time.time()
    finally:  # after Ctrl-C too
        if save:
            save(known)
    return known


def _looked_at(table, todo, workers):
    """Yield (rows, what is known of each) in order, with a few tasks ahead."""
    chunks = iter([todo[start:start + _CHUNK] for start in range(0, len(todo), _CHUNK)])
    pending = collections.deque()
    with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # beyond twice that size it is an error
        try:
            for _, rows in zip(range(4 * workers), chunks):
                pending.append((rows, pool.submit(_look_at, table, rows)))
            while pending:
                rows, future = pending.popleft()
                yield rows, future.result()
                for following in chunks:
                    pending.append((following, pool.submit(_look_at, table, following)))
                    break
        finally:  # after an error nobody waits for the rest
            for _, future in pending:
                future.cancel()


def check_files(table):
    """Return the `Checked` of images that are not looked at: only whether the files are there."""
    known = nothing_known(len(table))
    for row, path in enumerate(table.paths):
        known.problems[row] = _name_problem(path) or ("" if os.path.isfile(path) else "there is no such file")
    return known


def nothing_known(count):
    """Return a `Checked` of `count` images that were not looked at."""
    return Checked([""] * count, np.zeros((count, 2), np.int32), np.zeros((count, 2), np.uint64),
                   np.zeros((count, GRID, GRID, 3), np.uint8))


def image_keys(table):
    """Return n texts, equal only for rows that read the same: path, box and rotation."""
    parts = [table.columns.get(name, [""] * len(table)) for name in (BOX, ROTATION)]
    return ["\0".join(values) for values in zip(table.paths, *parts)]


def _look_at(table, rows):
    return [_look_at_one(table, row) for row in rows]


def _look_at_one(table, row):
    """Return (problem, (width, height), digest, thumbnail)."""
    try:
        problem = _name_problem(table.paths[row])
        image = None if problem else table.load(row)
    except UnreadableImage as error:
        problem = error.reason
    if problem:
        return problem, (0, 0), (0, 0), 0
    sha = hashlib.sha256("{}x{}".format(*image.shape[:2]).encode())
    sha.update(image)
    # Not BOX: Pillow weighs pixels whole there, so that an image and its half would differ.
    thumb = Image.fromarray(image).resize((GRID, GRID), Image.BILINEAR)
    return "", (image.shape[1], image.shape[0]), np.frombuffer(sha.digest()[:16], np.uint64), np.asarray(thumb)


def _name_problem(path):
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:  # it could not be written into a list
        return "its name is not valid UTF-8; rename it"
    return ""

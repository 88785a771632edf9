"""Thumbnails for the report, as data URIs, within a budget of bytes."""
import base64
import concurrent.futures
import io
import itertools
import os

import numpy as np
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress

SMALL = 64  # pixels; pictures up to this size are kept exactly if there is room for that much
AT_ONCE = 64  # pictures in work


def data_uri(image, side=128):
    """Return an image as a data URI: exactly (PNG) where it fits SMALL and `side` pixels, else a JPEG of `side` pixels.

    Args:
      image: uint8 RGB [H, W, 3].
      side: pixels of the longer side at most.
    """
    picture, buffer = Image.fromarray(np.asarray(image)), io.BytesIO()
    if max(picture.size) <= min(SMALL, side):
        picture.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        picture.thumbnail((side, side), Image.LANCZOS)
        picture.save(buffer, "JPEG", quality=80, optimize=True)
        kind = "jpeg"
    return "data:image/{};base64,{}".format(kind, base64.b64encode(buffer.getvalue()).decode("ascii"))


def thumbnails(read, keys, side, budget):
    """Return ({key: data URI}, pictures that could not be read, pictures beyond the budget).

    Args:
      read: {split: function row -> uint8 RGB [H, W, 3]}, called from several threads.
      keys: (split, row) of the wanted pictures, the most wanted first; none twice.
      side: see `data_uri`.
      budget: bytes that the URIs may take together.
    """
    found, unreadable, waiting = {}, 0, iter(keys)
    bar = progress(total=len(keys), what="report pictures", unit="img")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while budget > 0:
            batch = list(itertools.islice(waiting, AT_ONCE))
            if not batch:
                break
            for key, uri in zip(batch, pool.map(lambda key: _thumbnail(read, key, side), batch)):
                budget -= len(uri or "")
                if uri is None:
                    unreadable += 1
                elif budget >= 0:
                    found[key] = uri
            bar.update(len(batch))
    bar.close()
    return found, unreadable, len(keys) - len(found) - unreadable


def _thumbnail(read, key, side):
    split, row = key
    try:
        return data_uri(read[split](row), side)
    except (OSError, InputError):
        return None

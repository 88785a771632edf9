"""Image files to uint8 RGB arrays, with Pillow. It releases Python's lock while it decodes and resizes."""
import io
import os

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from slim_retrieval.datasets.table import UnreadableImage

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")

_ORIENTATION = 0x0112  # EXIF tag; 1 is upright
_WITH_DRAFT = ("JPEG", "MPO")  # MPO: a JPEG with more pictures behind it


def decode(source, name=None, size_of=None, draft=0.0):
    """Return an image as uint8 RGB [H, W, 3], read-only.

    EXIF orientation is applied; transparency is laid on white; greyscale, palette and CMYK become RGB; 16 bits become
    8 (65535 is 255); of an animation the first frame is taken. A picture kept without loss has the same pixels in every
    format; values of 16 bits that lie between two of 8 are rounded down in colours and to the nearest in greys. Damaged
    files are never half-read: Pillow's LOAD_TRUNCATED_IMAGES stays off.

    Args:
      source: path, or the file's bytes.
      name: what an error calls the image; the path unless given.
      size_of: function from height and width to those that the image is resized to; None: it keeps its own.
      draft: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size as long as that is at least `draft` times the size that it
        gets; 0: at its whole size. That is several times faster for large photos and not exact: at 2, pixels of
        photos differ by well below 1 of 255 on average.

    Raises:
      UnreadableImage: missing, empty, truncated, not an image, or larger than Pillow's limit against decompression
        bombs.
    """
    is_bytes = isinstance(source, bytes)
    name = name or ("<bytes>" if is_bytes else source)
    try:
        with Image.open(io.BytesIO(source) if is_bytes else source) as image:
            size = None
            if size_of and draft and image.format in _WITH_DRAFT:
                size = size_of(*_upright_size(image))
                _set_draft(image, size, draft)
            image.load()
            image = _to_rgb(_upright(image))
            return np.asarray(_resized(image, *size or size_of(image.height, image.width)) if size_of else image)
    except MemoryError:
        raise
    except FileNotFoundError as error:
        raise UnreadableImage(name, "there is no such file") from error
    except UnidentifiedImageError as error:
        empty = not source if is_bytes else os.path.getsize(source) == 0
        raise UnreadableImage(name, "the file is empty" if empty else "it is not an image that Pillow knows") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on damaged files: OSError, SyntaxError, ...
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise UnreadableImage(name, reason or type(error).__name__) from error


def resize(image, height, width=None, box=None):
    """Return `image` (uint8 [H, W, 3]) as [height, width, 3], bilinear with antialiasing; the aspect ratio is not kept.

    An image that has the size already is returned as it is. Without `width` it becomes a square.

    Args:
      box: left, top, right, bottom as shares of the image's sides: only what lies in it; None: all.
    """
    width = width or height
    if box is not None:
        pixels = tuple(float(place) for place in np.multiply(box, (image.shape[1], image.shape[0]) * 2))
        return np.asarray(Image.fromarray(image).resize((width, height), Image.BILINEAR, pixels))
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(_resized(Image.fromarray(image), height, width))


def load_resized(table, row, size_of, draft=0.0):
    """Return a table's row as uint8 RGB [h, w, 3], h and w being what `size_of` gives for its size; see `decode`."""
    image = table.read(row)
    if callable(image):
        return image(size_of=size_of, draft=draft)
    return resize(image, *size_of(*image.shape[:2]))


def encode_png(image):
    """Return the bytes of a PNG that decodes to exactly `image` (uint8 [H, W, 3])."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def read_plain_file(path):
    """Return (bytes, "jpeg" or "png", height, width) of a file that every reader sees alike, else None.

    That is a JPEG or PNG, grey or RGB with 8 bits and without transparency, whose EXIF orientation is upright. Its
    pixels are not decoded.
    """
    try:
        with open(path, "rb") as stream:
            content = stream.read()
        with Image.open(io.BytesIO(content)) as image:
            if image.format not in ("JPEG", "PNG") or image.mode not in ("L", "RGB") or "transparency" in image.info:
                return None
            if image.getexif().get(_ORIENTATION, 1) != 1:
                return None
            return content, image.format.lower(), image.height, image.width
    except Exception:  # what is wrong with it is said where it is decoded
        return None


def _resized(image, height, width):
    return image if image.size == (width, height) else image.resize((width, height), Image.BILINEAR)


def _set_draft(image, size, draft):
    """Have a JPEG that is not decoded yet decoded at the smallest size that is `draft` times `size` or more."""
    # Longer to longer side and shorter to shorter one: the image may be stored turned.
    factor = min(side / float(needed) for side, needed in zip(sorted(image.size), sorted(size))) / draft
    if factor > 1:
        image.draft(image.mode, [int(-(-side // factor)) for side in image.size])


def _upright_size(image):
    """Return height and width of a JPEG that is not decoded yet, turned as its EXIF says."""
    try:
        turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except Exception:  # as in _upright
        turned = False
    return image.size if turned else image.size[::-1]


def _upright(image):
    if image.format == "TIFF":  # Pillow has turned it by now; versions before 10 leave the tag as it was
        return image
    try:
        if image.getexif().get(_ORIENTATION, 1) == 1:
            return image
        return ImageOps.exif_transpose(image)
    except Exception:  # Damaged EXIF beside sound pixels is common in photos from the web: take them as they lie.
        return image


def _to_rgb(image):
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _sixteen_to_eight(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _sixteen_to_eight(image):
    # Pillow's own conversion cuts everything above 255 to white. Its older versions open 16-bit PNGs as mode I.
    values = np.array(image)
    if "transparency" in image.info:  # a PNG's one transparent value
        values = np.where(values == image.info["transparency"], 65535, values)
    low, high = values.min(), values.max()
    if image.mode == "F" or low < 0 or high > 65535:
        raise ValueError("greyscale values from {} to {} have no fixed range; save it with 8 or 16 bits".format(
            low, high))
    grey = ((values.astype(np.int64) + 128) // 257).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")

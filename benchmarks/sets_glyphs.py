"""Characters drawn in the fonts of Debian packages: class = character, its members = fonts and styles."""
import io
import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sets_common import raw

SIDE, POINTS = 48, 36
PACKAGES = ["fonts-cantarell", "fonts-comfortaa", "fonts-crosextra-caladea", "fonts-crosextra-carlito",
            "fonts-dejavu-core", "fonts-dejavu-extra", "fonts-freefont-ttf", "fonts-lato", "fonts-liberation",
            "fonts-linuxlibertine", "fonts-open-sans", "fonts-roboto-unhinted"]
# Fonts that draw something else than plain letters.
UNUSUAL = ("Math", "Symbol", "Initials", "Keyboard", "_I.", "_K.")
EIGHT_STYLES = ["DejaVuSans-Bold.ttf", "DejaVuSansCondensed-Oblique.ttf", "DejaVuSerif.ttf", "FreeSans.ttf",
                "FreeSerif.ttf", "FreeSerifItalic.ttf", "OpenSans-Regular.ttf", "Roboto-Regular.ttf"]
LETTERS_AND_DIGITS = string.ascii_letters + string.digits
# Latin, Latin-1 to Extended-B, Greek, Cyrillic, Cyrillic extensions, Latin Extended Additional.
RANGES = [(0x41, 0x5b), (0x61, 0x7b), (0xc0, 0x250), (0x386, 0x3d0), (0x400, 0x460), (0x490, 0x500), (0x1e00, 0x1f00)]
NO_CHARACTER = "\U000f1234"  # for private use: every font draws its box for missing characters


def forty_fonts(material):
    """62 letters and digits in 40 fonts, raw pixels; small and capital forms of c, o, s, ... differ in size alone."""
    fonts = _fonts(material, PACKAGES)
    names = sorted(fonts)
    names = [names[i] for i in np.linspace(0, len(names) - 1, 40).astype(int)]
    pictures = np.concatenate([draw(fonts[name], LETTERS_AND_DIGITS) for name in names])
    return {"features": raw(pictures), "labels": np.array(list(LETTERS_AND_DIGITS) * len(names))}


def eight_styles(material, feature):
    """All characters of RANGES that eight fonts have and draw differently from each other."""
    fonts = _fonts(material, ["fonts-dejavu-core", "fonts-dejavu-extra", "fonts-freefont-ttf", "fonts-open-sans",
                              "fonts-roboto-unhinted"])
    characters = [chr(code) for start, stop in RANGES for code in range(start, stop)]
    drawn = np.stack([draw(fonts[name], characters) for name in EIGHT_STYLES])
    missing = np.stack([draw(fonts[name], NO_CHARACTER)[0] for name in EIGHT_STYLES])
    keep = distinct(drawn, missing)
    pictures = drawn[:, keep].reshape((-1,) + drawn.shape[2:])
    features = material.mobile(pictures) if feature == "mobile" else raw(pictures)
    return {"features": features, "labels": np.array(list(np.array(characters)[keep]) * len(EIGHT_STYLES))}


def draw(font, characters):
    """Return uint8 [n, 48, 48]: each character in black on white, the middle of its ink in the middle."""
    font = ImageFont.truetype(io.BytesIO(font), POINTS)
    pictures = []
    for character in characters:
        picture = Image.new("L", (SIDE, SIDE), 255)
        pen = ImageDraw.Draw(picture)
        left, top, right, bottom = pen.textbbox((0, 0), character, font=font)
        pen.text(((SIDE - right - left) / 2, (SIDE - bottom - top) / 2), character, font=font, fill=0)
        pictures.append(np.asarray(picture))
    return np.stack(pictures)


def distinct(drawn, missing):
    """Return bool [characters]: no font lacks the character or draws it exactly as one that is kept before it.

    Latin A, Greek Alpha and Cyrillic A are three characters and one picture: classes that nothing can tell apart.

    Args:
      drawn: uint8 [fonts, characters, H, W].
      missing: uint8 [fonts, H, W], what a font draws for a character that it does not have.
    """
    seen = [{picture.tobytes(), np.full_like(picture, 255).tobytes()} for picture in missing]
    keep = np.zeros(drawn.shape[1], bool)
    for i in range(drawn.shape[1]):
        keys = [picture.tobytes() for picture in drawn[:, i]]
        keep[i] = not any(key in known for key, known in zip(keys, seen))
        if keep[i]:
            for key, known in zip(keys, seen):
                known.add(key)
    return keep


def _fonts(material, packages):
    """Return {file name: bytes} of the packages' TrueType and OpenType fonts."""
    found = {}
    for package in packages:
        for path, content in material.debian(package, lambda path: path.endswith((".ttf", ".otf"))).items():
            name = path.split("/")[-1]
            if not any(part in name for part in UNUSUAL):
                found[name] = content
    return found

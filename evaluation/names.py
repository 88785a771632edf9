"""Find images by name, whoever wrote it: with or without folder, with or without .jpg."""
import os

from slim_retrieval.common.errors import InputError, nearest

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


def stem(name):
    """Return a name without the ending of an image file."""
    base, suffix = os.path.splitext(name)
    return base if suffix.lower() in SUFFIXES else name


def last(name):
    """Return a name without folders and without the ending of an image file."""
    return stem(name).rpartition("/")[2]


class Names:
    """The places of names in a list.

    A name is looked for as it is, then without its ending, then by its last two parts, then by its last part: the
    `all_souls_000013` of a ground truth is `oxford/jpg/all_souls_000013.jpg`.
    """

    _FORMS = (lambda name: name, stem, lambda name: "/".join(stem(name).split("/")[-2:]), last)

    def __init__(self, names):
        self._names = names
        self._known = []  # for each form that was needed: {form of a name: place}, _TWICE where several have it

    def find(self, name):
        """Return the place of `name`, or None.

        Raises:
          InputError: several names fit; two of them are given.
        """
        for number, form in enumerate(self._FORMS):
            known = self._form(number)
            if form(name) in known:
                if known[form(name)] is None:
                    fit = [one for one in self._names if form(one) == form(name)]
                    raise InputError("{!r} may be any of {} images, such as {} and {}; give more of its path".format(
                        name, len(fit), fit[0], fit[1]))
                return known[form(name)]
        return None

    def nearest(self, name):
        """Return ' (did you mean X?)' or ''; only among a few thousand names, for it compares each."""
        return nearest(last(name), [last(one) for one in self._names[:5000]])

    def _form(self, number):
        while len(self._known) <= number:
            form, known = self._FORMS[len(self._known)], {}
            for place, name in enumerate(self._names):
                known[form(name)] = None if form(name) in known else place
            self._known.append(known)
        return self._known[number]

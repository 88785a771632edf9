"""A folder of features: features.npy, index.csv and meta.json, written row by row and resumable.

    features/<split>/features.npy    float32 [n, d], rows L2-normalised
    features/<split>/index.csv       path, label and other columns, row by row
    features/<split>/meta.json       model, checkpoint, preprocessing, pooling, whitening, hashes
    features/.<split>.partial/       the same while it is being written, with progress.json

Rows are appended with plain writes. A memory map would be simpler, but writing to one on a full disk kills the
process (SIGBUS) where a plain write raises an error that can be told.
"""
import csv
import io
import os

import numpy as np

from slim_retrieval.common import csv_columns
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import digest, naming, read_json, remove, write_json, write_text

_HEADER_BYTES = 128


class FeatureWriter:
    """Appends rows to a store; after a kill, a new writer with the same key goes on where the old one was.

    Attributes:
      width: columns of the features.
      next_row: how many of the source's rows are done (written or skipped).
      skipped: what the caller gave for each row that was left out; extraction gives [row, path].
    """

    def __init__(self, folder, width, key):
        """Open the store that will become `folder`.

        Args:
          folder: final place, such as features/query.
          width: columns of the features.
          key: hash of everything that the features depend on; a partial store with another key is begun anew.
        """
        self._folder = folder
        self._partial = os.path.join(os.path.dirname(folder), ".{}.partial".format(os.path.basename(folder)))
        self.width = width
        self._key = key
        state = self._read_state()
        self.next_row, self._written, self.skipped = state["next_row"], state["written"], state["skipped"]
        os.makedirs(self._partial, exist_ok=True)
        path = os.path.join(self._partial, "features.npy")
        self._file = open(path, "r+b" if os.path.exists(path) else "w+b")  # noqa: SIM115 - open from call to call
        # Rows beyond the last recorded state may be half-written: cut them off.
        self._file.truncate(_HEADER_BYTES + 4 * width * self._written)
        self._file.seek(_HEADER_BYTES + 4 * width * self._written)

    def append(self, features, rows_done, skipped=(), unit_rows=False):
        """Write features (float32 [m, d], normalised here) and record that `rows_done` source rows are done.

        Args:
          unit_rows: the features are normalised already and written as they are, bit by bit.

        Raises:
          InputError: a feature is NaN, infinite or zero.
          ValueError: features of another width than the store's.
        """
        if features.ndim != 2 or features.shape[1] != self.width:
            raise ValueError("expected features [m, {}], got {}".format(self.width, list(features.shape)))
        norms = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
        wrong = ~np.isfinite(norms) | (norms == 0)
        if wrong.any():
            bad = int(np.flatnonzero(wrong)[0])
            raise InputError("the network gives a feature of length {} for row {} of {}; were its weights trained to "
                             "NaN, or does extraction.precision float16, whose numbers end at 65504, not hold its "
                             "activations?".format(float(norms[bad, 0]), self.next_row + bad, self._folder))
        with naming(self._file.name):
            self._file.write((features if unit_rows else features / norms).astype(np.float32).tobytes())
            self._file.flush()
        self.next_row, self._written = self.next_row + rows_done, self._written + len(features)
        self.skipped += list(skipped)
        write_json(os.path.join(self._partial, "progress.json"), {
            "key": self._key, "width": self.width, "next_row": self.next_row, "written": self._written,
            "skipped": self.skipped})

    def finish(self, columns, meta):
        """Write header, index and meta, then put the store in its final place.

        Args:
          columns: {name: list of str}, in order, one value a written row.
          meta: dict; rows, width and features_hash are added, and key and skipped where it does not have them.

        Raises:
          ValueError: a column has not one value for each written row.
        """
        for name, values in columns.items():
            if len(values) != self._written:
                raise ValueError("column {} has {} values for {} features".format(name, len(values), self._written))
        with naming(self._file.name):
            self._file.seek(0)
            self._file.write(_npy_header(self._written, self.width))
            self.close()
        features = np.load(os.path.join(self._partial, "features.npy"), mmap_mode="r")
        meta = dict({"key": self._key, "skipped": self.skipped}, **dict(
            meta, rows=self._written, width=self.width, features_hash=digest(features)))
        del features
        write_text(os.path.join(self._partial, "index.csv"), _csv_text(columns))
        write_json(os.path.join(self._partial, "meta.json"), meta)
        for name in os.listdir(self._partial):
            if name.startswith(".partial-"):  # left by a writer that was killed
                remove(os.path.join(self._partial, name))
        replaced = self._partial + ".old"
        remove(replaced)
        if os.path.exists(self._folder):
            os.replace(self._folder, replaced)
        os.replace(self._partial, self._folder)
        # Only now: with it a writer that is killed before this line is resumed rather than begun anew.
        remove(os.path.join(self._folder, "progress.json"))
        remove(replaced)

    def close(self):
        """Close the file; what was appended stays for the next writer."""
        with naming(self._file.name):  # closing writes what the disk had no room for before
            self._file.close()

    def discard(self):
        """Close the file and delete what was appended: the next writer begins anew."""
        self.close()
        remove(self._partial)

    def _read_state(self):
        path, rows = os.path.join(self._partial, "progress.json"), os.path.join(self._partial, "features.npy")
        state = read_json(path) if os.path.exists(path) else {}
        fits = (state.get("key"), state.get("width")) == (self._key, self.width)
        # After a power cut the record may be there and the rows not.
        size = os.path.getsize(rows) if os.path.exists(rows) else 0
        if not fits or size < _HEADER_BYTES + 4 * self.width * state["written"]:
            remove(self._partial)
            return {"next_row": 0, "written": 0, "skipped": []}
        return state


def is_current(folder, key):
    """Return whether `folder` holds complete features of exactly this key."""
    path = os.path.join(folder, "meta.json")
    return os.path.exists(path) and read_json(path).get("key") == key


def read_index(path):
    """Return {column: list of str} of an index.csv.

    Raises:
      InputError: missing, not UTF-8, without a `path` column, a column twice, or rows of another length.
    """
    return csv_columns.read(path, ["path"], "extract features first")


def _csv_text(columns):
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(list(columns))
    writer.writerows(zip(*columns.values()))
    return stream.getvalue()


def _npy_header(rows, width):
    """Return the 128 bytes of a .npy header: fixed length, so that it can be written last, when rows are known."""
    text = "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}".format(rows, width)
    length = _HEADER_BYTES - 10
    return b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + text.ljust(length - 1).encode("latin1") + b"\n"

"""A CSV file as columns of text."""
import csv
import os

from slim_retrieval.common.errors import InputError


def rows(stream, **options):
    """Return a csv.reader of an open text file; its first line shows whether commas, semicolons or tabs separate."""
    header = stream.readline()
    stream.seek(0)
    return csv.reader(stream, delimiter=max(",;\t", key=header.count), **options)


def read(path, required=(), advice="give an existing CSV file"):
    """Return {column: list of str} of a CSV file in UTF-8 with a header; empty lines are left out.

    Args:
      path: the file.
      required: columns that must be there.
      advice: what to do when there is no such file.

    Raises:
      InputError: missing, not UTF-8, no CSV, without a required column, a column twice, or rows of another length.
    """
    if not os.path.isfile(path):
        raise InputError("no {}; {}".format(path, advice))
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:  # -sig: spreadsheets put a mark in front
            lines = [row for row in rows(stream) if row]
    except UnicodeDecodeError as error:
        raise InputError("{} is not UTF-8: {}".format(path, error)) from error
    except csv.Error as error:
        raise InputError("{} is not CSV: {}".format(path, error)) from error
    header = lines[0] if lines else []
    if not lines or not set(required) <= set(header) or len(set(header)) != len(header):
        wanted = "".join("a column {!r} and ".format(name) for name in required)
        raise InputError("{}: expected {}no column twice, got {}".format(path, wanted, header or "nothing"))
    for number, row in enumerate(lines[1:], 1):
        if len(row) != len(header):
            raise InputError("{}: row {} ({}) has {} values, the header has {}".format(
                path, number, row[0], len(row), len(header)))
    return {name: [row[i] for row in lines[1:]] for i, name in enumerate(header)}

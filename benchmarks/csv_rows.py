"""A CSV that is filled row by row: what was measured before is kept and not measured again."""
import csv
import os
import platform

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph.compiled import threads


def fill(path, columns, keys, measure):
    """Measure each key that the CSV has no row of; write and print row after row.

    A row whose `note` is not empty tells why nothing was measured, and is tried again.

    Args:
      path: the CSV; may be there from an earlier run.
      columns: its columns; `machine`, where it is one, is filled here.
      keys: dicts of some columns that tell the rows apart.
      measure: function (key, rows so far) -> dict of the other columns.

    Raises:
      InputError: the CSV has other columns.
    """
    rows = read(path, columns)
    for key in keys:
        wanted = {name: str(value) for name, value in key.items()}
        old = [row for row in rows if wanted.items() <= row.items()]
        if old and not any(row.get("note") for row in old):
            continue
        row = dict(dict.fromkeys(columns, ""), **wanted)
        row.update({name: str(value) for name, value in measure(key, rows).items()})
        if "machine" in row:
            row["machine"] = where()
        rows = [other for other in rows if other not in old] + [row]
        write(path, columns, rows)
        print(", ".join("{} {}".format(*item) for item in row.items() if item[1] and item[0] != "machine"), flush=True)
    print("written: " + path)


def read(path, columns=None):
    """Return the rows as dicts of strings; none where there is no file. Columns that it lacks are empty."""
    if not os.path.isfile(path):
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        table = csv.DictReader(stream)
        rows, found = list(table), table.fieldnames or []
    if columns and not set(found) <= set(columns):
        raise InputError("{} has the columns {} and not {}; give another --output".format(
            path, ", ".join(found), ", ".join(columns)))
    return [dict(dict.fromkeys(columns or [], ""), **row) for row in rows]


def write(path, columns, rows):
    """Write dicts as a CSV, complete or not at all."""
    with files.replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, columns)
        table.writeheader()
        table.writerows(rows)


def where():
    """Return what the figures hold for, such as "Intel(R) Xeon(R) Processor, 2 threads"."""
    name = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as stream:
            name = dict(line.split("\t: ", 1) for line in stream if "\t: " in line).get("model name", name).strip()
    return "{}, {} thread{}".format(name, threads(), "" if threads() == 1 else "s")

"""The features of a split's rows: by a network in this process, or as tasks of some rows each (common/jobs.py).

TensorFlow is imported by what uses it: Dask's scheduler reads tasks, too, and need not have it.
"""
import functools
import json
import os
import threading

import numpy as np

from slim_retrieval.common import files, jobs
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.progress import progress

ROWS = 1024  # of a task, about: whole shards, so that images lie in the same batches as without tasks
SIZES_AT_ONCE = 8  # batches that images of several sizes are sorted into

_opening = threading.Lock()


def here(network, table, split, first, options):
    """Yield (end, rows, features) for the rows of a split from `first` on.

    Args:
      network: nets.extraction.FeatureNetwork.
      table: datasets.table.ImageTable.
      options: the whole configuration as plain dicts.

    Yields:
      end: all rows before it are done; rows: int64 [m], those that could be read; features: float32 [m, width] of each
      end point.

    Raises:
      UnreadableImage: an image cannot be read and extraction.skip_unreadable is false.
    """
    with progress(total=len(table), initial=first, what="extracting " + split, unit="img") as bar:
        for end, rows, found in _computed(network, table, first, options, bar.update):
            yield end, rows, found
            bar.update(end - bar.n)


def by_tasks(arguments, checksum, network, table, split, first, options):
    """Yield as `here`, computed by tasks. Each needs the checkpoint and the images under the same path as this process.

    Args:
      arguments: dict, the arguments of FeatureNetwork; checksum: of the checkpoint.
    """
    data = dict(options["data"], path=os.path.abspath(os.path.expanduser(options["data"]["path"])))
    network_text = json.dumps(dict(arguments, checkpoint=os.path.abspath(arguments["checkpoint"])))
    table_text = json.dumps([data, split, options["run"]["seed"], digest_of(table)])
    extraction = {key: options["extraction"][key] for key in ("batch_size", "resize", "draft", "skip_unreadable")}
    folder, step = jobs.folder("extraction", network_text, checksum, table_text, extraction), _rows(network, extraction)
    tasks = [(network_text, table_text, start, min(start + step, len(table)),
              {"extraction": extraction, "data": {"workers": data["workers"]}},
              os.path.join(folder, "features-{}.npz".format(start)))
             for start in range(0, len(table), step) if start + step > first]
    jobs.run(part, tasks, "extracting " + split)
    for _, _, _, end, _, output in tasks:
        with np.load(output) as stored:
            yield end, stored["rows"], [stored[str(number)] for number in range(len(network.widths))]
    jobs.forget(folder)


def part(network, table, start, stop, options, output):
    """Task: write the features of the rows from start to before stop to `output` (.npz: rows, 0, 1, ...).

    Args:
      network: JSON of the arguments of FeatureNetwork; table: JSON of [data, split, seed, digest].
    """
    with _opening:  # one network for all threads of a process
        network, table = open_network(network), read_table(table)
    rows, features = [], [[] for _ in network.widths]
    for _, kept, found in _computed(network, table.subset(range(start, stop)), 0, options, lambda count: None):
        rows.append(kept + start)
        for parts, values in zip(features, found):
            parts.append(values)
    arrays = {str(number): np.concatenate(parts) for number, parts in enumerate(features)}
    with files.replacing(output) as path:
        np.savez(path, rows=np.concatenate(rows), **arrays)


def _computed(network, table, first, options, done):
    """Yield as `here`; `done` is called with the number of images in each batch that is finished."""
    from slim_retrieval.datasets.pipeline import image_shards
    extraction = options["extraction"]
    for end, rows, images in image_shards(table, network.size_of, _shard(network, extraction), first,
                                          extraction["skip_unreadable"], options["data"]["workers"],
                                          extraction["draft"]):
        yield end, rows, network.of_list(images, extraction["batch_size"], done)


def _shard(network, extraction):
    """Return how many rows are computed, written and lost in a kill at once."""
    # Images of several sizes fill their batches only when there are many.
    return extraction["batch_size"] * len(network.devices) * (1 if extraction["resize"] == "square" else SIZES_AT_ONCE)


def _rows(network, extraction):
    shard = _shard(network, extraction)
    return shard * max(1, ROWS // shard)


@functools.lru_cache(maxsize=1)
def open_network(text):
    """Return the network of a task; a process keeps the last one for the tasks to come."""
    if os.environ.get("OMP_NUM_THREADS"):  # joblib and Dask tell workers so not to take each other's processors
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ["OMP_NUM_THREADS"])
    from slim_retrieval.nets.extraction import FeatureNetwork
    return FeatureNetwork(**json.loads(text))


@functools.lru_cache(maxsize=1)
def read_table(text):
    from slim_retrieval.datasets.factory import read_split
    data, split, seed, expected = json.loads(text)
    table = read_split(data, split, seed)
    if digest_of(table) != expected:
        raise InputError("a worker finds {} images of split {} in {}, others than the command that it works for; both "
                         "must see the same files".format(len(table), split, data["path"]))
    return table


def digest_of(table):
    """Return a text that depends on the images' names and columns, but not on the folder they are in."""
    return files.digest([os.path.basename(path) for path in table.paths], table.columns)

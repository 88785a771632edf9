"""The features of one split, of one or several end points, written as they come, resumed, or left as they are."""
import contextlib
import logging
import os
import re
from collections import namedtuple

from slim_retrieval.common import feature_store
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import digest, read_json
from slim_retrieval.common.machine import versions
from slim_retrieval.nets import whiten
from slim_retrieval.nets.whitening import apply_whitening

log = logging.getLogger(__name__)

# What is written for one end point: its place among the network's features, what stands behind the split's name in the
# folder's, what meta.json says of it, the checkpoint's checksum, and (mean, projection) or None.
Output = namedtuple("Output", "number suffix described checksum whitening")


def views(options):
    """Return the fields of ExtractionConfig that say how often an image is looked at, and what becomes of it."""
    return {key: options["extraction"][key] for key in ("scales", "flip", "aggregate")}


def _resize(extraction):
    return "square" if extraction["resize"] == "square" else "aspect, multiples of {}".format(extraction["multiple"])


def resize_of(text):
    """Return {"resize", "multiple"} of ExtractionConfig from what meta.json says of them."""
    words = text.replace(",", "").split()
    return {"resize": words[0], "multiple": int(words[-1]) if len(words) > 1 else 32}


def checksum_of(checkpoint):
    """Return a text that depends on every variable of a checkpoint: its index, which holds a checksum of each."""
    with open(checkpoint + ".index", "rb") as stream:
        return stream.read().hex()


def outputs(run, checkpoint, model, preprocessing, options):
    """Return an Output for extraction.end_point and for each of more_end_points.

    Args:
      run: the run's folder, where whitenings lie.
      checkpoint: Saver prefix.
      model: dict of ModelConfig, as stored with the checkpoint; preprocessing: likewise.
      options: the whole configuration as plain dicts.

    Raises:
      InputError: an end point named twice, or a whitening that does not fit.
    """
    extraction, found = options["extraction"], []
    checksum = checksum_of(checkpoint)
    for number, end_point in enumerate([extraction["end_point"]] + extraction["more_end_points"]):
        about = {"checkpoint": os.path.basename(checkpoint), "weights": extraction["weights"], "model": model,
                 "preprocessing": preprocessing, "end_point": end_point, "pooling": options["model"]["pooling"],
                 "gem_p": options["model"]["gem_p"], "views": views(options), "resize": _resize(extraction),
                 "precision": extraction["precision"], "draft": extraction["draft"], "whitening": None}
        whitening = None
        if number == 0 and extraction["whitening"]:
            mean, projection, about["whitening"] = whiten.load(run, extraction["whitening"], about)
            whitening = mean, projection
        suffix = "." + re.sub(r"[^A-Za-z0-9_-]+", "_", end_point) if number else ""
        found.append(Output(number, suffix, about, checksum, whitening))
    if len({output.suffix for output in found}) < len(found):
        raise InputError("extraction.more_end_points names one twice: {}".format(
            ", ".join(extraction["more_end_points"])))
    return found


def write(network, table, split, run, outputs, options, find):
    """Write one split's features, of every end point in one pass; resume partial ones; leave current ones alone.

    Args:
      network: extraction.FeatureNetwork.
      table: datasets.table.Table of the split's images.
      run: folder whose features/ they go to.
      outputs: as from `outputs`.
      find: gives the rows' features, as training.extraction_tasks.here; handed in, because nets knows no datasets.

    Raises:
      InputError: an image, or all of them, cannot be read.
    """
    may_skip, writers = options["extraction"]["skip_unreadable"], []
    with contextlib.ExitStack() as stack:
        for output in outputs:
            folder = os.path.join(run, "features", split + output.suffix)
            about, key = described(output, split, table)
            if is_current(folder, key, may_skip):
                log.info("%s: already extracted from this checkpoint", folder)
                continue
            width = output.whitening[1].shape[1] if output.whitening else network.widths[output.number]
            writers.append((output, folder, about, _open_writer(folder, width, key, may_skip)))
            stack.callback(writers[-1][3].close)
        if not writers:
            return
        _write_rows(network, table, [(output, writer) for output, _, _, writer in writers], split, options, find)
        for _, folder, about, writer in writers:
            _finish(writer, folder, table, dict(about, checkpoint_hash=digest(output.checksum),
                                                seed=options["run"]["seed"], versions=versions()))


def described(output, split, table):
    """Return what meta.json says of one end point's features of a split, and the hash of all that they depend on."""
    about = dict(output.described, split=split)
    return about, digest(about, output.checksum, table.paths, table.columns)


def _finish(writer, folder, table, meta):
    skipped = {row for row, _ in writer.skipped}
    rows = [row for row in range(len(table)) if row not in skipped]
    if not rows:
        writer.discard()
        raise InputError("none of the {} images of {} can be read, e.g. {}; repair them".format(
            len(table), meta["split"], table.paths[0]))
    columns = {"path": [table.paths[row] for row in rows]}
    columns.update({name: [values[row] for row in rows] for name, values in table.columns.items()})
    writer.finish(columns, meta)
    log.info("%s: %d features of width %d%s", folder, len(rows), writer.width,
             "; {} unreadable images left out".format(len(skipped)) if skipped else "")


def is_current(folder, key, may_skip):
    """Return whether the split is done; images that were left out may be readable now."""
    return feature_store.is_current(folder, key) and (
        may_skip or not read_json(os.path.join(folder, "meta.json"))["skipped"])


def _open_writer(folder, width, key, may_skip):
    """Return the writer of a new or partial split; without `may_skip`, one that left out images is begun anew."""
    writer = feature_store.FeatureWriter(folder, width, key)
    if writer.skipped and not may_skip:
        writer.discard()
        writer = feature_store.FeatureWriter(folder, width, key)
    return writer


def _write_rows(network, table, writers, split, options, find):
    """Append the features of the rows that are not done yet; unreadable ones are recorded as [row, path]."""
    first = min(writer.next_row for _, writer in writers)
    for end, kept, features in find(network, table, split, first, options):
        for output, writer in writers:  # one that was ahead when the last run was killed takes what is new
            new = kept >= writer.next_row
            lost = sorted(set(range(writer.next_row, end)) - {int(row) for row in kept})
            if end > writer.next_row:
                writer.append(_whitened(features[output.number][new], output.whitening), end - writer.next_row,
                              [[row, table.paths[row]] for row in lost])


def _whitened(features, whitening):
    return apply_whitening(features, *whitening) if whitening else features

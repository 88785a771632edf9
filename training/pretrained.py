"""Start from a pretrained slim checkpoint, and say of every variable what became of it.

A variable of the backbone must be in the checkpoint. One that the configuration adds behind it (new layers, the
embedding, logits, a learned power of pooling, what the losses keep) is new: it is restored where the checkpoint has
it, as that of an earlier run may, and else stays as it was initialised.
"""
import glob
import logging
import os

from slim_retrieval.common.checkpoint_files import latest
from slim_retrieval.common.errors import InputError, nearest
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.sources import checkpoint_prefix
from slim_retrieval.nets.stored_weights import choose, stored_names
from slim_retrieval.training.towers import in_scope, scopes_of

log = logging.getLogger(__name__)


def restore_pretrained(session, path, variables, backbone, exclude_scopes=(), ignore_missing_vars=False,
                       weights="auto"):
    """Restore `variables` from a slim checkpoint and return the report of what became of each.

    Args:
      path: a Saver prefix, its .index file, a folder of checkpoints or a run's folder.
      variables: model variables, moving averages included, optimizer slots not.
      backbone: the scope of the network's own variables: these may not be missing.
      exclude_scopes: variables under these stay as they were initialised.
      ignore_missing_vars: allow the checkpoint to lack variables of the backbone, too.
      weights: "raw", "ema" or "auto": the moving averages where there are some (nets/stored_weights.py).

    Returns:
      {"checkpoint": path, "weights": "ema" or "raw", "counts": {...}} and, as {variable: shape}: "restored",
      "excluded", "initialised" (not in the checkpoint), "unused" (in the checkpoint alone).

    Raises:
      InputError: no checkpoint there, nothing restored, a shape differs, or something is missing and not allowed.
    """
    shapes = _open(path).get_variable_to_shape_map()
    for scope in exclude_scopes:
        if not any(in_scope(v.op.name, scope) for v in variables):
            raise InputError("model.checkpoint_exclude_scopes: no variable lies under {!r}{}".format(
                scope, nearest(scope, scopes_of(variables))))
    excluded = [v for v in variables if any(in_scope(v.op.name, scope) for scope in exclude_scopes)]
    wanted = [v for v in variables if v not in excluded]
    restored = [v for v in wanted if v.op.name in shapes]
    missing = [v for v in wanted if v.op.name not in shapes]
    _check_missing(path, [v.op.name for v in missing if in_scope(v.op.name, backbone)], wanted, restored, shapes,
                   ignore_missing_vars)
    _check_shapes(path, restored, shapes, backbone)
    read = stored_names(restored, shapes, weights)
    try:
        tf.train.Saver(read).restore(session, reader_prefix(path))
    except tf.errors.OpError as error:
        raise InputError("{} cannot be read: {}".format(path, error.message.strip().split("\n")[0])) from error
    report = {"checkpoint": path, "weights": choose(shapes, weights, path),
              "restored": _shapes(restored), "excluded": _shapes(excluded),
              "initialised": _shapes(missing),
              "unused": {name: list(shapes[name]) for name in sorted(set(shapes) - set(read))}}
    report["counts"] = {key: len(value) for key, value in report.items() if isinstance(value, dict)}
    return report


def describe(report):
    """Return the report in one line: counts, and what was not restored."""
    parts = ["{} variables restored{}".format(report["counts"]["restored"], " (moving averages of the weights)" if
                                              report["weights"] == "ema" else "")]
    for key, text in (("excluded", "excluded (as initialised)"), ("initialised", "not there (as initialised)"),
                      ("unused", "of the checkpoint not used")):
        names = list(report[key])
        if names:
            parts.append("{} {}: {}{}".format(len(names), text, ", ".join(names[:3]),
                                              ", ..." if len(names) > 3 else ""))
    return "pretrained {}: {}".format(report["checkpoint"], "; ".join(parts))


def reader_prefix(path):
    """Return the checkpoint prefix for a prefix, one of its files, a folder with a checkpoint or a run's folder."""
    path = os.path.expanduser(path)
    if os.path.isdir(os.path.join(path, "checkpoints")):
        path = os.path.join(path, "checkpoints")
    return os.path.isdir(path) and latest(path) or checkpoint_prefix(path)


def _open(path):
    prefix = reader_prefix(path)
    if not glob.glob(glob.escape(prefix) + "*"):
        raise InputError("no checkpoint {}; give a Saver prefix, its .index file or a folder".format(path))
    try:
        return tf.train.NewCheckpointReader(prefix)
    except Exception as error:  # TensorFlow raises RuntimeError, ValueError or its own, by version.
        raise InputError("{} cannot be read as a checkpoint: {}; weights of other kinds are converted first: python -m "
                         "slim_retrieval.nets.convert".format(path, str(error).split("\n")[0])) from error


def _check_missing(path, missing, wanted, restored, shapes, ignore_missing_vars):
    """Refuse when nothing is restored, or when `missing`, variables of the backbone, are not allowed to be."""
    if not restored:
        raise InputError("{}: none of the {} variables of this network is in it{}; it holds e.g. {}".format(
            path, len(wanted), nearest(wanted[0].op.name, shapes) if wanted else "", ", ".join(sorted(shapes)[:3])))
    if missing and not ignore_missing_vars:
        raise InputError("{} lacks {} variables of the network itself: {}{}; is it of another network? Else exclude "
                         "their scope (model.checkpoint_exclude_scopes) or set model.ignore_missing_vars".format(
                             path, len(missing), ", ".join(missing[:5]), ", ..." if len(missing) > 5 else ""))


def _check_shapes(path, variables, shapes, backbone):
    for v in variables:
        name, here, there = v.op.name, v.shape.as_list(), list(shapes[v.op.name])
        if here != there:
            cause = "is it of another width (model.depth_multiplier)? Else " if in_scope(name, backbone) else ""
            raise InputError("{}: {} has shape {} there and {} here; {}exclude it with "
                             "--model.checkpoint_exclude_scopes '[{}]'".format(path, name, there, here, cause,
                                                                                name.rpartition("/")[0] or name))


def _shapes(variables):
    return {v.op.name: v.shape.as_list() for v in variables}

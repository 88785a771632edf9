"""A run without training: the pretrained network as it is, as a checkpoint of step 0, so that features can be taken.

Beside it the run has what a trained one has (model.json, restore.json), and everything after training works on it.
"""
import os

from slim_retrieval.common import checkpoint_files
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import read_json, write_json
from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets.convert import check_layout
from slim_retrieval.nets.factory import get_layout, get_network
from slim_retrieval.nets.model import build_model
from slim_retrieval.training import checkpoints, pretrained


def write_untrained(run, model):
    """Write model.checkpoint_path's weights as the checkpoint of step 0 into a run; return the report of the restore.

    Args:
      run: its folder.
      model: dict of ModelConfig, with an image_size.

    Raises:
      InputError: the run was trained, or a variable of the network or its head is not in the checkpoint: features of
        random weights mean nothing.
    """
    directory, path = os.path.join(run, "checkpoints"), model["checkpoint_path"]
    newest = checkpoint_files.latest(directory)
    if newest and checkpoint_files.step_of(newest):
        raise InputError("{} was trained, its newest checkpoint is {}; give another --run.name, or leave out "
                         "model.checkpoint_path to take features of it".format(run, os.path.basename(newest)))
    check_layout(pretrained.reader_prefix(path), model)
    side = model["image_size"]
    with tf.Graph().as_default(), tf.Session() as session:
        build_model(tf.placeholder(tf.float32, [None, side, side, 3]), model)
        variables = slim.get_model_variables()
        report = pretrained.restore_pretrained(session, path, variables, get_network(model["network"]).scope,
                                               weights=model["checkpoint_weights"])
        _check_whole(path, report, model)
        os.makedirs(directory, exist_ok=True)
        checkpoints.save(session, tf.train.Saver(variables), directory, 0, 1)
    source = pretrained.reader_prefix(path) + ".json"  # what nets.convert wrote beside it
    write_json(os.path.join(directory, "model.json"), {
        "model": model, "preprocessing": get_layout(model).preprocessing, "classes": {}, "losses": [],
        "pretrained": {"checkpoint": os.path.abspath(path),
                       "converted": read_json(source) if os.path.isfile(source) else None}})
    write_json(os.path.join(run, "restore.json"), report)
    return report


def _check_whole(path, report, model):
    """Refuse a head that the checkpoint lacks, and say how to leave it out."""
    advice = {"embedding": "--model.embedding_size 0", "pooling": "--model.pooling gem",
              model["layers_scope"].split("/")[0]: "--model.layers '[]'"}
    missing = list(report["initialised"])
    if missing:
        scopes = {name.split("/")[0] for name in missing}
        raise InputError("{} lacks {}: features of untrained layers mean nothing; train, or take the network's own "
                         "with {}".format(path, ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else ""),
                                     " ".join(advice[scope] for scope in sorted(scopes) if scope in advice)))

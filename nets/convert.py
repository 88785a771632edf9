"""Turn pretrained weights from elsewhere into a slim checkpoint.

    python -m slim_retrieval.nets.convert resnet50-0676ba61.pth --model resnet_v1_50 --output weights/resnet.ckpt
    python -m slim_retrieval.nets.convert mobilenet_v2_1.4_224/ --model mobilenet_v2 --depth_multiplier 1.4 \\
        --averages --output weights/mobilenet.ckpt

Reads slim checkpoints (both formats; file, prefix or folder), frozen .pb, Keras' .h5 (tf.keras.applications' ResNet
and MobileNetV2), PyTorch's .pth and .safetensors (torchvision's resnet50, 101, 152 and mobilenet_v2) and .npz with any
of their names. Prints what became of each array; writes PREFIX.* and PREFIX.json, which says the layout to train with.
"""
import argparse
import dataclasses
import hashlib
import os
import tempfile

import numpy as np

from slim_retrieval.common.errors import InputError, command
from slim_retrieval.common.files import read_json, write_json
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.factory import build_network, get_layout, get_network
from slim_retrieval.nets.namings import NAMINGS, from_slim
from slim_retrieval.nets.sources import read_source


@command
def main(argv=None):
    """Read, map, print and write."""
    flags = _parser().parse_args(argv)
    options = dict(dataclasses.asdict(ModelConfig()), network=flags.model, depth_multiplier=flags.depth_multiplier)
    expected = variable_shapes(options)
    kind, arrays = read_source(flags.source)
    naming, values, used = to_slim(arrays, options, expected, flags.averages)
    print("{}: {}, {} arrays, named as by {}".format(flags.source, kind, len(arrays), naming))
    _print_report(arrays, expected, values, used)
    check_complete(flags.source, expected, values)
    options["layout"] = naming
    layout = get_layout(options)
    save_checkpoint({name: values[name] for name in expected}, flags.output)
    write_json(flags.output + ".json", {
        "source": os.path.basename(os.path.normpath(flags.source)), "sha256": _sha256(flags.source), "format": kind,
        "network": flags.model, "depth_multiplier": flags.depth_multiplier, "layout": naming,
        "averages": flags.averages, "preprocessing": layout.preprocessing, "label_offset": layout.label_offset})
    print("wrote {0}; train with --model.network {1}{2}{3} --model.checkpoint_path {0}".format(
        flags.output, flags.model, "" if naming == "slim" else " --model.layout " + naming,
        "" if flags.depth_multiplier == 1 else " --model.depth_multiplier {}".format(flags.depth_multiplier)))


def _parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__.split("\n", 2)[2],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SOURCE", help="file, checkpoint prefix or folder")
    parser.add_argument("--model", required=True, metavar="NAME", help="our network that the weights are for")
    parser.add_argument("--output", required=True, metavar="PREFIX", help="checkpoint to write")
    parser.add_argument("--depth_multiplier", type=float, default=1.0, metavar="X", help="width (default: 1)")
    parser.add_argument("--averages", action="store_true",
                        help="of a slim checkpoint, take the variables' moving averages")
    return parser


def variable_shapes(options):
    """Return {variable name: shape} of the network at its own image size, the classifier left out."""
    size = get_network(options["network"]).image_size
    with tf.Graph().as_default():
        build_network(tf.placeholder(tf.float32, [None, size, size, 3]), False, options)
        return {v.op.name: v.shape.as_list() for v in tf.global_variables()}


def to_slim(arrays, options, expected, averages=False):
    """Return (naming, {variable: float32 array}, {variable: source name}) by the naming that explains most of it.

    Args:
      arrays: {source name: array}.
      options: dict of ModelConfig: the network.
      expected: its variables.
      averages: as in namings.from_slim.
    """
    network = get_network(options["network"])
    results = {}
    for naming in network.layouts:
        found = (from_slim(arrays, network.scope, averages) if naming == "slim"
                 else NAMINGS[naming](arrays, network.scope))
        results[naming] = {name: pair for name, pair in found.items() if name in expected}
    naming = max(results, key=lambda name: len(results[name]))  # the first of several: slim
    found = results[naming]
    return (naming, {name: np.asarray(array, np.float32) for name, (_, array) in found.items()},
            {name: source for name, (source, _) in found.items()})


def check_complete(source, expected, values):
    """Raise InputError where a variable is missing or has another shape."""
    missing = sorted(set(expected) - set(values))
    if missing:
        raise InputError("{} lacks {} of {} variables: {}{}; is it another network?".format(
            source, len(missing), len(expected), ", ".join(missing[:3]), ", ..." if len(missing) > 3 else ""))
    for name, shape in sorted(expected.items()):
        if list(values[name].shape) != shape:
            raise InputError("{}: {} has shape {} there and {} here; is it of another width "
                             "(--depth_multiplier)?".format(source, name, list(values[name].shape), shape))


def save_checkpoint(values, prefix):
    """Write {variable name: array} as a Saver checkpoint, the index last; return its prefix."""
    folder = os.path.dirname(os.path.abspath(prefix))
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary, tf.Graph().as_default(), tf.Session() as session:
        holders = {name: tf.placeholder(tf.float32, value.shape) for name, value in values.items()}
        variables = [tf.Variable(holders[name], name=name) for name in sorted(values)]
        session.run([v.initializer for v in variables], {holders[name]: value for name, value in values.items()})
        name = os.path.basename(prefix)
        tf.train.Saver(variables).save(session, os.path.join(temporary, name), write_meta_graph=False,
                                       write_state=False)
        for file in sorted(os.listdir(temporary), key=lambda f: f.endswith(".index")):
            os.replace(os.path.join(temporary, file), os.path.join(folder, file))
    return prefix


def check_layout(checkpoint, options):
    """Refuse a checkpoint (a prefix) whose layout is not `options`': it would run, and give worse features.

    What it was made for is in PREFIX.json, where it was converted, or in model.json beside it, where it was trained.
    """
    stored = os.path.join(os.path.dirname(checkpoint), "model.json")
    if os.path.isfile(checkpoint + ".json"):
        made = read_json(checkpoint + ".json")
    elif os.path.isfile(stored):
        made = read_json(stored).get("model", {})
    else:
        return
    for key in ("layout", "network", "depth_multiplier"):
        if key in made and made[key] != options[key]:
            raise InputError("model.{} is {!r}, but {} was made for {!r}; set it to that".format(
                key, options[key], checkpoint, made[key]))


def _print_report(arrays, expected, values, used):
    for name in sorted(values):
        print("  {:<60} <- {} {}".format(name, used[name], _shape(values[name].shape)))
    taken = {part for source in used.values() for part in source.split(" - ")}
    left = sorted(set(arrays) - taken)
    for name in left:
        print("  not mapped: {} {}".format(name, _shape(np.shape(arrays[name]))))
    for name in sorted(set(expected) - set(values)):
        print("  MISSING: {} {}".format(name, _shape(expected[name])))
    print("{} of {} variables mapped, {} arrays of the source are no part of the network".format(
        len(values), len(expected), len(left)))


def _shape(sides):
    return "[{}]".format(", ".join(str(side) for side in sides))


def _sha256(source):
    """Return the SHA-256 of the source's file; None for a checkpoint of several files."""
    if not os.path.isfile(source):
        return None
    with open(source, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


if __name__ == "__main__":
    main()

"""Export a run's feature network as one file that needs neither this project nor its checkpoint.

    python -m slim_retrieval.nets.export --run R --format saved_model onnx --output exports/shop
    python -m slim_retrieval.nets.export --config C.yaml --checkpoint weights/net.ckpt --format tflite --output net

What is exported goes from RGB pixels (float32, 0..255; the network's preprocessing is inside) to the L2-normalised
feature, as extract_features.py takes it: model.* and extraction.* (end points, scales, flip, whitening) are the run's,
or as given. Writes PREFIX.saved_model/, PREFIX.pb (frozen), PREFIX.tflite, PREFIX.onnx, and beside each a .json that
says what goes in and what comes out. Each is loaded again by its own runtime and compared with the session: what
differs by more than 1e-4 is not kept.
"""
import hashlib
import os
from collections import namedtuple

import numpy as np

from slim_retrieval.common import config as configuration
from slim_retrieval.common import runs
from slim_retrieval.common.errors import InputError, command, lookup
from slim_retrieval.common.files import make_folder, naming, remove, write_json
from slim_retrieval.common.logs import start_logging
from slim_retrieval.common.machine import have, versions
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets import checkpoint_choice, whiten
from slim_retrieval.nets.convert import check_layout
from slim_retrieval.nets.export_formats import FORMATS
from slim_retrieval.nets.export_graph import build, expected_features, sample_images
from slim_retrieval.nets.extraction import NO_CHECKPOINT, SHAPES_WEIGHTS, FeatureNetwork, stored_model
from slim_retrieval.nets.factory import get_layout, get_network
from slim_retrieval.nets.sources import checkpoint_prefix
from slim_retrieval.nets.split_features import views as views_of
from slim_retrieval.nets.stored_weights import choose

ALLOWED = 1e-4
RESIZE = ("upright by EXIF, transparency on white, then resized to the shape's height and width whatever the aspect "
          "ratio, bilinear with antialiasing (Pillow's Image.BILINEAR)")

# checkpoint: prefix; model, options: dicts of ModelConfig and Config; end_points: names, the first of them whitened;
# views: see FeatureNetwork; whitening: (mean, projection, {what is recorded}) or None.
Source = namedtuple("Source", "checkpoint model options end_points views whitening")


@command
def main(argv=None):
    """Read, freeze, and write each format."""
    flags, overrides = configuration.parse(_parser(), argv)
    formats = _formats(flags.format)
    _make_folder_of(flags.output)
    start_logging()
    source = read_source(flags, overrides)
    pooling = source.options["model"]["pooling"]
    with FeatureNetwork(source.checkpoint, source.model, source.end_points[0], pooling, source.end_points[1:],
                        source.views, sample=sample_images,
                        weights=source.options["extraction"]["weights"]) as network:
        frozen, (images, features) = network.freeze(), network.sampled
        expected = expected_features(features, source.whitening)
    refused = []
    with tf.Graph().as_default(), tf.Session() as session:
        placeholder, outputs = build(frozen, images.shape[1:], source.end_points, source.whitening)
        for name in formats:
            try:
                write(name, session, placeholder, outputs, (images, expected), source, flags.output)
            except InputError as error:  # the others may do
                refused.append(str(error))
    if refused:
        raise InputError("; ".join(refused))


def _parser():
    parser = configuration.build_parser(__doc__)
    parser.add_argument("--run", default=None, metavar="NAME", help="run folder or name (default: the newest)")
    parser.add_argument("--checkpoint", default=None, metavar="PREFIX",
                        help="checkpoint to export (default: the run's newest); its model is --config's, or --run's")
    parser.add_argument("--format", nargs="+", required=True, metavar="NAME", help=", ".join(FORMATS))
    parser.add_argument("--output", required=True, metavar="PREFIX", help="what is written, without its ending")
    return parser


def _formats(words):
    """Return the formats' names; refuse unknown ones, and those that lack a package before anything is read."""
    names = list(dict.fromkeys(name for word in words for name in word.split(",") if name))
    if not names:
        raise InputError("--format names none of {}".format(", ".join(FORMATS)))
    for name in names:
        missing = [module for module in lookup(FORMATS, name, "--format").needs if not have(module)]
        if missing:
            raise InputError("--format {} needs {}; install with: pip install '.[export]' in the project's folder"
                             .format(name, " and ".join(missing)))
    return names


def _make_folder_of(output):
    """Make the folder that the files go into; refuse a name that is none before anything is read."""
    folder, base = os.path.split(output)
    if base in ("", ".", ".."):
        raise InputError("--output {} is a folder; give the beginning of the files' names, such as {}".format(
            output, os.path.join(folder, "network")))
    make_folder(folder or ".")


def read_source(flags, overrides):
    """Return the Source that the command line names.

    Raises:
      InputError: no such run, checkpoint or whitening, or a model that the checkpoint is not of.
    """
    run = None
    if flags.run is not None or not (flags.checkpoint and flags.config):
        run = runs.find(flags.run, overrides.get("run.directory", "runs"))
    options = configuration.to_plain(configuration.resolve(flags.config or runs.config_path(run), overrides))
    extraction, model = options["extraction"], options["model"]
    if extraction["resize"] != "square" or extraction["models"]:
        raise InputError("an export takes square images and is of one network, but extraction.resize is {} and "
                         "extraction.models {}; give --extraction.resize square --extraction.models []".format(
                             extraction["resize"], extraction["models"]))
    end_points = [extraction["end_point"]] + extraction["more_end_points"]
    model["image_size"] = model["image_size"] or get_network(model["network"]).image_size
    checkpoint = checkpoint_prefix(os.path.expanduser(flags.checkpoint)) if flags.checkpoint else \
        checkpoint_choice.choose(os.path.join(run, "checkpoints"), extraction["checkpoint"])
    check_layout(checkpoint, model)
    if os.path.isfile(os.path.join(os.path.dirname(checkpoint), "model.json")):
        model = dict(stored_model(os.path.dirname(checkpoint), model, end_points[0])["model"], gem_p=model["gem_p"])
    views = views_of(options)
    if not os.path.isfile(checkpoint + ".index"):
        raise InputError(NO_CHECKPOINT.format(checkpoint))
    extraction["weights"] = choose(tf.train.NewCheckpointReader(checkpoint).get_variable_to_shape_map(),
                                   extraction["weights"], checkpoint)
    whitening = None
    if extraction["whitening"]:
        whitening = whiten.load(run or "", extraction["whitening"], {
            "checkpoint": os.path.basename(checkpoint), "end_point": end_points[0], "views": views,
            "resize": "square", "weights": extraction["weights"], "pooling": options["model"]["pooling"],
            "gem_p": model["gem_p"]})
    return Source(checkpoint, model, options, end_points, views, whitening)


def write(name, session, images, outputs, check, source, output):
    """Write one format and its .json, or nothing.

    Args:
      check: (images, expected features of each output).

    Raises:
      InputError: the network cannot be converted, or the result differs from the session.
    """
    kind = FORMATS[name]
    path = (output[:-len(kind.ending)] if output.endswith(kind.ending) else output) + kind.ending
    folder, base = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, ".partial-{}-{}".format(os.getpid(), base))
    names = [out.op.name for out in outputs]
    try:
        with naming(path, temporary):
            difference = _converted(name, lambda: (kind.write(session, images, outputs, temporary),
                                                   _difference(kind, temporary, names, *check))[1])
            if not difference <= ALLOWED:  # NaN is refused, too
                raise InputError("{}: what {} gives differs from the session by {:.2g}, allowed is {:.0e}; not "
                                 "written".format(path, name, difference, ALLOWED))
            remove(path + ".json")  # so that an old description never stands beside a new network
            if os.path.isdir(path):  # which is not replaced by renaming
                remove(path)
            os.replace(temporary, path)
            write_json(path + ".json", describe(name, images, outputs, difference, source))
    finally:
        remove(temporary)
    print("{}: {} -> {}; differs from the session by at most {:.1e}".format(
        path, " x ".join(str(side) for side in check[0].shape[1:]),
        ", ".join("{} [{}]".format(out.op.name, out.shape[1]) for out in outputs), difference))


def _converted(name, convert):
    """Return convert(); a converter's own error (each package has several) becomes one line."""
    try:
        return convert()
    except (OSError, MemoryError):
        raise
    except Exception as error:
        lines = [line for line in str(error).split("\n") if line.strip() and line != "See console for info."]
        reason = lines[0] if lines else type(error).__name__
        raise InputError("this network cannot be exported as {}: {}".format(name, reason)) from error


def _difference(kind, path, names, images, expected):
    """Return the largest difference of any value between what the runtime gives and what is expected."""
    step = kind.batch or len(images)
    batches = [kind.run(path, images[start:start + step], names) for start in range(0, len(images), step)]
    return max(float(np.abs(np.concatenate([batch[name] for batch in batches]) - rows).max())
               for name, rows in zip(names, expected))


def describe(name, images, outputs, difference, source):
    """Return what the .json says."""
    suffix = ":0" if name == "frozen" else ""
    with open(source.checkpoint + ".index", "rb") as stream:
        sha256 = hashlib.sha256(stream.read()).hexdigest()
    described = []
    for number, (out, end_point) in enumerate(zip(outputs, source.end_points)):
        whitened = source.whitening[2] if number == 0 and source.whitening is not None else None
        described.append({"name": out.op.name + suffix, "shape": [FORMATS[name].batch, int(out.shape[1])],
                          "end_point": end_point, "l2_normalised": True, "whitening": whitened})
    return {
        "format": name, "outputs": described,
        "input": {"name": images.op.name + suffix, "shape": [FORMATS[name].batch] + images.shape.as_list()[1:],
                  "dtype": "float32", "channels": "RGB", "range": [0, 255], "resize": RESIZE,
                  "preprocessing": "none: {} is part of the network".format(get_layout(source.model).preprocessing)},
        "model": dict({key: source.model[key] for key in SHAPES_WEIGHTS}, gem_p=source.model["gem_p"],
                      pooling=source.options["model"]["pooling"]), "views": source.views,
        "checkpoint": {"name": os.path.basename(source.checkpoint), "sha256_of_index": sha256,
                       "weights": source.options["extraction"]["weights"]},
        "largest_difference_from_session": difference, "versions": versions()}


if __name__ == "__main__":
    main()

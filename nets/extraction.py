"""A trained network as a function from images to features, in an inference graph of its own, frozen."""
import contextlib
import dataclasses
import math
import os

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import read_json
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.buckets import by_size, keeping_aspect, square
from slim_retrieval.nets.end_points import describe, find_tensor
from slim_retrieval.nets.factory import get_layout, get_network
from slim_retrieval.nets.frozen import freeze
from slim_retrieval.nets.inference import Inference, resolve
from slim_retrieval.nets.model import build_model, pool
from slim_retrieval.nets.stored_weights import stored_names
from slim_retrieval.nets.views import ONE_VIEW, aggregate, largest_side, view_images

# How images are made fit for the network, and where it runs: the defaults of ExtractionConfig.
SQUARE = {"resize": "square", "multiple": 32, "devices": [], "precision": "float32"}
NO_CHECKPOINT = "no checkpoint {}; train first (train_multi_gpu.py --config ...)"
# Options that the stored weights depend on.
SHAPES_WEIGHTS = ["network", "depth_multiplier", "layout", "image_size", "end_point", "layers", "layers_scope",
                  "embedding_size"]


class FeatureNetwork:
    """Images in, features out. Use it as a context manager: it holds a session.

    Attributes:
      side: pixels of the square images that it takes, or of the longer side: those of the largest scale.
      size_of: function from an image's height and width to those that it must be given with.
      widths: columns of the features of each end point; `width`: of the first.
      restored: number of variables read from the checkpoint: all that the network has.
      devices: names of the devices that it runs on.
    """

    def __init__(self, checkpoint, options, end_point="embedding", pooling=None, more=(), views=ONE_VIEW,
                 running=SQUARE, sample=None, weights="auto"):
        """Build the inference graph and restore `checkpoint` (a Saver prefix).

        Args:
          options: dict of ModelConfig, as stored with the checkpoint.
          end_point: `embedding`, an end point's name or a full tensor name.
          pooling: how another end point's feature map becomes a vector; None: as trained.
          more: further end points, for `several`.
          views: scales, flip and aggregate of ExtractionConfig.
          running: resize, multiple, devices and precision of ExtractionConfig.
          sample: function from `side` to images; `sampled` becomes (images, their features by the session with
            variables, batch norm and all), to compare with.
          weights: "raw", "ema" or "auto": the moving averages where there are some (nets/stored_weights.py).

        Raises:
          InputError: unknown or unusable end point, no checkpoint, or one that does not fit the network; a device or
            precision that is not to be had.
        """
        self.side = largest_side(options["image_size"], views)
        _check(views, running, self.side, (options["pooling"], pooling))
        self.size_of, side = square(self.side), self.side
        if running["resize"] == "aspect":
            smallest = get_network(options["network"]).minimum_size * max(views["scales"]) / min(views["scales"])
            self.size_of, side = keeping_aspect(self.side, running["multiple"], int(math.ceil(smallest))), None
        self._graph = tf.Graph()  # kept: R-MAC of images of any size calls a function that lives as long as it
        with self._graph.as_default(), tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            inputs = tf.placeholder(tf.float32, [None, side, side, 3], "images")
            vectors = [self._vectors(images, number, options, [end_point] + list(more), pooling)
                       for number, images in enumerate(view_images(inputs, options["image_size"], views))]
            features = [aggregate(of_views, views["aggregate"]) for of_views in zip(*vectors)]
            self.widths = [int(output.shape[1]) for output in features]
            self.width = self.widths[0]
            self._restore(session, checkpoint, weights)
            if sample is not None:
                images = sample(self.side)
                self.sampled = images, session.run(features, {inputs: images})
            self._frozen = freeze(session, inputs, features)
        self._inference = Inference(self._frozen, side, running["devices"], running["precision"])
        self.devices = self._inference.devices

    def _vectors(self, images, number, options, end_points, pooling):
        """Return the vectors [B, d] of each end point for one view; views after the first reuse its variables."""
        # The first has no name scope, so that its tensors have the names that they have in slim's own graph.
        with tf.variable_scope(tf.get_variable_scope(), reuse=number > 0 or None), \
                (tf.name_scope("view_{}".format(number)) if number else contextlib.nullcontext()):
            model, vectors = build_model(images, options), []
            for name in end_points:
                vectors.append(pool(find_tensor(model.end_points, name), pooling or options["pooling"],
                                    options.get("gem_p", 3.0)))
                if vectors[-1].shape.as_list()[0] is not None:  # a variable, say: not one row for each image
                    raise InputError("{} is the same for all images; name an end point that depends on them".format(
                        name))
            return vectors

    def _restore(self, session, checkpoint, weights):
        variables = tf.global_variables()
        if not os.path.exists(checkpoint + ".index"):
            raise InputError(NO_CHECKPOINT.format(checkpoint))
        try:
            shapes = tf.train.NewCheckpointReader(checkpoint).get_variable_to_shape_map()
            _check_fits(checkpoint, variables, shapes)
            tf.train.Saver(stored_names(variables, shapes, weights)).restore(session, checkpoint)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise InputError("checkpoint {} cannot be read: {}".format(
                checkpoint, str(error).strip().split("\n")[0])) from error
        self.restored = len(variables)

    def __call__(self, images):
        """Return features float32 [B, width] (not normalised, but for `embedding`) of images [B, h, w, 3].

        h and w are what `size_of` gives; uint8, or float32 with values from 0 to 255.
        """
        return self.several(images)[0]

    def several(self, images, tower=0):
        """Return the features of `end_point` and of each of `more`, from one pass on the device number `tower`."""
        return self._inference(images, tower)

    def of_list(self, images, batch_size, done=lambda count: None):
        """Return the features [n, width] of each end point for n uint8 images, which may be of several sizes.

        Args:
          images: list of arrays [h, w, 3]; those of one size are stacked into batches.
          done: called with the number of images in each batch that is finished.
        """
        batches = by_size(images, batch_size)
        found = [np.empty((len(images), width), np.float32) for width in self.widths]
        results = self._inference.map(
            lambda batch, tower: self.several(np.stack([images[i] for i in batch]), tower), batches)
        for batch, result in zip(batches, results):
            for features, rows in zip(found, result):
                features[batch] = rows
            done(len(batch))
        return found

    def freeze(self):
        """Return the network without variables, batch norm folded: frozen.Frozen with the outputs of `several`."""
        return self._frozen

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._inference.close()


def _check(views, running, side, poolings):
    """Refuse what cannot be before anything is built."""
    resolve(running["devices"], running["precision"])
    resize = running["resize"]
    if resize == "aspect" and running["multiple"] >= side:
        raise InputError("extraction.multiple is {}, but images have {} pixels along their longer side: all would "
                         "become square; take a smaller one".format(running["multiple"], side))
    if "none" in poolings and (len(set(views["scales"])) > 1 or resize == "aspect"):
        raise InputError("model.pooling is none, whose width depends on the scale and the shape, but extraction.scales "
                         "is {} and extraction.resize {}; take one scale of square, or another pooling".format(
                             views["scales"], resize))


def _check_fits(checkpoint, variables, shapes):
    """Refuse a checkpoint of another network: TensorFlow's own message says neither which variable nor the shapes."""
    missing = [v.op.name for v in variables if v.op.name not in shapes]
    if missing:
        raise InputError("checkpoint {} does not fit this network: it lacks {} of {} variables, e.g. {}".format(
            checkpoint, len(missing), len(variables), missing[0]))
    for v in variables:
        if shapes[v.op.name] != v.shape.as_list():
            raise InputError("checkpoint {} does not fit this network: {} has shape {} there and {} here".format(
                checkpoint, v.op.name, shapes[v.op.name], v.shape.as_list()))


def list_end_points(options):
    """Return rows (name, shape without the batch, values an image, tensor's name) of the network's end points.

    Args:
      options: dict of ModelConfig; `image_size` 0 is the network's own.
    """
    size = options["image_size"] or get_network(options["network"]).image_size
    with tf.Graph().as_default():
        return describe(build_model(tf.placeholder(tf.float32, [None, size, size, 3]), options).end_points)


def stored_model(directory, wanted, end_point="embedding"):
    """Return what training stored in checkpoints/model.json.

    Args:
      directory: the run's checkpoints folder.
      wanted: dict of ModelConfig of the present configuration.
      end_point: what is to be extracted; the pooling of others than `embedding` may differ from training's.

    Raises:
      InputError: no file, or the configuration asks for another model or preprocessing than was trained.
    """
    path = os.path.join(directory, "model.json")
    if not os.path.exists(path):
        raise InputError(NO_CHECKPOINT.format("in " + directory))
    stored = read_json(path)
    # What an older version had not stored yet was as the defaults have it.
    stored["model"] = dict(dataclasses.asdict(ModelConfig()), **stored["model"])
    for key in SHAPES_WEIGHTS + (["pooling", "gem_p"] if end_point == "embedding" else []):
        if stored["model"][key] != wanted[key]:
            raise InputError("model.{} is {!r} but the checkpoint in {} was trained with {!r}; leave it at that, or "
                             "train another run".format(key, wanted[key], directory, stored["model"][key]))
    preprocessing = get_layout(wanted).preprocessing
    if stored["preprocessing"] != preprocessing:
        raise InputError("the checkpoint in {} was trained with preprocessing {!r} but {} now has {!r}; train "
                         "again".format(directory, stored["preprocessing"], wanted["network"], preprocessing))
    return stored

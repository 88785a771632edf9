"""A trained network as a function from images to features, in an inference graph of its own."""
import contextlib
import dataclasses
import os

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import read_json
from slim_retrieval.common.schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.end_points import describe, find_tensor
from slim_retrieval.nets.factory import get_layout, get_network
from slim_retrieval.nets.frozen import freeze
from slim_retrieval.nets.model import build_model, pool
from slim_retrieval.nets.views import ONE_VIEW, aggregate, largest_side, view_images

NO_CHECKPOINT = "no checkpoint {}; train first (train_multi_gpu.py --config ...)"
# Options that the stored weights depend on.
SHAPES_WEIGHTS = ["network", "depth_multiplier", "layout", "image_size", "end_point", "layers", "layers_scope",
                  "embedding_size"]


class FeatureNetwork:
    """Images in, features out. Use it as a context manager: it holds a session.

    Attributes:
      side: pixels of the square images that it takes: those of the largest scale.
      widths: columns of the features of each end point; `width`: of the first.
      restored: number of variables read from the checkpoint: all that the network has.
      device: name of the device that it runs on: the first GPU where there is one.
    """

    def __init__(self, checkpoint, options, end_point="embedding", pooling=None, more=(), views=ONE_VIEW):
        """Build the inference graph and restore `checkpoint` (a Saver prefix).

        Args:
          options: dict of ModelConfig, as stored with the checkpoint.
          end_point: `embedding`, an end point's name or a full tensor name.
          pooling: how another end point's feature map becomes a vector; None: as trained.
          more: further end points, for `several`.
          views: scales, flip and aggregate of ExtractionConfig.

        Raises:
          InputError: unknown or unusable end point, no checkpoint, or one that does not fit the network.
        """
        if len(set(views["scales"])) > 1 and "none" in (options["pooling"], pooling):
            raise InputError("model.pooling is none, whose width depends on the scale, but extraction.scales is {}; "
                             "take one scale or another pooling".format(views["scales"]))
        self._graph = tf.Graph()
        with self._graph.as_default():
            self.side = largest_side(options["image_size"], views)
            self._images = tf.placeholder(tf.float32, [None, self.side, self.side, 3], "images")
            found = view_images(self._images, options["image_size"], views)
            vectors = [self._vectors(images, number, options, [end_point] + list(more), pooling)
                       for number, images in enumerate(found)]
            self._features = [aggregate(of_views, views["aggregate"]) for of_views in zip(*vectors)]
            self.widths = [int(features.shape[1]) for features in self._features]
            self.width = self.widths[0]
            config = tf.ConfigProto(allow_soft_placement=True)
            config.gpu_options.allow_growth = True
            self._session = tf.Session(graph=self._graph, config=config)
            devices = self._session.list_devices()
            self.device = next((d.name for d in devices if d.device_type == "GPU"), devices[0].name)
            self._restore(checkpoint)

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

    def _restore(self, checkpoint):
        variables = tf.global_variables()
        if not os.path.exists(checkpoint + ".index"):
            raise InputError(NO_CHECKPOINT.format(checkpoint))
        try:
            _check_fits(checkpoint, variables)
            tf.train.Saver(variables).restore(self._session, checkpoint)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise InputError("checkpoint {} cannot be read: {}".format(
                checkpoint, str(error).strip().split("\n")[0])) from error
        self.restored = len(variables)

    def __call__(self, images):
        """Return features float32 [B, width] (not normalised, but for `embedding`) of uint8 images [B, side, side, 3].
        """
        return self._session.run(self._features[0], {self._images: images})

    def several(self, images):
        """Return the features of `end_point` and of each of `more`, from one pass."""
        return self._session.run(self._features, {self._images: images})

    def freeze(self):
        """Return the network without variables, batch norm folded: frozen.Frozen with the outputs of `several`."""
        return freeze(self._session, self._images, self._features)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._session.close()


def _check_fits(checkpoint, variables):
    """Refuse a checkpoint of another network: TensorFlow's own message says neither which variable nor the shapes."""
    shapes = tf.train.NewCheckpointReader(checkpoint).get_variable_to_shape_map()
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

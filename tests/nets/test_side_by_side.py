"""Two models in one process: as two graphs and in one session, each as if it were alone."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.convert import save_checkpoint
from slim_retrieval.nets.extraction import FeatureNetwork
from slim_retrieval.nets.model import build_model
from slim_retrieval.nets.side_by_side import SideBySide

IMAGES = np.random.RandomState(0).randint(0, 256, (4, 16, 16, 3)).astype(np.uint8)
# The same network twice, and another of another size.
MODELS = {"street": {"depth_multiplier": 0.125, "image_size": 16, "embedding_size": 5},
          "shop": {"depth_multiplier": 0.125, "image_size": 16, "embedding_size": 5},
          "small": {"depth_multiplier": 0.25, "image_size": 12, "embedding_size": 0}}


@pytest.fixture(scope="module")
def networks(tmp_path_factory, options, load_random):
    """Return {name: (checkpoint, options)} of weights of their own."""
    found = {}
    for seed, (name, changes) in enumerate(sorted(MODELS.items())):
        chosen = options(network="small_cnn", **changes)
        with tf.Graph().as_default(), tf.Session() as session:
            build_model(tf.zeros([1, chosen["image_size"], chosen["image_size"], 3]), chosen)
            values = load_random(session, seed)
        found[name] = save_checkpoint(values, str(tmp_path_factory.mktemp(name) / "model.ckpt-1")), chosen
    return found


def images_of(name):
    side = MODELS[name]["image_size"]
    return IMAGES[:, :side, :side]


@pytest.fixture(scope="module")
def alone(networks):
    """Return {name: features} of each network with nothing else in the process's graphs."""
    found = {}
    for name, (checkpoint, chosen) in networks.items():
        with FeatureNetwork(checkpoint, chosen) as network:
            found[name] = network(images_of(name))
    assert np.abs(found["street"] - found["shop"]).max() > 0.1  # other weights
    return found


def test_two_graphs_do_not_touch_each_other(networks, alone):
    opened = {name: FeatureNetwork(*network) for name, network in networks.items()}
    for name in list(MODELS) + sorted(MODELS, reverse=True):
        np.testing.assert_array_equal(opened[name](images_of(name)), alone[name])
    opened["shop"].__exit__()
    np.testing.assert_array_equal(opened["street"](images_of("street")), alone["street"])


def test_one_session_with_a_scope_for_each(networks, alone):
    frozen = {}
    for name, network in networks.items():
        with FeatureNetwork(*network) as opened:
            frozen[name] = opened.freeze()
    with SideBySide(frozen) as together:
        found = together({name: images_of(name) for name in MODELS})
        for name in MODELS:
            np.testing.assert_allclose(found[name][0], alone[name], atol=1e-5)
        assert set(together({"shop": IMAGES})) == {"shop"}  # the others are not computed, and need no images
        assert {op.name.split("/")[0] for op in together.graph.get_operations()} == set(MODELS)
        assert not together.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)


def test_a_scope_within_another_is_refused():
    with pytest.raises(InputError, match="scope 'a/b' lies within another of a, a/b"):
        SideBySide({"a": None, "a/b": None})

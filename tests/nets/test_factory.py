import ast
import glob
import os

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.nets import factory
from slim_retrieval.nets.factory import NETWORKS, get_network
from slim_retrieval.nets.preprocessing import PREPROCESSING


def test_unknown_network_names_the_nearest():
    with pytest.raises(InputError) as error:
        get_network("resnet_v2_50")
    assert str(error.value) == ("unknown network 'resnet_v2_50' (did you mean resnet_v1_50?); "
                                "known: mobilenet_v2, resnet_v1_50, small_cnn")


def test_every_preprocessing_exists():
    assert {network.preprocessing for network in NETWORKS.values()} <= set(PREPROCESSING)


def test_tensorflow_is_imported_in_one_place():
    # Imported before common.tensorflow has set it up, tf_slim does not work on TensorFlow 2.
    for path in glob.glob(os.path.join(os.path.dirname(factory.__file__), "*.py")):
        with open(path, encoding="utf-8") as stream:
            tree = ast.parse(stream.read())
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [n for n in names if n.split(".")[0] in ("tensorflow", "tf_slim", "tf_keras", "keras")], path

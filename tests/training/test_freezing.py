"""Training that leaves the network alone up to one of its layers: bit-equal, without a backward pass, on towers too."""
import dataclasses

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import TrainingConfig
from slim_retrieval.nets.model import build_model
from slim_retrieval.training import towers
from slim_retrieval.training.devices import open_session
from slim_retrieval.training.freezing import frozen_variables
from slim_retrieval.training.update import build_update

MODEL = dict(dataclasses.asdict(ModelConfig()), network="small_cnn", depth_multiplier=0.125, image_size=12,
             freeze_up_to="stage_2")
TRAINING = dict(dataclasses.asdict(TrainingConfig()), optimizer="momentum", weight_decay=0.1)
IMAGES = np.random.RandomState(0).randint(0, 256, (8, 12, 12, 3)).astype(np.float32)
LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 0], np.int32)
LAYERS = ["conv_1_1", "conv_2_1", "conv_2_2"]
PARTS = ["weights", "BatchNorm/beta", "BatchNorm/gamma", "BatchNorm/moving_mean", "BatchNorm/moving_variance"]
FROZEN = {"small_cnn/{}/{}".format(layer, part) for layer in LAYERS for part in PARTS}


def build(count=1, model=MODEL, scopes=()):
    devices = ["/cpu:{}".format(i) for i in range(count)]
    return devices, towers.build_towers(tf.constant(IMAGES), {"label": tf.constant(LABELS)}, devices, model,
                                        [{"name": "softmax", "label": "label"}], {"label": 3}, "tower", scopes,
                                        frozen=frozen_variables(model))


def test_the_frozen_variables_are_those_that_the_layer_depends_on():
    assert frozen_variables(MODEL) == FROZEN
    assert frozen_variables(dict(MODEL, freeze_up_to="")) == set()
    inner = frozen_variables(dict(MODEL, freeze_up_to="small_cnn/conv_2_1/Conv2D:0"))  # before its batch norm
    assert inner == {"small_cnn/conv_1_1/" + part for part in PARTS} | {"small_cnn/conv_2_1/weights"}
    with pytest.raises(InputError, match=r"unknown end point stage_9 \(did you mean stage_"):
        frozen_variables(dict(MODEL, freeze_up_to="stage_9"))


@pytest.mark.parametrize("count", [1, 2])
def test_frozen_variables_are_bit_equal_after_training_and_all_others_move(count):
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        devices, built = build(count)
        train = build_update(built.gradients, built.update_ops, TRAINING)[0]
        backward = {part for op in tf.get_default_graph().get_operations() if "gradients" in op.name
                    for part in op.name.split("/") if part.startswith("conv_")}
        assert backward == {"conv_3_1", "conv_3_2"}  # none through the frozen part
        variables = [v for v in tf.global_variables() if v.op.name.startswith(("small_cnn", "logits"))
                     and "Momentum" not in v.op.name]
        with open_session(devices) as session:
            session.run(tf.global_variables_initializer())
            before = session.run(variables)
            for _ in range(4):
                session.run(train)
            after = session.run(variables)
    still = {v.op.name for v, old, new in zip(variables, before, after) if np.array_equal(old, new)}
    assert still == FROZEN and len(variables) == 15 + 10 + 2


def test_batch_norm_normalises_by_the_stored_averages_up_to_there_and_by_the_batch_beyond():
    found = []
    for training in (False, True):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(0)
            end_points = build_model(tf.constant(IMAGES), MODEL, None, training, frozenset(FROZEN)).end_points
            session.run(tf.global_variables_initializer())
            found.append(session.run([end_points["stage_2"], end_points["stage_3"]]))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert np.abs(found[0][1] - found[1][1]).max() > 1e-3


def test_a_shortcut_around_the_frozen_layer_is_frozen_too():
    """The end point lies inside an inverted residual: its input goes on beside it, the projection after it is trained.
    """
    model = dict(MODEL, network="mobilenet_v2", depth_multiplier=0.35, image_size=32, end_point="layer_4/output",
                 freeze_up_to="layer_4/depthwise_output")
    with tf.Graph().as_default():
        _, built = build(model=model)
        trained = {v.op.name for _, v in built.gradients}
    block = "MobilenetV2/expanded_conv_2/project/"
    assert trained == {"logits/label/weights", "logits/label/biases", block + "weights",
                       block + "BatchNorm/gamma", block + "BatchNorm/beta"}
    assert len(built.update_ops) == 2  # of project; the blocks beyond the end point are not computed


@pytest.mark.parametrize("model, scopes, message", [
    ({"freeze_up_to": "embedding", "embedding_size": 3, "end_point": ""}, ["small_cnn"],
     "no trainable variable lies under 'small_cnn' .model.freeze_up_to freezes those there.; there are e.g. logits/"),
    ({"freeze_up_to": "stage_3"}, ["small_cnn/conv_3_1"], "freezes those there")])
def test_scopes_that_are_all_frozen_are_refused(model, scopes, message):
    with tf.Graph().as_default(), pytest.raises(InputError, match=message):
        build(model=dict(MODEL, **model), scopes=scopes)


def test_nothing_left_to_train_is_refused():
    with tf.Graph().as_default(), pytest.raises(InputError, match="nothing is left to train"):
        towers.build_towers(tf.constant(IMAGES), {"label": tf.constant(LABELS)}, ["/cpu:0"], MODEL,
                            [{"name": "triplet_batch_all", "label": "label", "weight": 1.0, "options": {}}], {},
                            "global", frozen=frozen_variables(dict(MODEL, freeze_up_to="stage_3")))

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.model import build_model, l2_normalize, pool

IMAGES = np.random.RandomState(0).randint(0, 256, (3, 12, 12, 3)).astype(np.float32)
SMALL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "embedding_size": 5}
TRUNK = 5 * 5 + 2  # five convolutions with batch norm, and the embedding layer


def placeholder():
    return tf.placeholder(tf.float32, [None, 12, 12, 3])


def names():
    return [v.op.name for v in tf.global_variables()]


def test_forward_equals_numpy(options, layers, load_random):
    # Raw RGB in; inference uses the stored averages, which are random here.
    with tf.Graph().as_default(), tf.Session() as session:
        images = placeholder()
        model = build_model(images, options(**SMALL), {"label": 4})
        values = load_random(session)
        embedding, raw, logits = session.run([model.embedding, model.raw, model.logits["label"]], {images: IMAGES})
    x = IMAGES / 127.5 - 1
    for scope in ["small_cnn/conv_{}_{}".format(stage, layer) for stage in (1, 2, 3)
                  for layer in ((1,) if stage == 1 else (1, 2))]:
        if scope.endswith("_1") and not scope.endswith("conv_1_1"):
            x = layers.max_pool(x)
        x = np.maximum(layers.batch_norm(layers.conv(x, values[scope + "/weights"]), values, scope), 0)
    expected = x.mean(axis=(1, 2)).dot(values["embedding/weights"]) + values["embedding/biases"]
    np.testing.assert_allclose(raw, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(embedding, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(
        logits, expected.dot(values["logits/label/weights"]) + values["logits/label/biases"], rtol=1e-3, atol=1e-3)


def test_l2_normalize_at_a_zero_row():
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [-1e-4, 0.0]], np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        vectors = tf.constant(rows)
        value, gradient = session.run([l2_normalize(vectors), tf.gradients(l2_normalize(vectors), vectors)[0]])
    np.testing.assert_allclose(value[:2], [[0.6, 0.8], [0, 0]], atol=1e-6)
    # d/dx_i sum_j x_j / |x| = (1 - u_i * sum(u)) / |x| with u = x / |x|; at zero 1 / sqrt(1e-6).
    np.testing.assert_allclose(gradient[0], [(1 - 0.6 * 1.4) / 5, (1 - 0.8 * 1.4) / 5], atol=1e-5)
    np.testing.assert_allclose(gradient[1], [1e3, 1e3], rtol=1e-3)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() < 1.01e3


def test_logits_heads_share_the_trunk(options):
    with tf.Graph().as_default():
        model = build_model(placeholder(), options(**SMALL), {"shape": 3, "colour": 7})
        found = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
    assert len(found) == TRUNK + 4
    assert {name: shape for name, shape in found.items() if name.startswith("logits/")} == {
        "logits/shape/weights": [5, 3], "logits/shape/biases": [3],
        "logits/colour/weights": [5, 7], "logits/colour/biases": [7]}
    assert {name: tensor.shape.as_list()[1] for name, tensor in model.logits.items()} == {"shape": 3, "colour": 7}


def test_any_column_name_can_have_logits(options):
    # Columns come from a CSV file's header; TensorFlow's scopes allow only some characters.
    with tf.Graph().as_default():
        model = build_model(placeholder(), options(**SMALL), {"Größe (cm)": 3})
        assert model.logits["Größe (cm)"].shape.as_list() == [None, 3]
        assert "logits/Gr__e__cm_/weights" in names()


def test_two_towers_share_their_variables(options, load_random):
    # Without a scope of their own the second tower's layers would be fully_connected_1, ..., in silence.
    with tf.Graph().as_default(), tf.Session() as session:
        images, models = placeholder(), []
        for number in range(2):
            with tf.variable_scope(tf.get_variable_scope(), reuse=True if number else None), \
                    tf.name_scope("tower_{}".format(number)):
                models.append(build_model(images, options(**SMALL), {"label": 4}))
        assert len(names()) == len(set(names())) == TRUNK + 2
        assert {"embedding/weights", "embedding/biases", "logits/label/weights", "logits/label/biases"} == {
            name for name in names() if not name.startswith("small_cnn/")}
        load_random(session)
        one, two = session.run([model.logits["label"] for model in models], {images: IMAGES})
        np.testing.assert_array_equal(one, two)
        for number, model in enumerate(models):
            assert sorted(model.end_points) == ["embedding", "stage_1", "stage_2", "stage_3"]
            assert {t.name.split("/")[0] for t in model.end_points.values()} == {"tower_{}".format(number)}


@pytest.mark.parametrize("network, trunk", [("small_cnn", 25), ("mobilenet_v2", 260)])
def test_branches_in_one_scope_share_their_variables(options, network, trunk):
    # Siamese branches: here a layer without a scope of its own becomes fully_connected_1.
    with tf.Graph().as_default(), tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        for _ in range(2):
            build_model(placeholder(), options(**dict(SMALL, network=network)), {"label": 4})
        assert len(tf.global_variables()) == trunk + 4


def test_update_ops(options):
    def count(is_training):
        with tf.Graph().as_default():
            build_model(placeholder(), options(**SMALL), None, is_training)
            return len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    assert count(True) == 10
    assert count(False) == 0


def test_without_an_embedding_layer_the_pooled_map_is_the_feature(options, load_random):
    changes = dict(SMALL, embedding_size=0, pooling="max", end_point="stage_2")
    with tf.Graph().as_default(), tf.Session() as session:
        images = placeholder()
        model = build_model(images, options(**changes))
        load_random(session)
        raw, stage = session.run([model.raw, model.end_points["stage_2"]], {images: IMAGES})
    assert stage.shape == (3, 6, 6, 6)
    np.testing.assert_array_equal(raw, stage.max(axis=(1, 2)))


@pytest.mark.parametrize("changes, message", [
    ({"network": "mobilnet_v2"}, "unknown network 'mobilnet_v2' (did you mean mobilenet_v2?); "
                                 "known: alexnet_v2, inception_v1, "),
    ({"pooling": "averag"}, "unknown pooling 'averag' (did you mean average?); known: average, crow, gem, "),
    ({"end_point": "stage2"}, "unknown end point stage2 (did you mean stage_2?); known: stage_1, stage_2, stage_3"),
])
def test_unknown_names(options, changes, message):
    with tf.Graph().as_default(), pytest.raises(InputError) as error:
        build_model(placeholder(), options(**dict(SMALL, **changes)))
    assert str(error.value).startswith(message)


def test_only_maps_and_vectors_can_be_features():
    with tf.Graph().as_default():
        for shape in ([], [7], [2, 3, 4], [1, 2, 3, 4, 5]):
            with pytest.raises(InputError) as error:
                pool(tf.zeros(shape, name="thing"), "average")
            assert "thing" in str(error.value) and "[B, H, W, C]" in str(error.value)

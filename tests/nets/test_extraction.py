import json
import os

import numpy as np
import pytest
from PIL import Image

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets import precision
from slim_retrieval.nets.extraction import SQUARE, FeatureNetwork, stored_model
from slim_retrieval.nets.model import build_model
from slim_retrieval.nets.stored_weights import choose

IMAGES = np.random.RandomState(0).randint(0, 256, (5, 12, 12, 3)).astype(np.uint8)
SMALL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "embedding_size": 4}


@pytest.fixture(scope="module")
def trained(options, load_random, tmp_path_factory):
    """Return (checkpoint, the training graph's end points in inference mode on IMAGES).

    The checkpoint also holds what extraction does not want: logits, optimizer slots, the step.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [5, 12, 12, 3])
        model = build_model(images, options(**SMALL), {"label": 3}, is_training=True)
        step = tf.train.get_or_create_global_step()
        tf.train.MomentumOptimizer(0.1, 0.9).minimize(tf.reduce_sum(model.logits["label"]), step)
        with tf.variable_scope(tf.get_variable_scope(), reuse=True):
            inference = build_model(images, options(**SMALL))
        session.run(tf.global_variables_initializer())
        load_random(session)
        prefix = str(tmp_path_factory.mktemp("checkpoints") / "model.ckpt")
        checkpoint = tf.train.Saver().save(session, prefix, global_step=7)
        return checkpoint, session.run(inference.end_points, {images: IMAGES.astype(np.float32)})


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_equals_the_training_graph_in_inference_mode(trained, options):
    with FeatureNetwork(trained[0], options(**SMALL)) as network:
        features = network(IMAGES)
        assert network.width == 4 and network.restored == 27
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, trained[1]["embedding"], rtol=1e-5, atol=1e-6)
        # One by one: an image's feature does not depend on the others in its batch.
        np.testing.assert_allclose(np.concatenate([network(IMAGES[i:i + 1]) for i in range(5)]), features, atol=1e-5)


@pytest.mark.parametrize("end_point", ["stage_2", "small_cnn/conv_2_2/Relu:0"])
@pytest.mark.parametrize("pooling, axis", [("max", "max"), ("average", "mean")])
def test_other_end_points_are_pooled_as_asked(trained, options, end_point, pooling, axis):
    with FeatureNetwork(trained[0], options(**SMALL), end_point, pooling) as network:
        expected = getattr(trained[1]["stage_2"], axis)(axis=(1, 2))
        assert network.width == 6
        np.testing.assert_allclose(network(IMAGES), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("end_point, expected", [
    ("stage_5", "unknown end point stage_5 (did you mean stage_"),
    ("small_cnn/conv_1_1/weights:0", "small_cnn/conv_1_1/weights:0 is the same for all images"),
    ("small_cnn/conv_1_1/BatchNorm/gamma:0", "small_cnn/conv_1_1/BatchNorm/gamma:0 has shape (3,)"),
])
def test_end_points_that_are_no_features(trained, options, end_point, expected):
    with pytest.raises(InputError) as error:
        FeatureNetwork(trained[0], options(**SMALL), end_point)
    assert one_line(error).startswith(expected)


def test_averages_of_the_weights_are_read_where_there_are_some(options, load_random, tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [5, 12, 12, 3])
        embedding = build_model(images, options(**SMALL)).embedding
        averages = tf.train.ExponentialMovingAverage(0.9)
        averages.apply(tf.trainable_variables())
        session.run(tf.global_variables_initializer())
        load_random(session)
        checkpoint = tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        raw = session.run(embedding, {images: IMAGES})
        for v in tf.trainable_variables():  # batch norm's averages stay as they are
            v.load(session.run(averages.average(v)), session)
        averaged = session.run(embedding, {images: IMAGES})
    assert np.abs(averaged - raw).max() > 0.01
    for weights, expected in (({}, averaged), ({"weights": "raw"}, raw)):
        with FeatureNetwork(checkpoint, options(**SMALL), **weights) as network:
            np.testing.assert_allclose(network(IMAGES), expected, rtol=1e-5, atol=1e-6)


def test_averages_that_are_not_there():
    names = ["net/weights", "net/weights/ExponentialMovingAverage", "net/BatchNorm/moving_mean"]
    assert [choose(names, weights) for weights in ("auto", "ema", "raw")] == ["ema", "ema", "raw"]
    assert [choose(names[::2], weights) for weights in ("auto", "raw")] == ["raw", "raw"]
    with pytest.raises(InputError, match="X holds no moving averages of the weights: .*training.ema_decay"):
        choose(names[::2], "ema", "X")


def test_checkpoint_of_another_width(trained, options):
    with pytest.raises(InputError) as error:
        FeatureNetwork(trained[0], options(**dict(SMALL, depth_multiplier=0.25)))
    message = one_line(error)
    assert message.startswith("checkpoint {} does not fit this network: ".format(trained[0]))
    assert "[3, 3, 3, 3]" in message and "[3, 3, 3, 6]" in message and "small_cnn/conv_1_1/weights" in message


def test_checkpoint_of_another_network(trained, options):
    with pytest.raises(InputError) as error:
        FeatureNetwork(trained[0], options(network="mobilenet_v2", depth_multiplier=0.35, image_size=32))
    message = one_line(error)
    assert "does not fit this network: it lacks 260 of 260 variables" in message and "MobilenetV2/" in message


def test_checkpoint_that_is_not_there(options, tmp_path):
    with pytest.raises(InputError) as error:
        FeatureNetwork(str(tmp_path / "model.ckpt-3"), options(**SMALL))
    assert one_line(error) == "no checkpoint {}; train first (train_multi_gpu.py --config ...)".format(
        tmp_path / "model.ckpt-3")


def test_damaged_checkpoint(trained, options, tmp_path):
    folder = os.path.dirname(trained[0])
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as stream:
            content = stream.read()
        (tmp_path / name).write_bytes(content[:len(content) // 2] if ".data-" in name else content)
    with pytest.raises(InputError) as error:
        FeatureNetwork(str(tmp_path / "model.ckpt-7"), options(**SMALL))
    assert one_line(error).startswith("checkpoint {} cannot be read: ".format(tmp_path / "model.ckpt-7"))


def write_model(folder, model, preprocessing="minus_one_to_one"):
    (folder / "model.json").write_text(json.dumps({"model": model, "preprocessing": preprocessing}))


def test_stored_model(options, tmp_path):
    model = options(**SMALL)
    write_model(tmp_path, model)
    assert stored_model(str(tmp_path), model)["model"] == model
    # What only concerns training may have changed since.
    assert stored_model(str(tmp_path), dict(model, ignore_missing_vars=True, checkpoint_path="x"))["model"] == model


def test_stored_model_without_training(options, tmp_path):
    with pytest.raises(InputError) as error:
        stored_model(str(tmp_path), options(**SMALL))
    assert one_line(error) == "no checkpoint in {}; train first (train_multi_gpu.py --config ...)".format(tmp_path)


@pytest.mark.parametrize("key, value", [("network", "mobilenet_v2"), ("depth_multiplier", 0.5), ("image_size", 28),
                                        ("end_point", "stage_2"), ("embedding_size", 0), ("pooling", "gem")])
def test_another_model_is_refused_with_both_values(options, tmp_path, key, value):
    model = options(**SMALL)
    write_model(tmp_path, model)
    with pytest.raises(InputError) as error:
        stored_model(str(tmp_path), dict(model, **{key: value}))
    assert one_line(error).startswith("model.{} is {!r} but the checkpoint in {} was trained with {!r}; ".format(
        key, value, tmp_path, model[key]))


def test_other_end_points_may_be_pooled_otherwise(options, tmp_path):
    model = options(**SMALL)
    write_model(tmp_path, model)
    assert stored_model(str(tmp_path), dict(model, pooling="gem"), "stage_2")["model"]["pooling"] == "average"


def test_another_preprocessing_is_refused_with_both_values(options, tmp_path):
    model = options(**SMALL)
    write_model(tmp_path, model, "subtract_means")
    with pytest.raises(InputError) as error:
        stored_model(str(tmp_path), model)
    assert "'subtract_means'" in one_line(error) and "'minus_one_to_one'" in one_line(error)


def test_several_end_points_in_one_pass(trained, options):
    more = ["stage_1", "stage_3"]
    with FeatureNetwork(trained[0], options(**SMALL), "embedding", "max", more) as network:
        assert network.widths == [4, 3, 16]
        found = network.several(IMAGES)
        np.testing.assert_array_equal(network(IMAGES), found[0])
    for name, features in zip(["embedding"] + more, found):
        with FeatureNetwork(trained[0], options(**SMALL), name, "max") as network:
            np.testing.assert_array_equal(features, network(IMAGES))


def test_frozen_it_takes_the_same_features(trained, options):
    views = {"scales": [0.5, 1.0], "flip": True, "aggregate": "mean"}
    with FeatureNetwork(trained[0], options(**SMALL), more=["stage_1", "embedding"], views=views,
                        sample=lambda side: IMAGES) as network:
        frozen = network.freeze()
        assert (frozen.folded, frozen.left) == (4 * 5, 0)
        for found, wanted in zip(network.several(IMAGES), network.sampled[1]):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_scales_and_mirror_images_are_those_of_single_runs(trained, options):
    views = {"scales": [0.5, 1.0], "flip": True, "aggregate": "concatenate"}
    with FeatureNetwork(trained[0], options(**SMALL), "stage_2", "average", views=views) as network:
        assert network.side == 12 and network.restored == 27  # the views share their variables
        found = network(IMAGES)
    single = []
    for flip in (slice(None), slice(None, None, -1)):
        with FeatureNetwork(trained[0], options(**SMALL), "stage_2", "average") as network:
            single.append(network(IMAGES[:, :, flip]))
    expected = np.concatenate([rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in single], axis=1)
    assert found.shape == (5, 4 * 6)
    np.testing.assert_allclose(found[:, 12:], expected, atol=1e-5)
    # At half the side: the same network on the image reduced by Pillow.
    reduced = np.stack([[np.array(Image.fromarray(image[..., c].astype(np.float32)).resize((6, 6), Image.BILINEAR))
                         for c in range(3)] for image in IMAGES]).transpose(0, 2, 3, 1)
    with FeatureNetwork(trained[0], options(**SMALL), "small_cnn/conv_2_2/Relu:0", "average",
                        views=dict(views, scales=[0.5], flip=False)) as network:
        assert network.side == 6
        rows = network(reduced.astype(np.float32))
    np.testing.assert_allclose(found[:, :6], rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)


def test_flattened_maps_have_one_scale(trained, options):
    views = {"scales": [1.0, 2.0], "flip": False, "aggregate": "mean"}
    for changed in ({"views": views}, {"running": ASPECT}):
        with pytest.raises(InputError, match="model.pooling is none, whose width depends on the scale and the shape"):
            FeatureNetwork(trained[0], options(**SMALL), "stage_2", "none", **changed)


ASPECT = dict(SQUARE, resize="aspect", multiple=4)
ANY_SIZE = [np.random.RandomState(i).randint(0, 256, size + (3,)).astype(np.uint8)
            for i, size in enumerate([(8, 12), (12, 4), (8, 12), (12, 12), (8, 12), (12, 4), (8, 12)])]


def test_images_of_several_sizes_come_out_in_order_each_as_alone(trained, options):
    finished = []
    with FeatureNetwork(trained[0], options(**SMALL), more=["stage_2"], pooling="rmac", running=ASPECT) as network:
        assert [network.size_of(*size) for size in [(20, 30), (70, 20), (5, 5)]] == [(8, 12), (12, 4), (12, 12)]
        found = network.of_list(ANY_SIZE, 3, finished.append)
        single = [network.several(image[None]) for image in ANY_SIZE]
        backwards = network.of_list(ANY_SIZE[::-1], 3)
    assert finished == [3, 1, 2, 1]  # 8 x 12, three and one; 12 x 4; 12 x 12
    for features, alone, turned in zip(found, zip(*single), backwards):
        np.testing.assert_allclose(features, np.concatenate(alone), atol=1e-5)
        np.testing.assert_allclose(turned[::-1], features, atol=1e-5)
    with FeatureNetwork(trained[0], options(**SMALL), more=["stage_2"], pooling="rmac") as network:
        for features, square_ones in zip(found, network.several(ANY_SIZE[3][None])):
            np.testing.assert_allclose(features[3:4], square_ones, atol=1e-5)


def test_each_scale_of_an_image_keeps_its_shape(trained, options):
    views = {"scales": [0.5, 1.0], "flip": False, "aggregate": "concatenate"}
    with FeatureNetwork(trained[0], options(**SMALL), "stage_2", "average", views=views, running=ASPECT) as network:
        assert network.size_of(30, 10) == (12, 8)  # half of 4 would be too small for the network
        found = network(ANY_SIZE[0][None])
    reduced = np.stack([Image.fromarray(ANY_SIZE[0][..., c].astype(np.float32)).resize((6, 4), Image.BILINEAR)
                        for c in range(3)], 2)[None]
    with FeatureNetwork(trained[0], options(**SMALL), "stage_2", "average", running=ASPECT) as network:
        rows = network(reduced)
    np.testing.assert_allclose(found[:, :6], rows / np.linalg.norm(rows), atol=1e-5)


def test_several_devices_give_what_one_gives(trained, options):
    running = dict(ASPECT, devices=["/cpu:0", "/cpu:1", "/cpu:1"])
    with FeatureNetwork(trained[0], options(**SMALL), running=ASPECT) as network:
        expected = network.of_list(ANY_SIZE, 2)[0]
    with FeatureNetwork(trained[0], options(**SMALL), running=running) as network:
        assert [name[-12:] for name in network.devices] == ["device:CPU:0", "device:CPU:1", "device:CPU:1"]
        np.testing.assert_allclose(network.of_list(ANY_SIZE, 2)[0], expected, atol=1e-6)
        np.testing.assert_allclose(network.several(ANY_SIZE[0][None], 1)[0], expected[:1], atol=1e-6)


@pytest.mark.parametrize("changes, expected", [
    ({"devices": ["/gpu:7"]}, "extraction.devices has /gpu:7, which this machine does not have; it has /job"),
    ({"devices": ["cpu"]}, "extraction.devices: 'cpu' is not a device such as"),
    ({"devices": ["gpu0"]}, "extraction.devices: 'gpu0' is not a device such as"),
    ({"resize": "aspect", "multiple": 12}, "extraction.multiple is 12, but images have 12 pixels"),
    ({"precision": "float16", "devices": ["/cpu:0"]}, "extraction.precision is float16, but TensorFlow has it "),
    ({"precision": "bfloat16", "devices": ["/gpu:0"]}, "extraction.precision is bfloat16, but it is for CPUs here and"),
])
def test_devices_and_precisions_that_are_not_to_be_had(trained, options, changes, expected):
    with pytest.raises(InputError) as error:
        FeatureNetwork(trained[0], options(**SMALL), running=dict(SQUARE, **changes))
    assert one_line(error).startswith(expected)


def test_a_cpu_without_bfloat16_is_told(trained, options, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("flags : fpu avx2 avx512f avx512bw\n")
    monkeypatch.setattr(precision, "CPU_FILE", str(tmp_path / "cpuinfo"))
    with pytest.raises(InputError) as error:
        FeatureNetwork(trained[0], options(**SMALL), running=dict(SQUARE, precision="bfloat16"))
    expected = "TensorFlow 1." if tf.__version__.startswith("1.") else "this CPU has neither AVX512-BF16 nor AMX"
    assert one_line(error).startswith("extraction.precision is bfloat16, but " + expected)


def test_bfloat16_is_close_to_float32_or_refused(trained, options):
    arguments = trained[0], options(**dict(SMALL, embedding_size=0)), "stage_3"
    with FeatureNetwork(*arguments) as network:
        expected = network(IMAGES)
    try:
        with FeatureNetwork(*arguments, running=dict(SQUARE, precision="bfloat16")) as network:
            found = network(IMAGES)
    except InputError as error:
        assert tf.__version__.startswith("1.") and "TensorFlow 1.15" in str(error) or "AVX512-BF16" in str(error)
        return
    assert found.dtype == np.float32 and not np.array_equal(found, expected)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((found * expected).sum(axis=1) / lengths).min() > 0.999

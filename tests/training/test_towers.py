"""Towers: the batch split over devices gives the gradients of the whole batch."""
import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import towers
from slim_retrieval.training.devices import open_session, tower_devices, where_variables_are

SOFTMAX = [{"name": "softmax", "weight": 1.0, "label": "label", "options": {}}]
TRIPLET = [{"name": "triplet_batch_all", "weight": 1.0, "label": "label", "options": {"margin": 0.5}}]
MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "end_point": "", "pooling": "average",
         "embedding_size": 6}
IMAGES = np.random.RandomState(0).randint(0, 256, (8, 12, 12, 3)).astype(np.float32)
LABELS = np.array([0, 0, 1, 1, 2, 2, 0, 0], np.int32)


def compute(devices, losses, loss_scope="tower", values=None, weight_decay=0.0, batch_norm="frozen",
            variables="cpu"):
    """Return ({variable: gradient}, {variable: value}, number of update ops), starting from `values`."""
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        num_classes = {"label": 3} if losses[0]["name"] == "softmax" else {}
        built = towers.build_towers(tf.constant(IMAGES), {"label": tf.constant(LABELS)}, devices, MODEL, losses,
                                    num_classes, loss_scope, batch_norm=batch_norm, variables=variables)
        gradients = towers.add_weight_decay(built.gradients, weight_decay) if weight_decay else built.gradients
        with open_session(devices) as session:
            session.run(tf.global_variables_initializer())
            for variable in tf.global_variables():
                if values is not None:
                    variable.load(values[variable.op.name], session)
            found = dict(zip([v.op.name for _, v in gradients], session.run([g for g, _ in gradients])))
            kept = dict(zip([v.op.name for v in tf.global_variables()], session.run(tf.global_variables())))
            return found, kept, len(built.update_ops)


def assert_close(left, right, tolerance=1e-5):
    assert set(left) == set(right)
    assert max(np.abs(g).max() for g in left.values()) > 1e-3  # gradients that are all zero would prove nothing
    for name in left:
        scale = max(1.0, np.abs(left[name]).max())
        np.testing.assert_allclose(left[name] / scale, right[name] / scale, atol=tolerance, err_msg=name)


def test_two_towers_give_the_gradients_of_one_with_a_per_example_loss():
    one, values, _ = compute(["/cpu:0"], SOFTMAX)
    two, _, _ = compute(["/cpu:0", "/cpu:1"], SOFTMAX, values=values)
    assert_close(one, two)


@pytest.mark.parametrize("count", [2, 4])
def test_global_scope_gives_the_gradients_of_one_tower_with_an_in_batch_loss(count):
    one, values, _ = compute(["/cpu:0"], TRIPLET)
    several, _, _ = compute(["/cpu:{}".format(i) for i in range(count)], TRIPLET, "global", values)
    assert_close(one, several)


def test_tower_scope_mines_in_its_own_slice_only():
    one, values, _ = compute(["/cpu:0"], TRIPLET)
    two, _, _ = compute(["/cpu:0", "/cpu:1"], TRIPLET, "tower", values)
    assert max(np.abs(one[name] - two[name]).max() for name in one) > 1e-4


def test_towers_share_variables_and_one_tower_updates_batch_norm():
    _, one, updates_of_one = compute(["/cpu:0"], SOFTMAX, batch_norm="tower")
    _, two, updates_of_two = compute(["/cpu:0", "/cpu:1"], SOFTMAX, batch_norm="tower")
    assert set(one) == set(two)
    assert not [name for name in two if "_1/" in name and "conv" not in name]
    assert updates_of_one == updates_of_two == 10  # mean and variance of five batch norms


def test_weight_decay_is_added_once_whatever_the_number_of_towers():
    for devices in (["/cpu:0"], ["/cpu:0", "/cpu:1"]):
        plain, values, _ = compute(devices, SOFTMAX)
        decayed, _, _ = compute(devices, SOFTMAX, values=values, weight_decay=0.5)
        for name in plain:
            expected = 0.5 * values[name] if name.endswith("/weights") else 0.0 * values[name]
            np.testing.assert_allclose(decayed[name] - plain[name], expected, atol=1e-5, err_msg=name)
    assert any(name.endswith("/biases") for name in plain)


def test_no_regulariser_hides_in_the_network():
    """ResNet's arg scope brings 1e-4 of its own, which would be counted in tower 0 alone."""
    for network in ("small_cnn", "resnet_v1_50", "mobilenet_v2"):
        with tf.Graph().as_default():
            from slim_retrieval.nets.model import build_model
            build_model(tf.zeros([2, 64, 64, 3]), dict(MODEL, network=network, image_size=64, depth_multiplier=1.0),
                        {"label": 3}, is_training=True)
            losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
            with tf.Session() as session:
                session.run(tf.global_variables_initializer())
                assert sum(session.run(losses)) == 0


def test_a_variable_that_one_tower_alone_uses_has_half_its_gradient():
    """Half of (a, twice over 2) and (a, 4 times over b): 3 for a, 8 / 2 for b, none for c."""
    with tf.Graph().as_default(), tf.Session() as session:
        a, b, c = (tf.get_variable(name, [], initializer=tf.constant_initializer(2.0)) for name in "abc")
        session.run(tf.global_variables_initializer())
        gradients = towers.gradients_of((2 * a + 4 * (a + b * b)) / 2, [c, a, b])  # c first: nothing may move up
        assert [(v.op.name, session.run(g)) for g, v in gradients] == [("a", 3.0), ("b", 8.0)]


@pytest.mark.parametrize("name, scope, inside", [
    ("net/block1/w", "net/block1", True), ("net/block10/w", "net/block1", False), ("net/block1", "net/block1", True),
    ("net/block1/w", "net/block1/", True), ("other/net/block1/w", "net/block1", False)])
def test_a_scope_takes_whole_components(name, scope, inside):
    assert towers.in_scope(name, scope) is inside


def test_a_scope_that_matches_nothing_is_an_error():
    with tf.Graph().as_default():
        tf.get_variable("b10/w", [])
        with pytest.raises(InputError, match="no trainable variable lies under 'b1'"):
            towers.trainable_variables(["b1"])
        assert [v.op.name for v in towers.trainable_variables(["b10"])] == ["b10/w"]


def test_a_batch_that_does_not_divide_is_an_error_with_both_numbers():
    with tf.Graph().as_default(), pytest.raises(InputError, match="a batch of 8 does not divide among 3 towers"):
        towers.split_batch(tf.zeros([8, 2]), 3)


def test_a_device_that_is_not_there_is_named():
    with tf.Graph().as_default():
        with pytest.raises(InputError, match="tower 0 is to run on /gpu:3, which this machine .* has .*CPU:0"):
            open_session(["/gpu:3"])
        with pytest.raises(InputError, match="'gpu' is not a device"):
            open_session(["gpu"])


def test_what_no_gpu_can_do_runs_elsewhere_and_towers_say_where(caplog):
    with tf.Graph().as_default(), caplog.at_level("INFO"):
        with tf.device("/gpu:0"):  # where no kernel, or no GPU, is there
            text = tf.strings.join([tf.constant("a"), "b"])
        with open_session(["/cpu:0", "/cpu:1"]) as session:
            assert session.run(text) == b"ab"
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" runs on ")[0] for line in lines] == ["tower 0", "tower 1"]
    assert lines[1].endswith("/device:CPU:1")


def test_tower_devices_counts():
    assert tower_devices(0, ["/cpu:0", "/cpu:0"]) == ["/cpu:0", "/cpu:0"]
    with pytest.raises(InputError, match="num_clones is 3 but training.devices lists 2"):
        tower_devices(3, ["/cpu:0", "/cpu:1"])


@pytest.mark.parametrize("devices, expected", [
    (["/gpu:0"], "spread"), (["/gpu:1", "/gpu:1"], "spread"), (["/gpu:0", "/gpu:1"], "cpu"), (["/cpu:0"], "cpu"),
    (["/job:worker/task:0/gpu:0"], "cpu")])
def test_variables_lie_on_the_gpu_that_all_towers_share(devices, expected):
    assert where_variables_are("auto", devices) == expected
    assert where_variables_are("spread", devices) == "spread" and where_variables_are("cpu", devices) == "cpu"


def test_spread_variables_are_balanced_and_give_the_same_gradients():
    devices = ["/cpu:0", "/cpu:1"]
    one, values, _ = compute(devices, SOFTMAX)
    other, _, _ = compute(devices, SOFTMAX, values=values, variables="spread")
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    loads, expected = [0, 0], {}
    with tf.Graph().as_default():
        towers.build_towers(tf.constant(IMAGES), {"label": tf.constant(LABELS)}, devices, MODEL, SOFTMAX,
                            {"label": 3}, "tower", variables="spread")
        variables = [v for v in tf.global_variables() if v.op.name != "global_step"]
        for variable in variables:
            expected[variable.op.name] = int(loads[1] < loads[0])
            loads[expected[variable.op.name]] += 4 * int(np.prod(variable.shape.as_list()))
        found = {v.op.name: tf.DeviceSpec.from_string(v.device).device_index for v in variables}
    assert found == expected and set(found.values()) == {0, 1}


def test_variables_live_on_the_cpu():
    with tf.Graph().as_default():
        towers.build_towers(tf.constant(IMAGES), {"label": tf.constant(LABELS)}, ["/cpu:1", "/gpu:0"], MODEL, SOFTMAX,
                            {"label": 3}, "tower")
        devices = [tf.DeviceSpec.from_string(v.device) for v in tf.global_variables()]
        assert {(d.device_type, d.device_index) for d in devices} == {("CPU", 0)}

"""Losses with variables, memories, learned weights and missing labels on several towers."""
import numpy as np
import pytest

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import registry
from slim_retrieval.training import towers
from slim_retrieval.training.devices import open_session

MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12, "end_point": "", "pooling": "average",
         "embedding_size": 6}
IMAGES = np.random.RandomState(0).randint(0, 256, (8, 12, 12, 3)).astype(np.float32)
LABELS = {"label": np.array([0, 0, 1, 1, 2, 2, 0, 0], np.int32),
          "kind": np.array([1, -1, -1, -1, 0, 1, 1, 0], np.int32),
          "tags": np.array([0, 1, -1, 2, 2, -1, -1, 0], np.int32)}
COUNTS = {"label": 3, "kind": 2, "tags": 3}
TAGS = {"tags": np.array([[1, 0], [0, 1], [1, 1]], np.float32)}
FIXED, GRADNORM = {"name": "fixed", "alpha": 1.5}, {"name": "gradnorm", "alpha": 1.5}
UNCERTAINTY = {"name": "uncertainty", "alpha": 1.5}


def spec(name, **fields):
    return dict({"name": name, "label": "label"}, **fields)


def devices(count):
    return ["/cpu:{}".format(i) for i in range(count)]


def build(losses, count, loss_scope="tower", weighting=FIXED, **options):
    tf.set_random_seed(1)
    return towers.build_towers(tf.constant(IMAGES), {c: tf.constant(v) for c, v in LABELS.items()}, devices(count),
                               dict(MODEL, **options), losses, COUNTS, loss_scope, weighting=weighting, tags=TAGS,
                               batch_norm="frozen")


def step(losses, count, loss_scope="tower", weighting=FIXED, values=None):
    """Return (gradients, values of all variables before, after the update ops, scalars)."""
    with tf.Graph().as_default():
        built = build(losses, count, loss_scope, weighting)
        with open_session(devices(count)) as session:
            session.run(tf.global_variables_initializer())
            for variable in tf.global_variables():
                if values is not None:
                    variable.load(values[variable.op.name], session)

            def everything():
                return dict(zip([v.op.name for v in tf.global_variables()], session.run(tf.global_variables())))
            before = everything()
            found, scalars, _ = session.run([[g for g, _ in built.gradients], built.scalars, built.update_ops])
            return dict(zip([v.op.name for _, v in built.gradients], found)), before, everything(), scalars


def assert_close(left, right):
    assert set(left) == set(right) and max(np.abs(g).max() for g in left.values()) > 1e-3
    for name in left:
        scale = max(1.0, np.abs(left[name]).max())
        np.testing.assert_allclose(left[name], right[name], atol=1e-5 * scale, err_msg=name)


@pytest.mark.parametrize("name, variables", [
    ("margin", {"beta": [3]}), ("proxy_nca", {"proxies": [3, 6]}), ("proxy_anchor", {"proxies": [3, 6]}),
    ("normalized_softmax", {"weights": [3, 6]}), ("cosface", {"weights": [3, 6]}), ("arcface", {"weights": [3, 6]}),
    ("soft_triple", {"centers": [3, 10, 6]})])
def test_a_losss_variables_are_shared_by_two_towers(name, variables):
    with tf.Graph().as_default():
        build([spec(name)], 2)
        found = {v.op.name: v.shape.as_list() for v in tf.trainable_variables() if v.op.name.startswith("losses/")}
        assert found == {"losses/{}/{}".format(name, key): shape for key, shape in variables.items()}
        decayed = [v.op.name for v in towers.decayed_variables(tf.trainable_variables())]
        assert ["losses/{}/weights".format(name)] * ("weights" in variables) == [
            n for n in decayed if n.startswith("losses/")]


def test_all_other_losses_have_no_variables():
    with_variables = {"margin", "proxy_nca", "proxy_anchor", "normalized_softmax", "cosface", "arcface", "soft_triple"}
    assert with_variables == {n for n, f in registry.LOSSES.items() if "num_classes" in registry.inputs(f)}
    others = sorted(n for n, f in registry.LOSSES.items() if n not in with_variables and n != "sigmoid")
    with tf.Graph().as_default():
        build([spec(name) for name in others] + [spec("sigmoid", label="tags")], 1)
        assert not [v for v in tf.trainable_variables() if v.op.name.startswith("losses")]


@pytest.mark.parametrize("losses", [
    [spec("softmax"), spec("softmax", label="kind", weight=0.5), spec("sigmoid", label="tags", weight=2.0)],
    [spec("arcface", label="kind", options={"scale": 8.0})]])
def test_two_towers_are_one_though_labels_are_missing_unevenly(losses):
    one, values, _, scalars = step(losses, 1)
    two, _, _, of_two = step(losses, 2, values=values)
    assert_close(one, two)
    for name in scalars:
        if name.startswith("loss/"):
            assert scalars[name] == pytest.approx(of_two[name], rel=1e-5)


@pytest.mark.parametrize("loss_scope", ["tower", "global"])
@pytest.mark.parametrize("count", [2, 4])
def test_a_memory_holds_the_batch_in_order_whatever_the_towers(loss_scope, count):
    losses = [spec("contrastive", memory=10), spec("nt_xent", label="kind", memory=3)]
    _, values, one, _ = step(losses, 1)
    _, before, several, _ = step(losses, count, loss_scope, values=values)
    names = [name for name in one if "memory" in name]
    assert len(names) == 6 and set(one) == set(several)
    for name in names:
        np.testing.assert_allclose(one[name], several[name], atol=1e-5, err_msg=name)
    assert list(several["losses/contrastive/memory_labels"]) == list(LABELS["label"]) + [-1, -1]
    assert list(several["losses/nt_xent/memory_labels"]) == [1, 1, 0]  # the last three of known kind
    assert not before["losses/contrastive/memory_rows"].any()
    np.testing.assert_allclose(np.linalg.norm(several["losses/contrastive/memory_rows"][:8], axis=1), 1, atol=1e-3)


def test_towers_compare_with_the_memory_of_the_steps_before():
    """Global towers with a filled memory give the gradients of one; so does a second step after the first."""
    losses = [spec("contrastive", memory=10, options={"margin": 1.5})]
    _, _, after, _ = step(losses, 1)
    one, _, _, with_memory = step(losses, 1, values=after)
    two, _, _, _ = step(losses, 2, "global", values=after)
    assert_close(one, two)
    empty = dict(after, **{"losses/contrastive/memory_labels": np.full(10, -1, np.int32)})
    without = step(losses, 1, values=empty)[3]
    assert with_memory["loss/contrastive"] != pytest.approx(without["loss/contrastive"], rel=1e-3)


def test_memory_and_learned_weights_are_saved_and_restored(tmp_path):
    losses = [spec("proxy_anchor"), spec("contrastive", memory=10)]
    saved = {}
    for attempt in range(2):
        with tf.Graph().as_default():
            built = build(losses, 2, weighting=GRADNORM)
            saver = tf.train.Saver(tf.global_variables())
            with open_session(devices(2)) as session:
                session.run(tf.global_variables_initializer())
                if not attempt:
                    session.run(built.update_ops)
                    saver.save(session, str(tmp_path / "model"))
                else:
                    saver.restore(session, str(tmp_path / "model"))
                for variable in tf.global_variables():
                    if variable.op.name.startswith("losses/"):
                        value = session.run(variable)
                        np.testing.assert_array_equal(saved.setdefault(variable.op.name, value), value)
    assert saved["losses/contrastive/memory_position"] == 8 and (saved["losses/first_losses"] > 0).all()
    assert sorted(saved) == ["losses/contrastive/memory_labels", "losses/contrastive/memory_position",
                             "losses/contrastive/memory_rows", "losses/first_losses", "losses/gradnorm",
                             "losses/proxy_anchor/proxies"]


@pytest.mark.parametrize("weighting", [UNCERTAINTY, GRADNORM])
def test_learned_weights_on_global_towers_are_those_of_one(weighting):
    losses = [spec("softmax"), spec("nt_xent", options={"temperature": 0.5}), spec("sigmoid", label="tags")]
    _, values, _, _ = step(losses, 1, weighting=weighting)
    learned = [name for name in values if name.startswith("losses/") and name != "losses/first_losses"]
    values[learned[0]] = np.array([0.3, -0.2, 0.4], np.float32)
    if weighting is GRADNORM:
        values["losses/first_losses"] = np.array([2.0, 5.0, 0.7], np.float32)
    one, _, _, scalars = step(losses, 1, weighting=weighting, values=values)
    two, _, _, of_two = step(losses, 2, "global", weighting, values)
    assert len(learned) == 1 and np.abs(one[learned[0]]).max() > 1e-3
    assert_close(one, two)
    assert {"weight/softmax", "weight/nt_xent", "weight/sigmoid"} <= set(scalars)
    assert scalars["weight/nt_xent"] == pytest.approx(of_two["weight/nt_xent"], rel=1e-5) != 1


def test_a_metric_head_is_shared_by_two_towers():
    with tf.Graph().as_default():
        build([spec("nt_xent", head="own"), spec("circle", head="own")], 2)
        assert [v.op.name for v in tf.trainable_variables() if v.op.name.startswith("losses/")] == [
            "losses/heads/own/weights"]

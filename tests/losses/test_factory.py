import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import factory

# Three points on a line, two classes by `item`, two by `category`.
ROWS = [[0.0], [1.0], [1.5]]
LABELS = {"item": [0, 0, 1], "category": [0, 1, 1]}
FIELDS = ("head", "category", "miner", "reducer", "memory", "memory_start")


def build(specs, logits=None, rows=ROWS, labels=LABELS, tags=None, **options):
    rows = tf.constant(np.asarray(rows, np.float32))
    outputs = factory.Outputs(rows, rows, {name: tf.constant(v) for name, v in (logits or {}).items()}, [rows])
    columns = factory.Columns({name: 1 + max(values) for name, values in labels.items()}, tags or {})
    return rows, factory.total_loss(specs, outputs, {name: tf.constant(v) for name, v in labels.items()}, columns,
                                    **options)


def evaluate(specs, logits=None, **options):
    with tf.Graph().as_default(), tf.Session() as session:
        _, found = build(specs, logits, **options)
        session.run(tf.global_variables_initializer())
        return session.run([found.total, found.scalars])


def spec(name, weight=1.0, label="item", **options):
    fields = {field: options.pop(field) for field in FIELDS if field in options}
    return dict({"name": name, "weight": weight, "label": label, "options": options}, **fields)


def test_weighted_sum_by_hand():
    # Batch-hard, margin 1: anchor 0: 1 - 1.5 + 1 = .5, anchor 1: 1 - .5 + 1 = 1.5; mean 1.
    # Equal logits over four classes: log 4.
    total, watched = evaluate([spec("triplet_batch_hard", 0.5, margin=1.0), spec("softmax", 2.0, "category")],
                              {"category": np.zeros((3, 4), np.float32)})
    assert watched["loss/triplet_batch_hard"] == pytest.approx(1.0, rel=1e-5)
    assert watched["loss/softmax"] == pytest.approx(np.log(4), rel=1e-5)
    assert total == pytest.approx(0.5 + 2 * np.log(4), rel=1e-5) and watched["loss/total"] == total
    assert watched["triplet_batch_hard/active_anchors"] == 1 and "softmax/accuracy" in watched


def test_label_column_decides():
    # category: anchors 1 and 1.5 are the pair: 1: .5 - 1 + 1 = .5; 1.5: .5 - 1.5 + 1 = 0.
    total, _ = evaluate([spec("triplet_batch_hard", label="category", margin=1.0)])
    assert total == pytest.approx(0.25, rel=1e-5)


def test_same_name_twice_has_distinct_keys():
    specs = [spec("contrastive", label="item"), spec("contrastive", label="category"),
             spec("contrastive", label="item", margin=5.0)]
    total, watched = evaluate(specs)
    keys = ["loss/contrastive_item", "loss/contrastive_category", "loss/contrastive_item_2"]
    assert total == pytest.approx(sum(watched[key] for key in keys), rel=1e-5)
    assert len({float(watched[key]) for key in keys}) == 3
    assert {"contrastive_item/positive_distance", "contrastive_item_2/positive_distance"} <= set(watched)


def test_defaults_of_what_is_left_out():
    assert evaluate([spec("triplet_batch_hard", margin=0.2)])[0] == evaluate(
        [{"name": "triplet_batch_hard", "label": "item", "options": None}])[0]


def test_miner_and_reducer_by_name_give_the_loss_of_that_name():
    rows = np.random.RandomState(0).randn(9, 4)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = {"item": [0, 0, 0, 1, 1, 1, 2, 2, 2]}
    for name, miner, reducer in (("triplet_batch_hard", "batch_hard", "mean"), ("triplet_batch_all", "all", ""),
                                 ("triplet_semi_hard", "semi_hard", "mean")):
        options = {"distance": "cosine", "margin": 0.3}
        found = [evaluate([one], rows=rows, labels=labels)[0] for one in (
            spec(name, **options), spec("triplet", miner=miner, reducer=reducer, **options))]
        assert found[0] == pytest.approx(found[1], rel=1e-6) and found[0] > 0


def test_an_option_of_the_miner_reaches_it():
    rows = [[1, 0], [0.6, 0.8], [0.8, 0.6]]
    kept = [evaluate([spec("multi_similarity", epsilon=epsilon)], rows=rows)[1]["multi_similarity/mined_negatives"]
            for epsilon in (0.1, -1.0)]
    assert kept == [0.5, 0]  # of four, those of the two anchors that have a positive


def test_negatives_of_the_category_alone():
    rows = [[0.0], [1.0], [1.5], [4.0]]
    labels = {"item": [0, 0, 1, 2], "category": [0, 0, 1, 0]}
    # Batch-hard, margin 4: without categories the closest negative of both anchors is 1.5; with them it is 4.
    plain, _ = evaluate([spec("triplet_batch_hard", margin=4.0)], rows=rows, labels=labels)
    within, _ = evaluate([spec("triplet_batch_hard", margin=4.0, category="category")], rows=rows, labels=labels)
    assert plain == pytest.approx((1 - 1.5 + 4 + 1 - 0.5 + 4) / 2) and within == pytest.approx(
        (1 - 4 + 4 + 1 - 3 + 4) / 2)
    labels["category"] = [0, 0, -1, -1]  # of unknown category: nobody's negative
    assert evaluate([spec("triplet_batch_hard", margin=4.0, category="category")], rows=rows, labels=labels)[0] == 0


def test_unknown_labels_are_left_out_of_their_own_loss_alone():
    rows = [[0.0], [1.0], [1.5], [7.0]]
    labels = {"item": [0, 0, 1, -1], "category": [0, 1, 1, 0]}
    logits = np.random.RandomState(0).randn(4, 2).astype(np.float32)
    whole = evaluate([spec("triplet_batch_hard", margin=1.0), spec("softmax"), spec("softmax", label="category")],
                     {"item": logits, "category": logits}, rows=rows, labels=labels)[1]
    three = {name: values[:3] for name, values in labels.items()}
    part = evaluate([spec("triplet_batch_hard", margin=1.0), spec("softmax")], {"item": logits[:3]}, rows=rows[:3],
                    labels=three)[1]
    assert whole["loss/triplet_batch_hard"] == pytest.approx(part["loss/triplet_batch_hard"], rel=1e-6)
    assert whole["loss/softmax_item"] == pytest.approx(part["loss/softmax"], rel=1e-6)
    four = evaluate([spec("softmax", label="category")], {"category": logits}, rows=rows, labels=labels)[0]
    assert whole["loss/softmax_category"] == pytest.approx(four, rel=1e-6)


def test_a_head_of_its_own_is_shared_by_those_that_name_it():
    rows = np.random.RandomState(1).randn(6, 3)
    labels = {"item": [0, 0, 1, 1, 2, 2], "category": [0, 0, 0, 1, 1, 1]}
    specs = [spec("nt_xent"), spec("nt_xent", label="category", head="group"),
             spec("contrastive", label="category", head="group")]
    with tf.Graph().as_default(), tf.Session() as session:
        fed, found = build(specs, rows=rows, labels=labels)
        weights, = tf.trainable_variables()
        assert weights.op.name == "losses/heads/group/weights" and weights.shape.as_list() == [3, 3]
        session.run(tf.global_variables_initializer())
        matrix, scalars = session.run([weights, found.scalars])
    projected = np.asarray(rows, np.float32) @ matrix
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    other = evaluate([spec("contrastive", label="category")], rows=projected, labels=labels)[0]
    assert scalars["loss/contrastive"] == pytest.approx(other, rel=1e-4)


def test_missing_columns():
    with pytest.raises(InputError, match=r"unknown label column 'itm' \(did you mean item\?\); known: category, item"):
        evaluate([spec("contrastive", label="itm")])
    with pytest.raises(InputError, match="unknown logits for head 'item'.*known: category"):
        evaluate([spec("softmax")], {"category": np.zeros((3, 4), np.float32)})

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import factory

# Three points on a line, two classes by `item`, two by `category`.
ROWS = [[0.0], [1.0], [1.5]]
LABELS = {"item": [0, 0, 1], "category": [0, 1, 1]}


def evaluate(specs, logits=None):
    with tf.Graph().as_default(), tf.Session() as session:
        total, watched = factory.total_loss(
            specs, tf.constant(ROWS), {name: tf.constant(v) for name, v in (logits or {}).items()},
            {name: tf.constant(v) for name, v in LABELS.items()})
        return session.run([total, watched])


def spec(name, weight=1.0, label="item", **options):
    return {"name": name, "weight": weight, "label": label, "options": options}


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


def test_columns():
    specs = [spec("softmax", label="category"), spec("triplet_semi_hard", label="item"),
             spec("contrastive", label="category"), {"name": "softmax"}]
    assert factory.label_columns(specs) == ["category", "item", "label"]
    assert factory.needs_logits(specs) == ["category", "label"]


def test_defaults_of_what_is_left_out():
    assert evaluate([spec("triplet_batch_hard", margin=0.2)])[0] == evaluate(
        [{"name": "triplet_batch_hard", "label": "item", "options": None}])[0]


def test_every_loss_is_finite_and_differentiable():
    for name in factory.LOSSES:
        with tf.Graph().as_default(), tf.Session() as session:
            given = tf.constant([[0.6, 0.8], [1.0, 0.0], [0.8, 0.6]])
            total, _ = factory.total_loss([spec(name)], given, {"item": given}, {"item": tf.constant([0, 0, 1])})
            value, gradient = session.run([total, tf.gradients(total, given)[0]])
            assert value > 0 and np.abs(gradient).max() > 0, name


@pytest.mark.parametrize("specs, message", [
    ([], "no loss is given"),
    ([{"weight": 1.0}], "losses.0: expected a loss such as"),
    ([spec("softmax"), spec("triplet_batchhard")],
     r"unknown loss 'triplet_batchhard' \(did you mean triplet_batch_hard\?\); known: contrastive, softmax, "
     "triplet_batch_all, triplet_batch_hard, triplet_semi_hard"),
    ([spec("contrastive", margn=1)],
     r"losses.0.options: contrastive has no option 'margn' \(did you mean margin\?\); known: margin"),
    ([spec("softmax", margin=1)], "softmax has no option 'margin'; known: label_smoothing"),
    ([spec("softmax"), spec("contrastive", margin="1")],
     "losses.1.options.margin: expected a number of at least 0, got '1'"),
    ([spec("contrastive", margin=True)], "expected a number of at least 0, got True"),
    ([spec("contrastive", margin=-0.1)], "expected a number of at least 0, got -0.1"),
    ([spec("contrastive", margin=float("nan"))], "expected a number of at least 0, got nan"),
    ([spec("softmax", label_smoothing=1.5)], "expected a number from 0 to 1, got 1.5"),
    ([spec("triplet_batch_hard", soft=1)], "losses.0.options.soft: expected true or false, got 1"),
    ([spec("triplet_batch_all", distance="square")],
     r"expected one of cosine, euclidean, squared, got 'square' \(did you mean squared\?\)"),
    ([spec("triplet_batch_all", distance=["squared"])], r"got \['squared'\]"),
    ([spec("softmax", weight=-1)], "losses.0.weight: expected a finite number of at least 0, got -1"),
    ([spec("softmax", label="")], "losses.0.label: expected the name of a label column, got ''"),
    ([dict(spec("softmax"), options=[1])], r"losses.0.options: expected options such as .*, got \[1\]"),
])
def test_bad_specs_are_refused_without_a_graph(specs, message):
    with tf.Graph().as_default() as graph:
        with pytest.raises(InputError, match=message) as caught:
            factory.check_specs(specs)
        assert "\n" not in str(caught.value) and not graph.get_operations()


def test_good_specs_build_nothing():
    with tf.Graph().as_default() as graph:
        factory.check_specs([spec("triplet_batch_hard", margin=1, soft=True, distance="squared"), {"name": "softmax"}])
        assert not graph.get_operations()


def test_missing_columns():
    with pytest.raises(InputError, match=r"unknown label column 'itm' \(did you mean item\?\); known: category, item"):
        evaluate([spec("contrastive", label="itm")])
    with pytest.raises(InputError, match="unknown logits for label column 'item'.*known: category"):
        evaluate([spec("softmax")], {"category": np.zeros((3, 4), np.float32)})

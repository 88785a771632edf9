import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import LossConfig
from slim_retrieval.losses import registry, specs


def spec(name, weight=1.0, label="item", **options):
    return {"name": name, "weight": weight, "label": label, "options": options}


def test_columns_and_heads():
    losses = [spec("softmax", label="category"), dict(spec("triplet_semi_hard"), category="kind"),
              spec("contrastive", label="category"), {"name": "softmax"}, spec("sigmoid", label="tags"),
              dict(spec("softmax", label="category"), head="other")]
    specs.check_specs(losses)
    assert specs.label_columns(losses) == ["category", "item", "label", "tags", "kind"]
    assert specs.tag_columns(losses) == ["tags"]
    counts = {"category": 3, "item": 5, "label": 7, "tags": 9}
    assert specs.logits_heads(losses, counts, {"tags": np.zeros((9, 4))}) == {
        "category": 3, "label": 7, "tags": 4, "other": 3}


@pytest.mark.parametrize("losses, message", [
    ([], "no loss is given"),
    ([{"weight": 1.0}], "losses.0: expected a loss such as"),
    ([spec("softmax"), spec("triplet_batchhard")],
     r"unknown loss 'triplet_batchhard' \(did you mean triplet_batch_hard\?\); known: arcface, circle, contrastive, "),
    ([spec("contrastive", margn=1)],
     r"losses.0.options: contrastive has no option 'margn' \(did you mean margin\?\); known: distance, margin"),
    ([spec("softmax", margin=1)], "softmax has no option 'margin'; known: label_smoothing"),
    ([spec("softmax"), spec("contrastive", margin="1")],
     "losses.1.options.margin: expected a number of at least 0, got '1'"),
    ([spec("contrastive", margin=True)], "expected a number of at least 0, got True"),
    ([spec("contrastive", margin=-0.1)], "expected a number of at least 0, got -0.1"),
    ([spec("contrastive", margin=float("nan"))], "expected a number of at least 0, got nan"),
    ([spec("softmax", label_smoothing=1.5)], "expected a number from 0 to 1, got 1.5"),
    ([spec("arcface", margin=4)], "expected a number from 0 to 3.14159, got 4"),
    ([spec("nt_xent", temperature=0.0)], "expected a number of at least 1e-06, got 0.0"),
    ([spec("soft_triple", centers=2.5)], "expected a whole number of at least 1, got 2.5"),
    ([spec("triplet_batch_hard", soft=1)], "losses.0.options.soft: expected true or false, got 1"),
    ([spec("triplet_batch_all", distance="square")],
     r"expected one of cosine, euclidean, squared, got 'square' \(did you mean squared\?\)"),
    ([spec("triplet_batch_all", distance=["squared"])], r"got \['squared'\]"),
    ([spec("softmax", weight=-1)], "losses.0.weight: expected a finite number of at least 0, got -1"),
    ([spec("softmax", label="")], "losses.0.label: expected the name of a label column, got ''"),
    ([dict(spec("softmax"), options=[1])], r"losses.0.options: expected options such as .*, got \[1\]"),
    ([dict(spec("triplet"), miner="hard")], r"unknown miner of triplet 'hard'.*; known: all, batch_hard, "),
    ([dict(spec("circle"), miner="semi_hard")], "unknown miner of circle 'semi_hard'.*known: all, batch_hard, multi"),
    ([dict(spec("softmax"), miner="all")], "losses.0.miner: softmax takes no miner"),
    ([dict(spec("triplet"), reducer="men")], r"unknown reducer 'men' \(did you mean mean\?\)"),
    ([dict(spec("arcface"), reducer="mean")], "losses.0.reducer: arcface takes no reducer"),
    ([dict(spec("smooth_ap"), memory=8)], "losses.0.memory: smooth_ap takes none; those that do: circle, contrastive"),
    ([dict(spec("softmax"), category="kind")], "losses.0.category: softmax takes none"),
    ([dict(spec("triplet"), memory=-1)], "losses.0.memory: expected a whole number of at least 0, got -1"),
    ([dict(spec("triplet"), memory=8, category="kind")], "memory 8 and category 'kind' do not go together"),
    ([spec("triplet", cutoff=0.3)], "triplet has no option 'cutoff'"),  # not with this miner
    ([spec("softmax"), spec("sigmoid")],
     "losses.0 and losses.1 share the head 'item' but need different layers .logits of item and tags of item."),
    ([dict(spec("softmax"), head="h"), dict(spec("softmax", label="b"), head="h")],
     "losses.0 and losses.1 share the head 'h'.*logits of item and logits of b"),
])
def test_bad_specs_are_refused_without_a_graph(losses, message):
    with tf.Graph().as_default() as graph:
        with pytest.raises(InputError, match=message) as caught:
            specs.check_specs(losses)
        assert "\n" not in str(caught.value) and not graph.get_operations()


def test_good_specs_build_nothing():
    with tf.Graph().as_default() as graph:
        specs.check_specs([spec("triplet_batch_hard", margin=1, soft=True, distance="squared"), {"name": "softmax"},
                           dict(spec("triplet", cutoff=0.3), miner="distance_weighted", reducer="mean_per_anchor"),
                           dict(spec("n_pairs"), memory=64, memory_start=10)])
        assert not graph.get_operations()


@pytest.mark.parametrize("name", sorted(registry.LOSSES))
def test_every_option_of_every_loss_accepts_its_default_and_refuses_text(name):
    function = registry.LOSSES[name]
    options = registry.options(function)
    for part in registry.chosen(function, {}).values():
        options.update(registry.options(part))
    specs.check_specs([dict(spec(name), options=options)])
    for option in options:
        with pytest.raises(InputError, match="losses.0.options." + option):
            specs.check_specs([dict(spec(name), options={option: "no"})])


def test_the_schema_names_every_loss_and_its_defaults_are_accepted():
    text = LossConfig.__dataclass_fields__["name"].metadata["help"]
    assert sorted(text.split(", ")) == sorted(registry.LOSSES)
    specs.check_specs([vars(LossConfig())])

"""Settings of GFR: what 0 and "auto" become, and what is refused."""
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import gfr_options
from slim_retrieval.graph.gfr import GFR


def test_the_published_baseline_is_as_published():
    options = gfr_options.resolve({"layer": "sage"})
    assert (options.layers, options.neighbors, options.metric, options.loss, options.epochs) == (
        1, 10, "none", "class", 70)
    assert (options.aggregate, options.batch_size, options.learning_rate, options.weight_decay) == (
        "max", 64, 1e-3, 5e-6)
    assert options.milestones == [39 / 70, 59 / 70] and (options.omega, options.margin) == (0.1, 0.1)


def test_what_is_given_stays_and_the_rest_is_the_layers_own():
    options = gfr_options.resolve({"layer": "appnp", "layers": 3, "loss": "rank", "metric": "none"})
    assert (options.layers, options.loss, options.metric) == (3, "rank", "none")
    assert (options.neighbors, options.epochs) == (10, 4)
    for layer in gfr_options.AUTOMATIC:
        chosen = gfr_options.resolve({"layer": layer})
        assert all(getattr(chosen, name) not in (0, "auto") for name in gfr_options.AUTOMATIC[layer])


def test_combine_is_the_published_name_of_jump_concat():
    made = [gfr_options.jump(gfr_options.resolve(dict(fields, layer="gat")))
            for fields in ({}, {"combine": True}, {"jump": "concat"}, {"jump": "max"})]
    assert made == ["last", "concat", "concat", "max"]


@pytest.mark.parametrize("fields, words", [
    ({"agregate": "max"}, ["agregate", "did you mean aggregate"]),
    ({"aggregate": "median"}, ["gfr.aggregate", "'median'", "max, mean"]),
    ({"layer": "gcn"}, ["gfr.layer", "'gcn'", "edge, sage, gat, appnp, gcnii"]),
    ({"layers": -1}, ["gfr.layers: -1 is below 0"]),
    ({"drop_edge": 1.0}, ["gfr.drop_edge: 1.0 is above 0.99"]),
    ({"milestones": [0.5, -0.1]}, ["gfr.milestones", "is below 0"]),
    ({"milestones": [0.1, 0.2, 0.3]}, ["3 given, at most 2", "[0.3]"]),
    ({"layer": "sage", "combine": True, "jump": "max"}, ["gfr.combine and gfr.jump max", "drop one"]),
    ({"layer": "gat", "metric": "trained"}, ["gfr.metric trained", "not gat", "lda or none"]),
    # Settings for networks, written when sage was the only layer: they say what is missing.
    ({"layers": 2, "activate": True, "residue": True}, ["gfr.activate: True", "layer edge", "sage"]),
    ({"pair_norm": True}, ["gfr.pair_norm: True", "layer edge"]),
])
def test_bad_options_are_refused(fields, words):
    with pytest.raises(InputError) as error:
        GFR(**fields)
    for word in words:
        assert word in str(error.value)

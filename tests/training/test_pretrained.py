"""Pretrained weights: what is restored, what is not, and each misfit as one line."""
import numpy as np
import pytest

from slim_retrieval.common import checkpoint_files
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.nets.convert import save_checkpoint
from slim_retrieval.training import pretrained

VALUES = {"net/w": [1, 2], "net/moving_mean": [3], "net/logits/w": [4], "global_step": 7}


@pytest.fixture()
def path(tmp_path):
    return save_checkpoint({k: np.float32(v) for k, v in VALUES.items()}, str(tmp_path / "model.ckpt-1"))


def restore(path, shapes, **arguments):
    """Make model variables, all 9, and restore; return the report and their values."""
    with tf.Graph().as_default(), tf.Session() as session:
        for name, shape in shapes.items():
            slim.model_variable(name, shape, initializer=tf.constant_initializer(9.0))
        session.run(tf.global_variables_initializer())
        report = pretrained.restore_pretrained(session, path, slim.get_model_variables(), "net", **arguments)
        return report, dict(zip([v.op.name for v in tf.global_variables()], session.run(tf.global_variables())))


def test_the_report_lists_what_became_of_every_variable(path):
    shapes = {"net/w": [2], "net/moving_mean": [1], "net/logits/w": [7], "embedding/weights": [2, 3], "pooling/p": []}
    report, values = restore(path, shapes, exclude_scopes=["net/logits"])
    assert report == {
        "checkpoint": path, "weights": "raw", "counts": {"restored": 2, "excluded": 1, "initialised": 2, "unused": 2},
        "restored": {"net/w": [2], "net/moving_mean": [1]}, "excluded": {"net/logits/w": [7]},
        "initialised": {"embedding/weights": [2, 3], "pooling/p": []},
        "unused": {"global_step": [], "net/logits/w": [1]}}
    np.testing.assert_array_equal(values["net/w"], [1, 2])
    np.testing.assert_array_equal(values["net/moving_mean"], [3])  # averages are restored too
    np.testing.assert_array_equal(values["net/logits/w"], np.full(7, 9))
    np.testing.assert_array_equal(values["embedding/weights"], np.full((2, 3), 9))
    line = pretrained.describe(report)
    assert "2 variables restored; 1 excluded (as initialised): net/logits/w; 2 not there (as initialised): " \
        "embedding/weights, pooling/p; 2 of the checkpoint not used: global_step, net/logits/w" in line


def test_a_new_variable_that_an_earlier_run_had_is_restored(path):
    report, _ = restore(path, {"net/w": [2], "global_step": []})
    assert report["counts"]["restored"] == 2 and report["initialised"] == {}


def test_averages_of_the_weights_of_an_earlier_run_are_taken_where_there_are_some(tmp_path):
    values = {"net/w": np.float32([1, 2]), "net/w/ExponentialMovingAverage": np.float32([5, 6]),
              "net/moving_mean": np.float32([3])}
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    save_checkpoint(values, str(tmp_path / "run" / "checkpoints" / "model.ckpt-1"))
    for weights, expected in (("auto", [5, 6]), ("raw", [1, 2])):
        report, found = restore(str(tmp_path / "run"), {"net/w": [2], "net/moving_mean": [1]}, weights=weights)
        np.testing.assert_array_equal(found["net/w"], expected)
        np.testing.assert_array_equal(found["net/moving_mean"], [3])
        assert report["counts"] == {"restored": 2, "excluded": 0, "initialised": 0, "unused": 1}
        assert ("moving averages of the weights" in pretrained.describe(report)) == (weights == "auto")


@pytest.mark.parametrize("shapes, arguments, message", [
    ({"net/w": [2], "net/b": [1], "new/w": [1]}, {}, "lacks 1 variables of the network itself: net/b; is it of"),
    ({"net/w": [3]}, {"ignore_missing_vars": True}, r"net/w has shape \[2\] there and \[3\] here; is it of another "
     r"width .* exclude it with --model.checkpoint_exclude_scopes '\[net\]'"),
    ({"net/w": [2], "global_step": [5]}, {}, r"global_step has shape \[\] there and \[5\] here; exclude it"),
    ({"other/w": [2]}, {"ignore_missing_vars": True}, "none of the 1 variables of this network is in it"),
    ({"net/w": [2], "new/w": [2]}, {"exclude_scopes": ["net"]}, "none of the 1 variables"),
    ({"net/w": [2]}, {"exclude_scopes": ["ne"]}, r"no variable lies under 'ne' \(did you mean net\?\)")])
def test_what_does_not_fit_is_refused(path, shapes, arguments, message):
    with pytest.raises(InputError, match=message):
        restore(path, shapes, **arguments)


def test_variables_of_the_network_may_be_missing_on_demand(path):
    report, values = restore(path, {"net/w": [2], "net/b": [1]}, ignore_missing_vars=True)
    assert report["initialised"] == {"net/b": [1]} and values["net/b"] == [9]


def test_the_path_may_be_prefix_index_or_folder(path, tmp_path):
    for name in (path, path + ".index", str(tmp_path)):
        assert pretrained.reader_prefix(name) == path
        restore(name, {"net/w": [2]})
    # A public archive, unpacked: no step in the name and no record of the newest.
    (tmp_path / "public").mkdir()
    public = save_checkpoint({"net/w": np.float32([1, 2])}, str(tmp_path / "public" / "mobilenet_v2_1.4_224.ckpt"))
    for name in (str(tmp_path / "public"), public, public + ".meta", public + ".data-00000-of-00001"):
        assert pretrained.reader_prefix(name) == public
    with pytest.raises(InputError, match="no checkpoint .*nowhere"):
        restore(str(tmp_path / "nowhere"), {"net/w": [2]})
    (tmp_path / "junk.index").write_text("junk")
    with pytest.raises(InputError, match="cannot be read as a checkpoint.*nets.convert"):
        restore(str(tmp_path / "junk"), {"net/w": [2]})
    assert checkpoint_files.latest(str(tmp_path)) == path

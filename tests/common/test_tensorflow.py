"""The one import of TensorFlow, each time in a process of its own: what is tested happens once in a process."""
import os
import subprocess
import sys
import textwrap

import pytest


def run(script, path="", **environment):
    """Return (exit status, stdout, stderr) of a script; `path` is put in front of the module search path."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    env.update(environment, PYTHONPATH=str(path))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


NETWORK = """
from slim_retrieval.common.tensorflow import tf, slim
assert not tf.executing_eagerly()
ones = tf.ones_initializer()
with tf.Graph().as_default() as graph:
    images = tf.placeholder(tf.float32, [None, 4, 4, 1])
    net = slim.conv2d(images, 1, 3, padding="VALID", weights_initializer=ones, normalizer_fn=slim.batch_norm,
                      normalizer_params={"is_training": False, "epsilon": 0.21})
    net = slim.fully_connected(slim.flatten(slim.max_pool2d(net, 2, stride=1)), 2, weights_initializer=ones)
    slim.batch_norm(net, is_training=True, scope="trained")  # of [batch, width], as on top of an embedding
    names = [v.op.name for v in tf.global_variables()]
    updates = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
    assert slim.nets.resnet_v1.resnet_v1_50 and slim.arg_scope
"""
RESULT = """
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        values = session.run(net, {images: [[[[1.0]] * 4] * 4]})
        print([[round(float(value), 4) for value in row] for row in values], updates, names)
"""
# A 3 x 3 kernel of ones sees 9 ones, / sqrt(1 + 0.21) = 1.1; one pooled value goes into each of the two outputs.
EXPECTED = "[[8.1818, 8.1818]] 2 ['Conv/weights', 'Conv/BatchNorm/beta', 'Conv/BatchNorm/moving_mean', " \
           "'Conv/BatchNorm/moving_variance', 'fully_connected/weights', 'fully_connected/biases', 'trained/beta', " \
           "'trained/moving_mean', 'trained/moving_variance']\n"


def test_importing_and_building_a_network_writes_nothing_to_stderr():
    assert run(NETWORK) == (0, "", "")


def test_networks_work_though_tensorflow_was_imported_before():
    status, out, err = run("import tensorflow" + NETWORK + RESULT)
    assert (status, out) == (0, EXPECTED), err


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "{}":
            raise ModuleNotFoundError("No module named {!r}", name=name)
sys.meta_path.insert(0, Blocker())
from slim_retrieval.common.errors import command
@command
def main():
    from slim_retrieval.common.tensorflow import tf
main()
"""
ADVICE = "; install both with: pip install '.[cpu]' (or '.[gpu]') in the project's folder\n"


def test_without_tensorflow():
    assert run(BLOCKED.format("tensorflow", "tensorflow")) == (
        2, "", "error: TensorFlow with tf-slim cannot be imported (No module named 'tensorflow')" + ADVICE)


@pytest.mark.parametrize("version, missing", [("1.15.5", "tf_slim"), ("2.21.0", "tf_keras")])
def test_without_what_goes_with_tensorflow(tmp_path, version, missing):
    (tmp_path / "tensorflow.py").write_text(textwrap.dedent("""
        import types
        __version__ = "{}"
        compat = types.SimpleNamespace(v1=types.SimpleNamespace(disable_v2_behavior=lambda: None))
        """.format(version)))
    assert run(BLOCKED.format(missing, missing), path=tmp_path) == (
        2, "", "error: TensorFlow with tf-slim cannot be imported (No module named '{}')".format(missing) + ADVICE)


def test_a_failing_import_shows_all_that_was_written(tmp_path):
    (tmp_path / "tensorflow.py").write_text(textwrap.dedent("""
        import os
        os.write(2, b"I0000 00:00:1.2 3 port.cc:153] a note\\nlibrary: the reason\\n")
        raise TypeError("Descriptors cannot\\nbe created directly")
        """))
    assert run(BLOCKED.format("none", "none"), path=tmp_path) == (
        2, "", "I0000 00:00:1.2 3 port.cc:153] a note\nlibrary: the reason\nerror: TensorFlow with tf-slim cannot be "
               "imported (Descriptors cannot be created directly)" + ADVICE)


NOTES = """
import os, types
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n"
            b"I0000 00:00:1795437965.979200   13393 port.cc:153] oneDNN custom operations are on.\\n"
            b"E0000 00:00:1795437965.979200   13393 x.cc:1] an error\\nIn short: a warning\\n")
__version__ = "1.15.5"
compat = types.SimpleNamespace(v1=types.SimpleNamespace(
    logging=types.SimpleNamespace(set_verbosity=lambda level: None, ERROR=40)))
"""


@pytest.mark.parametrize("level, lines", [(None, 2), ("2", 2), ("1", 4), ("0", 4)])
def test_only_notes_are_kept_off_and_only_if_not_asked_for(tmp_path, level, lines):
    (tmp_path / "tensorflow.py").write_text(NOTES)
    (tmp_path / "tf_slim").mkdir()
    for name in ("__init__.py", "nets.py"):
        (tmp_path / "tf_slim" / name).write_text("")
    environment = {"TF_CPP_MIN_LOG_LEVEL": level} if level else {}
    status, out, err = run("import os; import slim_retrieval.common.tensorflow; os.write(2, b'after\\n')",
                           path=tmp_path, **environment)
    assert (status, out) == (0, "")
    assert err.splitlines()[-3:] == ["E0000 00:00:1795437965.979200   13393 x.cc:1] an error", "In short: a warning",
                                     "after"]
    assert len(err.splitlines()) == lines + 1

"""Checkpoints: complete or absent, restored for what they are, refused for what they are not."""
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from slim_retrieval.common import checkpoint_files
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets import checkpoint_choice
from slim_retrieval.training import checkpoints, keeping


def save_steps(directory, steps, max_to_keep=5, every_n_hours=0, every_n_steps=0, **values):
    """Save a checkpoint for each step; the variables hold `values`."""
    os.makedirs(str(directory), exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            tf.get_variable(name, initializer=tf.constant(value))
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(max_to_keep=None)
        policy = max_to_keep, every_n_hours, every_n_steps
        return [checkpoints.save(session, saver, str(directory), step, *policy) for step in steps]


def read(path):
    reader = tf.train.NewCheckpointReader(path)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_newest_is_found_by_number_and_old_ones_go(tmp_path):
    save_steps(tmp_path, [5, 10, 100], max_to_keep=2, w=np.float32([1, 2]))
    assert checkpoint_files.latest(str(tmp_path)) == str(tmp_path / "model.ckpt-100")
    assert checkpoint_files.step_of(checkpoint_files.latest(str(tmp_path))) == 100
    assert sorted(os.listdir(str(tmp_path))) == [
        "checkpoint", "kept.json", "model.ckpt-10.data-00000-of-00001", "model.ckpt-10.index",
        "model.ckpt-100.data-00000-of-00001", "model.ckpt-100.index"]
    np.testing.assert_array_equal(read(str(tmp_path / "model.ckpt-10"))["w"], [1, 2])
    # TensorFlow's own tools read the folder too, also after it was moved.
    shutil.move(str(tmp_path), str(tmp_path) + "_moved")
    assert tf.train.latest_checkpoint(str(tmp_path) + "_moved") == os.path.join(
        str(tmp_path) + "_moved", "model.ckpt-100")


def kept(directory):
    return sorted(step for step, _ in checkpoint_files.complete(str(directory)))


def test_the_best_stays_until_a_better_one_comes(tmp_path):
    directory = str(tmp_path)
    for step, value in ((1, 0.5), (2, 0.7), (3, 0.7), (4, float("nan")), (5, 0.1)):
        save_steps(tmp_path, [step], max_to_keep=1, w=np.float32([step]))
        assert checkpoints.keep_best(directory, step, value) == (step in (1, 2))
    assert kept(tmp_path) == [2, 5] and checkpoint_files.best(directory) == str(tmp_path / "model.ckpt-2")
    np.testing.assert_array_equal(read(checkpoint_files.best(directory))["w"], [2])
    save_steps(tmp_path, [6], max_to_keep=1, w=np.float32([6]))
    assert checkpoints.keep_best(directory, 6, 0.8)
    save_steps(tmp_path, [7], max_to_keep=1, w=np.float32([7]))
    assert kept(tmp_path) == [6, 7] and checkpoint_files.latest(directory) == str(tmp_path / "model.ckpt-7")
    with pytest.raises(InputError, match="no checkpoint of step 8 in .* save it first"):
        checkpoints.keep_best(directory, 8, 0.9)


def test_max_to_keep_0_keeps_all_and_multiples_stay(tmp_path):
    save_steps(tmp_path / "all", range(1, 8), max_to_keep=0, w=np.float32([1]))
    assert kept(tmp_path / "all") == list(range(1, 8))
    for step in range(1, 11):
        save_steps(tmp_path / "some", [step], max_to_keep=2, every_n_steps=4, w=np.float32([1]))
    assert kept(tmp_path / "some") == [4, 8, 9, 10]


def test_hours_are_kept_as_a_walk_through_time_keeps_them():
    """Saved every 25 minutes, one by one, against a plain loop over all of them at once."""
    times = {step: 1500.0 * step for step in range(1, 40)}
    there = {}
    for step in times:
        there[step] = times[step]
        for old in keeping.expired(there, None, max_to_keep=3, every_n_hours=2):
            del there[old]
    expected, last = [], None
    for step in times:
        if last is None or times[step] - last >= 7200:
            expected, last = expected + [step], times[step]
    assert sorted(there) == sorted(set(expected) | {37, 38, 39}) and expected[:3] == [1, 6, 11]


def test_times_are_those_of_saving_not_of_the_files(tmp_path):
    """A run that was copied without its file times is thinned out as before."""
    save_steps(tmp_path, [1, 2, 3], max_to_keep=0, w=np.float32([1]))
    keeping.note_saved(str(tmp_path), {1: 0.0, 2: 3000.0, 3: 4000.0})
    save_steps(tmp_path, [4], max_to_keep=1, every_n_hours=1, w=np.float32([1]))
    assert kept(tmp_path) == [1, 3, 4]


def test_a_checkpoint_is_chosen(tmp_path):
    directory = str(tmp_path)
    with pytest.raises(InputError, match="no checkpoint in .*; train first"):
        checkpoint_choice.choose(directory)
    save_steps(tmp_path, [5, 10], w=np.float32([1]))
    assert checkpoint_choice.choose(directory) == checkpoint_choice.choose(directory, "10") == checkpoint_files.latest(
        directory)
    assert checkpoint_choice.choose(directory, "5") == str(tmp_path / "model.ckpt-5")
    for wanted, message in (("7", "has no checkpoint '7'; take latest, best or a step: 5, 10"),
                            ("last", "has no checkpoint 'last'"), ("best", "kept as the best; train with")):
        with pytest.raises(InputError, match=message):
            checkpoint_choice.choose(directory, wanted)
    checkpoints.keep_best(directory, 5, 0.5)
    assert checkpoint_choice.choose(directory, "best") == str(tmp_path / "model.ckpt-5")


@pytest.mark.parametrize("harm", ["data cut", "data changed", "index cut", "index changed"])
def test_a_damaged_checkpoint_is_found_and_the_one_before_offered(tmp_path, harm):
    paths = save_steps(tmp_path, [5, 10, 15], w=np.arange(1000, dtype=np.float32))
    for path in paths[1:]:  # the two newest
        name = path + (".index" if "index" in harm else ".data-00000-of-00001")
        data = bytearray(open(name, "rb").read())
        data[20] ^= 255
        open(name, "wb").write(data[:50] if "cut" in harm else data)
    checkpoint_choice.check_whole(paths[0])
    with pytest.raises(InputError, match=r"model.ckpt-15 is damaged \(.+\); model.ckpt-5 before it is whole: delete "
                                         "model.ckpt-15.index to go on from there") as error:
        checkpoint_choice.check_whole(paths[2])
    assert "\n" not in str(error.value)
    checkpoints._delete(paths[0])
    with pytest.raises(InputError, match="there is no whole one before it"):
        checkpoint_choice.check_whole(paths[2])


def test_half_a_checkpoint_does_not_count(tmp_path):
    save_steps(tmp_path, [5, 10], w=np.float32([1]))
    os.remove(str(tmp_path / "model.ckpt-10.data-00000-of-00001"))
    (tmp_path / ".partial").mkdir()
    (tmp_path / ".partial" / "model.ckpt-20.index").write_text("x")
    (tmp_path / "model.ckpt-30.data-00000-of-00001").write_text("x")
    assert checkpoint_files.latest(str(tmp_path)) == str(tmp_path / "model.ckpt-5")
    assert checkpoint_files.latest(str(tmp_path / "absent")) is None


def test_full_disk_keeps_what_was_there(tmp_path):
    """A file size limit stands in for the full disk: the same error path, without needing root."""
    save_steps(tmp_path, [5], w=np.float32([1]))
    before = sorted(os.listdir(str(tmp_path)))
    script = textwrap.dedent("""
        import resource, signal, sys
        import numpy as np
        from slim_retrieval.common.errors import command
        from slim_retrieval.common.tensorflow import tf
        from slim_retrieval.training import checkpoints
        @command
        def main():
            w = tf.get_variable("w", initializer=tf.zeros([1000, 1000]))
            session = tf.Session()
            session.run(tf.global_variables_initializer())
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
            checkpoints.save(session, tf.train.Saver(), sys.argv[1], 6, 5)
        main()
    """)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.strip().split("\n")[-1].startswith("error: no space left while writing")
    assert "Traceback" not in done.stderr
    assert sorted(os.listdir(str(tmp_path))) == before


def test_resume_refuses_a_checkpoint_of_another_network(tmp_path):
    path = save_steps(tmp_path, [1], w=np.float32([1, 2]))[0]
    with tf.Graph().as_default():
        tf.get_variable("v", [2])
        session = tf.Session()
        with pytest.raises(InputError, match="does not fit this network"):
            checkpoints.restore(session, tf.train.Saver(), path)

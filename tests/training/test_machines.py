"""Three processes on the loopback address: a chief and two workers are two local towers; who dies is named."""
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from PIL import Image

from slim_retrieval.commands import train_multi_gpu
from slim_retrieval.common import checkpoint_files
from slim_retrieval.common.tensorflow import tf

SCRIPT = train_multi_gpu.__file__
TIMEOUT = 240  # seconds; only a process that hangs comes near


@pytest.fixture()
def project(tmp_path, monkeypatch):
    random = np.random.RandomState(0)
    for c in range(4):
        os.makedirs(str(tmp_path / "images" / str(c)))
        for i in range(4):
            pixels = (random.randint(0, 100, (12, 12, 3)) + 50 * c).astype(np.uint8)
            Image.fromarray(pixels).save(str(tmp_path / "images" / str(c) / "{}.png".format(i)))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({
        "data": {"path": "images", "train": {"source": "."}, "crop_padding": 1, "flip": True},
        "model": {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12},
        "losses": [{"name": "softmax"}, {"name": "triplet_batch_hard", "weight": 0.5}],
        "training": {"classes_per_batch": 4, "images_per_class": 2, "save_every_steps": 2, "log_every_steps": 3,
                     "batch_norm": "sync", "schedule": {"learning_rate": 0.01}}}))
    monkeypatch.chdir(str(tmp_path))


def local(*arguments):
    train_multi_gpu.main(["--config", "tiny.yaml"] + list(arguments))


@contextlib.contextmanager
def machines(*arguments):
    """Yield the processes of a chief and two workers; end those that are still there."""
    sockets = [socket.socket() for _ in range(3)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    chief, first, second = ("127.0.0.1:{}".format(one.getsockname()[1]) for one in sockets)
    for one in sockets:
        one.close()
    flags = ["--config", "tiny.yaml", "--cluster.chief", "[{}]".format(chief), "--cluster.worker",
             "[{},{}]".format(first, second), "--cluster.timeout", str(TIMEOUT)] + list(arguments)
    processes = [subprocess.Popen([sys.executable, SCRIPT] + flags + ["--cluster.task", task], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, universal_newlines=True)
                 for task in ("chief:0", "worker:0", "worker:1")]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def weights(run, step):
    reader = tf.train.NewCheckpointReader("runs/{}/checkpoints/model.ckpt-{}".format(run, step))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_a_chief_and_two_workers_are_two_local_towers(project):
    local("--run.name", "local", "--training.num_clones", "2", "--training.steps", "2")
    before = weights("local", 2)
    shutil.copytree("runs/local", "runs/cluster")  # one start: random weights depend on the whole graph
    local("--run.name", "local", "--training.num_clones", "2", "--training.steps", "9")
    with machines("--run.name", "cluster", "--training.steps", "9") as processes:
        outputs = [process.communicate(timeout=TIMEOUT)[0] for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert "feeding images 4 to 7 of each batch of 8, from step 2 on" in outputs[2]
    ours, theirs = weights("local", 9), weights("cluster", 9)
    assert set(ours) == set(theirs)
    assert max(np.abs(ours[name] - before[name]).max() for name in ours if name.endswith("/weights")) > 1e-3
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5, err_msg=name)


def test_a_worker_that_dies_is_named_and_training_goes_on_from_the_checkpoint(project):
    folder = "runs/tiny/checkpoints"
    with machines("--training.steps", "1000000") as processes:
        end = time.time() + TIMEOUT
        while checkpoint_files.latest(folder) is None and processes[0].poll() is None and time.time() < end:
            time.sleep(0.05)
        processes[2].kill()
        outputs = [process.communicate(timeout=TIMEOUT)[0] for process in processes]
    assert [process.returncode for process in processes[:2]] == [2, 2], outputs
    errors = [[line for line in output.split("\n") if line.startswith("error: ")] for output in outputs[:2]]
    assert [len(lines) for lines in errors] == [1, 1], outputs
    assert "worker 1 (127.0.0.1:" in errors[0][0] and "go on from the newest checkpoint" in errors[0][0]
    assert "chief 0 (127.0.0.1:" in errors[1][0]
    step = checkpoint_files.step_of(checkpoint_files.latest(folder))
    local("--training.steps", str(step + 2), "--training.num_clones", "2")
    assert int(weights("tiny", step + 2)["global_step"]) == step + 2

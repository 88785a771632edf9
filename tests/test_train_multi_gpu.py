"""Training end to end on tiny images: resume after a kill, towers, and each mistake as one line."""
import json
import os
import re
import signal
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

SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "train_multi_gpu.py")


def write_images(folder, classes=3, images=6, size=12, suffix="png"):
    random = np.random.RandomState(0)
    for c in range(classes):
        os.makedirs(os.path.join(folder, "class_{}".format(c)))
        for i in range(images):
            pixels = (random.randint(0, 100, (size, size, 3)) + 70 * c).astype(np.uint8)
            Image.fromarray(pixels).save(os.path.join(folder, "class_{}".format(c), "{}.{}".format(i, suffix)))


@pytest.fixture()
def project(tmp_path, monkeypatch):
    """A folder with images and a config; the current directory."""
    write_images(str(tmp_path / "images"))
    config = {
        "data": {"path": "images", "train": {"source": "."}, "crop_padding": 1, "flip": True},
        "model": {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 12},
        "losses": [{"name": "softmax"}, {"name": "triplet_batch_hard", "weight": 0.5}],
        "training": {"steps": 12, "classes_per_batch": 2, "images_per_class": 2, "save_every_steps": 3,
                     "log_every_steps": 2, "schedule": {"name": "cosine", "learning_rate": 0.05, "decay_steps": 12}}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(str(tmp_path))
    return tmp_path


def train(*arguments):
    train_multi_gpu.main(["--config", "tiny.yaml"] + list(arguments))


def start(*arguments):
    # What runs in the background of a shell, these tests perhaps, has Ctrl-C switched off, and so would its children.
    return subprocess.Popen([sys.executable, SCRIPT, "--config", "tiny.yaml"] + list(arguments),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))


def weights(run, step):
    reader = tf.train.NewCheckpointReader("runs/{}/checkpoints/model.ckpt-{}".format(run, step))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def failure(capsys, *arguments):
    """Run in-process, expect exit 2 and one line; return the line."""
    with pytest.raises(SystemExit) as stop:
        train(*arguments)
    lines = [line for line in capsys.readouterr().err.split("\n") if line.startswith("error: ")]
    assert stop.value.code == 2 and len(lines) == 1
    return lines[0]


def test_run_folder_and_what_training_changed(project):
    train("--training.steps", "8", "--training.save_every_steps", "4")
    assert os.path.realpath("runs/latest") == os.path.realpath("runs/tiny")
    config = yaml.safe_load(open("runs/tiny/config.yaml"))
    assert config["training"]["steps"] == 8 and config["provenance"]["versions"]["tensorflow"] and \
        config["provenance"]["seed"] == 0
    first, last = weights("tiny", 4), weights("tiny", 8)
    assert int(last["global_step"]) == 8  # counted once a step
    name = "small_cnn/conv_1_1/BatchNorm/moving_variance"
    assert np.abs(last[name] - 1.0).max() > 1e-3 and np.abs(last[name] - first[name]).max() > 0  # batch norm moves
    assert os.listdir("runs/tiny/logs")
    with open("runs/tiny/checkpoints/model.json") as stream:  # what extraction refuses to differ from
        stored = json.load(stream)
    assert stored["preprocessing"] == "minus_one_to_one" and stored["model"]["network"] == "small_cnn"


@pytest.mark.long
def test_killed_at_a_random_step_and_resumed_equals_never_killed(project):
    train("--run.name", "whole", "--training.steps", "200", "--training.save_every_steps", "5")
    killed = 0
    wait = np.random.RandomState(int(time.time())).uniform(0.05, 0.4)
    for _ in range(2):
        process = start("--run.name", "killed", "--training.steps", "200", "--training.save_every_steps", "5")
        before = checkpoint_files.latest("runs/killed/checkpoints")
        while process.poll() is None and checkpoint_files.latest("runs/killed/checkpoints") == before:
            time.sleep(0.01)
        time.sleep(wait)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
    assert killed and checkpoint_files.step_of(checkpoint_files.latest("runs/killed/checkpoints")) < 200
    train("--run.name", "killed", "--training.steps", "200", "--training.save_every_steps", "5")
    whole, resumed = weights("whole", 200), weights("killed", 200)
    assert set(whole) == set(resumed)
    for name in whole:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


def test_stopped_and_resumed_equals_never_stopped_with_all_that_a_run_remembers(project):
    """Momentum that cycles, moving averages, micro-batches, warm-up: after 3 of 6 steps, against 6 in one go."""
    arguments = ["--training.accumulate", "2", "--training.ema_decay", "0.9",
                 "--training.ema_debias", "true", "--training.save_every_steps", "3", "--training.nesterov", "true"]
    for key, value in (("name", "one_cycle"), ("cycle_momentum", "0.8"), ("decay_steps", "5"), ("warmup_steps", "1"),
                       ("end_learning_rate", "0.001")):
        arguments += ["--training.schedule." + key, value]
    train("--run.name", "whole", "--training.steps", "6", *arguments)
    train("--run.name", "stopped", "--training.steps", "3", *arguments)
    train("--run.name", "stopped", "--training.steps", "6", *arguments)
    whole, resumed = weights("whole", 6), weights("stopped", 6)
    assert int(whole["global_step"]) == 6 and set(whole) == set(resumed)
    average = "small_cnn/conv_1_1/weights/ExponentialMovingAverage"
    assert np.abs(whole[average] - whole["small_cnn/conv_1_1/weights"]).max() > 0
    assert not [name for name in whole if "accumulated" in name]  # zero between two steps
    for name in whole:
        np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


@pytest.mark.parametrize("kind, status", [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_sigterm_and_ctrl_c_save_before_the_end(project, kind, status):
    process = start("--training.steps", "100000", "--training.save_every_steps", "100000")
    while process.poll() is None and not os.path.isdir("runs/tiny/logs"):
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(kind)
    output = process.communicate()[0]
    assert process.returncode == status, output
    newest = checkpoint_files.latest("runs/tiny/checkpoints")
    assert newest and "asked to stop ({}): saved {}".format(kind.name, newest) in output


def test_two_virtual_cpu_towers_train(project):
    train("--training.num_clones", "2", "--training.steps", "4")
    assert int(weights("tiny", 4)["global_step"]) == 4


def test_schedule_does_not_depend_on_the_number_of_towers(project):
    rates = []
    for towers in ("1", "2"):
        train("--run.name", "towers" + towers, "--training.num_clones", towers, "--training.steps", "6",
              "--training.log_every_steps", "1")
        (events,) = os.listdir("runs/towers{}/logs".format(towers))
        rates.append([value.simple_value for event in tf.train.summary_iterator(
            "runs/towers{}/logs/{}".format(towers, events)) for value in event.summary.value
            if value.tag == "learning_rate"])
    expected = [0.05 * 0.5 * (1 + np.cos(np.pi * step / 12)) for step in range(6)]
    np.testing.assert_allclose(rates, [expected, expected], rtol=1e-5)


def test_finished_run_is_left_alone_and_more_steps_go_on(project):
    train("--training.steps", "3")
    before = os.stat("runs/tiny/checkpoints/model.ckpt-3.index").st_mtime_ns
    train("--training.steps", "3")
    assert os.stat("runs/tiny/checkpoints/model.ckpt-3.index").st_mtime_ns == before
    train("--training.steps", "6")
    assert int(weights("tiny", 6)["global_step"]) == 6


def test_other_settings_are_refused(project, capsys):
    train("--training.steps", "3")
    line = failure(capsys, "--training.steps", "6", "--training.momentum", "0.5")
    assert "training.momentum = 0.9, now it is 0.5" in line
    assert "run.seed = 0, now it is 4" in failure(capsys, "--run.seed", "4")
    assert checkpoint_files.latest("runs/tiny/checkpoints").endswith("-3")


def test_starting_from_pretrained_weights(project, capsys):
    train("--training.steps", "3", "--run.name", "first")
    arguments = ["--model.checkpoint_path", "runs/first/checkpoints", "--training.steps", "1",
                 "--training.schedule.learning_rate", "0"]
    train("--run.name", "second", "--model.pooling", "gem_learned", *arguments)
    with open("runs/second/restore.json") as stream:  # what the configuration adds is new and may be missing
        assert json.load(stream)["initialised"] == {"pooling/p": []}
    old, new = weights("first", 3), weights("second", 1)
    for name in ("small_cnn/conv_1_1/weights", "logits/label/weights"):
        np.testing.assert_array_equal(old[name], new[name])
    line = failure(capsys, "--run.name", "third", "--model.depth_multiplier", "0.25", *arguments)
    assert "model.depth_multiplier is 0.25, but" in line and "was made for 0.125; set it to that" in line
    assert not os.path.exists("runs/third/checkpoints/checkpoint")


def test_only_trainable_scopes_change(project):
    train("--training.steps", "2", "--run.name", "first")
    train("--training.steps", "4", "--run.name", "second", "--model.trainable_scopes", "[logits]",
          "--training.batch_norm", "frozen", "--model.checkpoint_path", "runs/first/checkpoints")
    old, new = weights("first", 2), weights("second", 4)
    same = [name for name in old if name in new and "global_step" not in name and "Momentum" not in name
            and np.array_equal(old[name], new[name])]
    assert sorted(same) == sorted(name for name in old if name.startswith("small_cnn") and "Momentum" not in name)


def test_truncated_jpeg_is_named_and_replaced(project, capfd):
    path = "images/class_1/bad.jpg"
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(path)
    data = open(path, "rb").read()
    with open(path, "wb") as stream:
        stream.write(data[:len(data) // 2])
    train("--training.steps", "8")
    errors = capfd.readouterr().err
    assert "class_1/bad.jpg" in errors and "1 images could not be read" in errors
    assert int(weights("tiny", 8)["global_step"]) == 8


@pytest.mark.parametrize("arguments, message", [
    (["--data.path", "nowhere"], "nowhere"),
    (["--model.network", "resnet"], "unknown network 'resnet'.*resnet_v1_50"),
    (["--losses.0.name", "tripplet"], "unknown loss 'tripplet'"),
    (["--losses.1.options.margn", "0.1"], "margn.*margin"),
    (["--training.optimizer", "sdg"], "unknown optimizer 'sdg'.*sgd"),
    (["--training.schedule.name", "cos"], "unknown .*'cos'"),
    (["--training.classes_per_batch", "5"], "classes_per_batch is 5 but there are 3 classes"),
    (["--training.num_clones", "3"], "a batch of 4 does not divide among 3 towers"),
    (["--losses.0.label", "colour"], "colour"),
    (["--model.end_point", "stage_9"], "unknown end point stage_9.*stage_"),
    (["--model.checkpoint_path", "absent"], "no checkpoint absent")])
def test_mistakes_are_one_line_and_leave_nothing(project, capsys, arguments, message):
    assert re.search(message, failure(capsys, *arguments))
    assert not os.path.exists("runs") or os.listdir("runs") == []


def test_a_mistake_does_not_replace_the_newest_run(project, capsys):
    train("--training.steps", "1", "--run.name", "good")
    failure(capsys, "--run.name", "bad", "--model.end_point", "stage_9")
    assert os.path.realpath("runs/latest") == os.path.realpath("runs/good")
    assert sorted(os.listdir("runs")) == ["good", "latest"]


def test_a_loss_that_is_not_finite_stops_and_saves_nothing(project, capsys):
    line = failure(capsys, "--training.schedule.learning_rate", "1e30")
    assert re.search("the (loss|gradient's norm) is .* at step .*; nothing was saved yet; lower .*learning_rate", line)
    assert checkpoint_files.latest("runs/tiny/checkpoints") is None


def test_empty_class_folder_is_named(project, capsys):
    os.makedirs("images/class_9")
    assert "class_9" in failure(capsys)


def test_config_must_be_given_and_exist(project, capsys):
    for argv, message in (([], "give --config FILE"), (["--config", "none.yaml"], "no config file none.yaml")):
        with pytest.raises(SystemExit) as stop:
            train_multi_gpu.main(argv)
        assert stop.value.code == 2 and message in capsys.readouterr().err
    assert not os.path.exists("runs")

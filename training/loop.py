"""The training loop: build the graph, restore or initialise, step, log, save.

Step t's batch and its augmentation are a pure function of (seed, t), and a checkpoint holds the weights, the
optimizer's slots and the step. So a run that is killed and started again goes on as if nothing had happened.
"""
import contextlib
import logging
import math
import os
import signal

from slim_retrieval.common import checkpoint_files
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.files import write_json
from slim_retrieval.common.progress import progress
from slim_retrieval.common.tensorflow import slim, tf
from slim_retrieval.datasets.pipeline import restartable_batches, training_batches
from slim_retrieval.datasets.samplers import batch_size
from slim_retrieval.datasets.training_set import pipeline_options
from slim_retrieval.losses.specs import watched_label
from slim_retrieval.nets.checkpoint_choice import check_whole
from slim_retrieval.nets.factory import get_network
from slim_retrieval.training import checkpoints, freezing, precision, pretrained
from slim_retrieval.training.devices import VARIABLE_DEVICE, open_session, tower_devices, where_variables_are
from slim_retrieval.training.embed import inference_tower
from slim_retrieval.training.machines import Chief
from slim_retrieval.training.mining import Miner
from slim_retrieval.training.towers import build_towers
from slim_retrieval.training.update import build_update
from slim_retrieval.training.validation import Validation
from slim_retrieval.training.warnings import warn_of_split_groups
from slim_retrieval.training.watching import Watching

log = logging.getLogger(__name__)

INTERRUPTED = 130  # exit status after Ctrl-C, as a shell has it
COLLAPSED = 3  # exit status of a training that training.stop_on_collapse ended


def train(run, options, loader, num_classes, started, tags=None, search=None, validation=None, cluster=None):
    """Train until `training.steps`, resuming from the run's newest checkpoint; return the checkpoint's path.

    Args:
      run: the run's folder.
      options: the whole configuration as plain dicts.
      loader: datasets.loader.BatchLoader over the training images.
      num_classes: {label column: classes}.
      started: called once everything is built and restored, before the first step (or when none is left).
      tags: {label column: [V, T]} of columns with several tags a cell (losses/label_columns.py).
      search: for sampler `hard`: nearest neighbours of features, as training/mining.py wants them.
      validation: validation.HeldOut, or None.
      cluster: training.cluster.Cluster with the towers' machines, of which this is the chief; None: they are here.

    Raises:
      InputError: the loss is not finite, a device or checkpoint does not fit, or the data cannot be read.
    """
    directory = os.path.join(run, "checkpoints")
    newest = checkpoint_files.latest(directory)
    first_step = checkpoint_files.step_of(newest) if newest else 0
    if first_step >= options["training"]["steps"]:
        log.info("already trained: %s is at step %d of %d", newest, first_step, options["training"]["steps"])
        started()
        return newest
    if newest:
        check_whole(newest)
    chief = Chief(cluster, options) if cluster else None
    devices = chief.devices if chief else tower_devices(
        options["training"]["num_clones"], options["training"]["devices"])
    warn_of_split_groups(options, len(devices))
    with tf.Graph().as_default(), tf.device(chief.home if chief else ""):
        tf.set_random_seed(options["run"]["seed"])
        miner = Miner(loader, options["losses"][0]["label"], options, directory, search) if (
            options["training"]["sampler"] == "hard") else None
        images, labels, restart = chief.batches(loader, first_step) if chief else _input(
            options, loader, first_step, miner is not None)
        fetches = _build(options, images, labels, (num_classes, tags), devices)
        if miner or validation is not None:
            # After the training graph, whose random operations are numbered in their order.
            tower = inference_tower(options["model"], devices[0])
        if miner:
            miner.attach(tower, restart, first_step)
        if validation is not None:
            validation = Validation(tower, validation, os.path.join(run, "validation.csv"), first_step,
                                    options["data"]["workers"])
        saver = tf.train.Saver(tf.global_variables(), max_to_keep=None)
        with chief.session() if chief else open_session(devices) as session:
            report = _start(session, saver, newest, options["model"])
            if not newest:
                session.run(fetches["start"])  # now that the weights are there
            started()
            if report:
                write_json(os.path.join(run, "restore.json"), report)
            return _step(session, saver, fetches, run, options, first_step, loader, miner, validation)


def _input(options, loader, first_step, restartable):
    """Return images, {column: labels}, and the function that restarts them (pipeline.restartable_batches) or None."""
    training, restart = options["training"], None
    with tf.device(VARIABLE_DEVICE):
        if restartable:
            images, labels, restart = restartable_batches(loader, **pipeline_options(options))
        else:
            images, labels = training_batches(loader, first_step * training["accumulate"],
                                              training["steps"] * training["accumulate"], **pipeline_options(options))
    size, batch = options["model"]["image_size"], batch_size(training)
    images.set_shape([batch, size, size, 3])
    for column in labels.values():
        column.set_shape([batch])
    return images, labels, restart


def _build(options, images, labels, columns, devices):
    """Build towers and train op; return {name: what to fetch}."""
    training, (num_classes, tags) = options["training"], columns
    with tf.device(VARIABLE_DEVICE):
        scale = precision.loss_scale(training)
    frozen = freezing.frozen_variables(options["model"], training["rate_multipliers"])
    towers = build_towers(images, labels, devices, options["model"], options["losses"], num_classes,
                          training["loss_scope"], options["model"]["trainable_scopes"], options["weighting"], tags,
                          frozen, training["batch_norm"], training["precision"], scale and scale.scale,
                          where_variables_are(training["variables"], devices))
    if frozen:
        freezing.say(frozen, [v for _, v in towers.gradients])
    with tf.device(VARIABLE_DEVICE):
        update = build_update(towers.gradients, towers.update_ops, training, options["run"]["seed"], scale)
    return {"train": update.train, "add": update.add, "start": update.start, "loss": towers.loss,
            "scalars": towers.scalars, "watched": update.watched,
            "batch": {"images": _whole(images), "labels": _whole(labels[watched_label(options["losses"])]),
                      "embedding": towers.embedding}}


def _whole(tensor):
    return tf.concat(tensor, 0) if isinstance(tensor, list) else tensor


def _start(session, saver, newest, model):
    """Initialise, then restore the run's newest checkpoint or else the pretrained one, of which a report is returned.
    """
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    if newest:
        checkpoints.restore(session, saver, newest)
        log.info("resumed from %s: all %d variables restored", newest, len(tf.global_variables()))
    elif model["checkpoint_path"]:
        # Model variables hold the moving averages too, and none of the optimizer's slots.
        report = pretrained.restore_pretrained(
            session, model["checkpoint_path"], slim.get_model_variables(), get_network(model["network"]).scope,
            model["checkpoint_exclude_scopes"], model["ignore_missing_vars"], model["checkpoint_weights"])
        log.info("%s; restore.json of the run lists them all", pretrained.describe(report))
        return report
    else:
        log.info("training from random weights (model.checkpoint_path is empty)")
        if model["freeze_up_to"]:
            log.warning("model.freeze_up_to = %s keeps random weights as they are; set model.checkpoint_path",
                        model["freeze_up_to"])
    return None


def _step(session, saver, fetches, run, options, first_step, loader, miner=None, validation=None):
    """Run the steps; return the last checkpoint's path."""
    directory, training = os.path.join(run, "checkpoints"), options["training"]
    path, last = None, training["steps"]
    bar = progress(total=last, initial=first_step, what="training", unit="step")
    with _stopped() as stopped, Watching(run, options, first_step, validation) as watching, contextlib.closing(bar):
        for step in range(first_step + 1, last + 1):
            if miner:
                miner.before(session, step - 1)
            values = _make_step(session, fetches, watching.wanted(step), training["accumulate"], loader)
            _check_finite(values, step, directory)
            shown = watching.look(step, values)
            if shown:
                bar.set_postfix(shown, refresh=False)
            bar.update(1)
            if watching.collapsed and training["stop_on_collapse"]:
                log.error("stopped at step %d: %s; %s (training.stop_on_collapse)", step, watching.collapsed,
                          _kept(directory))
                raise SystemExit(COLLAPSED)
            score = watching.validate(session, step)
            if step % training["save_every_steps"] == 0 or step == last or stopped or score is not None:
                path = checkpoints.save(
                    session, saver, directory, step, training["max_to_keep"], training["keep_every_n_hours"],
                    training["keep_every_n_steps"])
            if score is not None and checkpoints.keep_best(directory, step, score):
                log.info("step %d: the best so far, %s stays", step, path)
            if stopped:
                log.warning("asked to stop (%s): saved %s; the same command goes on from there", stopped[0].name, path)
                raise SystemExit(0 if stopped[0] == signal.SIGTERM else INTERRUPTED)
    log.info("trained to step %d, loss %.4f: %s", last, values["loss"], path)
    return path


def _make_step(session, fetches, names, count, loader):
    """Run the `count` micro-batches of one step; return {"loss": number} and what `names` name, scalars as means."""
    wanted = {name: fetches[name] for name in ["loss"] + names}
    before = [_run(session, dict(wanted, add=fetches["add"]), loader) for _ in range(count - 1)]
    if "scalars" in names:
        wanted["watched"] = fetches["watched"]
    last = _run(session, dict(wanted, train=fetches["train"]), loader)
    micro_batches = before + [last]
    last["loss"] = sum(values["loss"] for values in micro_batches) / count
    if "scalars" in names:
        last["scalars"] = {name: sum(values["scalars"][name] for values in micro_batches) / count
                           for name in last["scalars"]}
        last["scalars"].update(last["watched"])
    return last


def _check_finite(values, step, directory):
    """Refuse to go on, and to save, when the loss or the gradient is no number: the weights are lost with it."""
    found = {"loss": values["loss"], "gradient's norm": values.get("scalars", {}).get("gradient_norm", 0.0)}
    for what, value in found.items():
        if not math.isfinite(value):
            raise InputError("the {} is {} at step {}; {}; lower training.schedule.learning_rate, or set "
                             "training.clip_norm".format(what, value, step, _kept(directory)))


def _run(session, wanted, loader):
    """Run one step; an error of the input pipeline comes out as the reader's own one line."""
    try:
        return session.run(wanted)
    except tf.errors.OpError:
        if loader.failure is not None:
            raise loader.failure from None
        raise


def _kept(directory):
    newest = checkpoint_files.latest(directory)
    return "{} is kept".format(newest) if newest else "nothing was saved yet"


@contextlib.contextmanager
def _stopped():
    """Yield a list that holds the signal when SIGTERM, or Ctrl-C, asks to stop; a second one ends it at once."""
    arrived = []
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGTERM, signal.SIGINT)}
    before = {kind: handler for kind, handler in before.items() if handler != signal.SIG_IGN}  # as nohup wants it

    def note(number, frame):
        arrived.append(signal.Signals(number))
        restore()

    def restore():
        for kind, handler in before.items():
            signal.signal(kind, handler)

    for kind in before:
        signal.signal(kind, note)
    try:
        yield arrived
    finally:
        restore()

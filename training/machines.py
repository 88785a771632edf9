"""The chief's side of several machines: towers on the workers, each fed by its own input pipeline.

A worker loads and augments its towers' images (training/worker.py) and puts them into a queue of its own process, from
which its towers take them: no image crosses the network. What does: variables to the workers, gradients, and (with
loss_scope global) embeddings to the chief. Each step is still one `session.run` of one graph.
"""
import contextlib
import hashlib
import json
import logging
import os
import sys
import uuid

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.samplers import batch_size
from slim_retrieval.training.cluster import CHIEF_DEVICE, missing, start_server, wait_for_workers, watching
from slim_retrieval.training.devices import check_devices
from slim_retrieval.training.towers import share

log = logging.getLogger(__name__)

# Of the section `data`: where each machine has its images and how it loads them. What they are is compared.
_MAY_DIFFER = ("path", "reader", "train", "validation", "query", "gallery", "workers", "prefetch")


class Chief:
    """A server with all workers there, and what it tells them.

    Attributes:
      devices: a device for each tower, worker by worker; home: where everything else is.
    """

    home = CHIEF_DEVICE

    def __init__(self, cluster, options):
        """Start the server, wait for the workers and choose the towers' devices.

        Raises:
          InputError: a worker does not answer; a sampler or device that does not go with a cluster.
        """
        training = options["training"]
        if training["sampler"] == "hard":
            raise InputError("training.sampler hard mines with the weights of one machine; in a cluster use another")
        if training["variables"] == "spread":
            raise InputError("training.variables is {}, but in a cluster the chief holds all variables; set it to "
                             "auto or cpu".format(training["variables"]))
        self.cluster, self._options, self._token = cluster, options, uuid.uuid4().hex
        self._target = start_server(cluster, gpus=False).target
        wait_for_workers(cluster, log)
        with tf.Session(self._target) as session:
            present = [device.name for device in session.list_devices()]
        self.devices = worker_devices(len(cluster.addresses["worker"]), training, present)
        self._messages, self._queues = [], []

    def batches(self, loader, first_step):
        """Return ([a tower's images], {column: [a tower's labels]}, None) out of the workers' queues."""
        training = self._options["training"]
        batch, times = batch_size(training), training["accumulate"]  # micro-batches a step
        each, images, labels = share(batch, len(self.devices)), [], {column: [] for column in loader.columns}
        for worker in range(len(self.cluster.addresses["worker"])):
            towers = [i for i, device in enumerate(self.devices) if task_of(device) == worker]
            count = each * len(towers)
            with tf.device(worker_cpu(worker)):
                queue = batch_queue(self._token, count, loader)
                parts = [tf.split(tensor, len(towers)) for tensor in queue.dequeue()]
            images += parts[0]
            for column, tensors in zip(loader.columns, parts[1:]):
                labels[column] += tensors
            self._queues.append(queue)
            self._messages.append(json.dumps({
                "token": self._token, "first_step": first_step * times, "last_step": training["steps"] * times,
                "batch": batch, "first_image": each * towers[0], "images": count,
                "fingerprint": fingerprint(loader, first_step * times, self._options)}))
        return images, labels, None

    @contextlib.contextmanager
    def session(self):
        """Yield the session; start the workers before, stop them after, and say which machine was lost.

        A worker that is gone or does not answer ends the process with status 2 and a line that names it.
        """
        start = []
        for worker, message in enumerate(self._messages):
            with tf.device(worker_cpu(worker)):
                start.append(start_queue().enqueue(message))
        stop = [queue.close(cancel_pending_enqueues=True) for queue in self._queues]
        config = tf.ConfigProto(allow_soft_placement=True, operation_timeout_in_ms=1000 * self.cluster.timeout)
        session = tf.Session(self._target, config=config)
        with watching(lambda: missing(self.cluster, "worker"), self._leave):
            try:
                check_devices(session, self.devices)
                session.run(start)
                yield session
            except tf.errors.OpError as error:
                self._leave(missing(self.cluster, "worker"), error)
                raise
        with contextlib.suppress(tf.errors.OpError):
            session.run(stop)
            session.close()

    def _leave(self, gone, error=None):
        """End the process when a machine is gone, or does not answer.

        At once: TensorFlow 1.15 would wait for it, in a running step as long as `timeout`, on closing for ever. A
        checkpoint that is being written is not lost by it: it has its name when it is complete.
        """
        if gone:
            what = "{} is gone".format(", ".join(gone))
        elif isinstance(error, tf.errors.DeadlineExceededError):
            what = "a worker did not answer within {} s (cluster.timeout)".format(self.cluster.timeout)
        else:
            return
        print("\nerror: {}; start all machines again with the same commands, and they go on from the newest "
              "checkpoint".format(what), file=sys.stderr, flush=True)
        os._exit(2)


def worker_devices(workers, training, present):
    """Return a device string for each tower, worker by worker.

    Args:
      workers: how many there are.
      training: dict of TrainingConfig: `devices`, or else `num_clones` towers on each worker (0: one for each GPU).
      present: the names of all devices there.

    Raises:
      InputError: a device without its worker, or a worker without a tower.
    """
    if training["devices"]:
        devices = sorted(training["devices"], key=task_of)
        without = set(range(workers)) - {task_of(device) for device in devices}
        if without:
            raise InputError("training.devices gives worker {} no tower; name one such as /job:worker/task:{}/gpu:0, "
                             "or leave training.devices out".format(min(without), min(without)))
        return devices
    devices = []
    for worker in range(workers):
        gpus = sum("/job:worker/replica:0/task:{}/device:GPU:".format(worker) in device for device in present)
        kind, count = ("gpu", training["num_clones"] or gpus) if gpus else ("cpu", training["num_clones"] or 1)
        devices += ["/job:worker/task:{}/{}:{}".format(worker, kind, i) for i in range(count)]
    return devices


def task_of(device):
    """Return the worker that a device string names.

    Raises:
      InputError: it names none.
    """
    spec = tf.DeviceSpec.from_string(device)
    if spec.job != "worker" or spec.task is None:
        raise InputError("training.devices: {!r} names no worker; in a cluster a tower's device is such as "
                         "/job:worker/task:0/gpu:0".format(device))
    return spec.task


def worker_cpu(worker):
    """Return the device of a worker's queues."""
    return "/job:worker/task:{}/cpu:0".format(worker)


def start_queue():
    """Return the queue in which a worker is told what to load; to be made on its device."""
    return tf.FIFOQueue(1, [tf.string], [[]], shared_name="start")


def batch_queue(token, images, loader):
    """Return the queue of a worker's part of each batch; the token keeps apart what an earlier chief had asked for."""
    labels, size = len(loader.columns), loader.image_size
    return tf.FIFOQueue(2, [tf.float32] + [tf.int32] * labels, [[images, size, size, 3]] + [[images]] * labels,
                        shared_name="batches_" + token)


def fingerprint(loader, step, options):
    """Return a hash of what batch `step` is and how it is augmented, for machines to compare."""
    data = {key: value for key, value in options["data"].items() if key not in _MAY_DIFFER}
    text = json.dumps([loader.names(step), loader.image_size, options["run"]["seed"], data], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

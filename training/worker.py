"""A worker of a cluster: it offers its devices to the chief and loads its towers' part of each batch."""
import json
import logging
import time

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.pipeline import training_batches
from slim_retrieval.datasets.training_set import pipeline_options
from slim_retrieval.training.cluster import missing, name, start_server, watching
from slim_retrieval.training.machines import batch_queue, fingerprint, start_queue, task_of, worker_cpu

log = logging.getLogger(__name__)

_PAUSE = 0.5  # seconds between two looks


def serve(cluster, loader, options):
    """Serve one training: wait for the chief, feed the towers here, and return when the chief is done.

    Args:
      cluster: Cluster, of which this process is a worker.
      loader: BatchLoader of the training images, the same as the chief's.
      options: the whole configuration as plain dicts.

    Raises:
      InputError: no chief comes, or it goes away, or it trains on other data; an image's own error.
    """
    server = start_server(cluster, _cpus(cluster.index, options["training"]))
    log.info("%s serves; waiting for %s", name(cluster, "worker", cluster.index), name(cluster, "chief", 0))
    # Only this process: a session over the whole cluster would wait for all others.
    config = tf.ConfigProto(device_filters=["/job:worker/task:{}".format(cluster.index)], allow_soft_placement=True)
    with tf.Graph().as_default(), tf.device(worker_cpu(cluster.index)), \
            tf.Session(server.target, config=config) as session:
        start = start_queue()
        waiting, message = start.size(), start.dequeue()
        _wait(session, cluster, waiting)
        message = json.loads(session.run(message).decode())
        if message["fingerprint"] != fingerprint(loader, message["first_step"], options):
            raise InputError("the chief's batch {} is not the one here: give all machines the same data, configuration "
                             "and seed".format(message["first_step"]))
        first, count = message["first_image"], message["images"]
        part = loader.part(first, first + count)
        images, labels = training_batches(part, message["first_step"], message["last_step"], first_image=first,
                                          batch_size=message["batch"], **pipeline_options(options))
        queue = batch_queue(message["token"], count, part)
        enqueue = queue.enqueue([images] + [labels[column] for column in loader.columns])
        log.info("feeding images %d to %d of each batch of %d, from step %d on", first, first + count - 1,
                 message["batch"], message["first_step"])
        _feed(session, cluster, part, queue, enqueue)
    log.info("the chief is done")


def _cpus(index, training):
    """Return how many CPU devices this worker needs."""
    named = [tf.DeviceSpec.from_string(d).device_index for d in training["devices"]
             if "cpu" in d.lower() and task_of(d) == index]
    return max([training["num_clones"], 1] + [number + 1 for number in named])


def _wait(session, cluster, waiting):
    """Return when the chief has sent a message; it may come late, but once it is there it must stay."""
    end, seen, lost = time.time() + cluster.timeout, [], []

    def look():
        gone = missing(cluster, "chief")
        seen.extend([True] * (not gone))
        return gone if seen else []
    with watching(look, lost.extend):
        while not session.run(waiting) and not lost:
            if time.time() > end:
                raise InputError("{} did not come within {} s (cluster.timeout); start it, then this again".format(
                    name(cluster, "chief", 0), cluster.timeout))
            time.sleep(_PAUSE)
    _refuse(lost)


def _feed(session, cluster, part, queue, enqueue):
    """Enqueue batches until the chief closes the queue."""
    close, closed, lost = queue.close(cancel_pending_enqueues=True), queue.is_closed(), []

    def stop(names):
        lost.extend(names)
        session.run(close)
    with watching(lambda: missing(cluster, "chief"), stop):
        try:
            while True:
                session.run(enqueue)
        except tf.errors.OutOfRangeError:
            while not session.run(closed):  # all is loaded; the chief still takes the last batches
                time.sleep(_PAUSE)
        except tf.errors.OpError:
            if part.failure is not None:
                raise part.failure from None
            if not session.run(closed):
                raise
    _refuse(lost)


def _refuse(lost):
    if lost:
        raise InputError("{} is gone; start all machines again with the same commands".format(lost[0]))

"""Several machines: which there are, and which of them this process is.

One chief holds the variables, runs the steps and writes the run; the towers are on the workers. The addresses come from
the section `cluster` of the YAML, or from the environment variable TF_CONFIG, which goes before it:

    TF_CONFIG='{"cluster": {"chief": ["a:2222"], "worker": ["b:2222", "c:2222"]},
                "task": {"type": "worker", "index": 1}}'
"""
import contextlib
import json
import socket
import threading
import time
from collections import namedtuple

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf

# addresses: {"chief": [host:port], "worker": [host:port, ...]}; job and index: this process; timeout: seconds.
Cluster = namedtuple("Cluster", "addresses job index timeout")

JOBS = ("chief", "worker")
CHIEF_DEVICE = "/job:chief/task:0"
_PAUSE, _MISSES = 1.0, 3  # seconds between two looks; how often a machine may be missed


def read_cluster(options, tf_config=""):
    """Return the Cluster, or None where there is one machine alone.

    Args:
      options: dict of ClusterConfig.
      tf_config: the text of TF_CONFIG, or "".

    Raises:
      InputError: TF_CONFIG is not what it should be; a job, an address or a task that cannot be.
    """
    given = _parse(tf_config)
    addresses = {job: list(hosts) for job, hosts in given.get("cluster", {}).items()} or {
        job: list(options[job]) for job in JOBS}
    _check(addresses)
    if not addresses.get("worker"):
        return None
    task = given.get("task") or _task(options["task"])
    job, index = task.get("type"), task.get("index", 0)
    if job not in JOBS or not isinstance(index, int) or not 0 <= index < len(addresses[job]):
        raise InputError("which machine of the cluster is this? cluster.task (or TF_CONFIG's task) is {!r}; it must be "
                         "chief:0 or worker:0 to worker:{}".format(
                             "{}:{}".format(job, index) if job else "", len(addresses["worker"]) - 1))
    return Cluster(addresses, job, index, options["timeout"])


def start_server(cluster, cpus=1, gpus=True):
    """Return TensorFlow's server of this process, which offers `cpus` virtual CPU devices.

    Raises:
      InputError: the port is taken.
    """
    config = tf.ConfigProto(device_count=dict({"CPU": cpus}, **({} if gpus else {"GPU": 0})))
    config.gpu_options.allow_growth = True
    try:
        return tf.train.Server(cluster.addresses, cluster.job, cluster.index, config=config)
    except tf.errors.OpError as error:
        raise InputError("{} cannot serve: {}".format(
            name(cluster, cluster.job, cluster.index), error.message)) from error


def name(cluster, job, index):
    """Return such as `worker 1 (host:2222)`."""
    return "{} {} ({})".format(job, index, cluster.addresses[job][index])


def missing(cluster, job):
    """Return the names of the machines of a job whose port does not answer."""
    return [name(cluster, job, i) for i, address in enumerate(cluster.addresses[job]) if not answers(address)]


@contextlib.contextmanager
def watching(look, lost):
    """Call `lost(names)` from a thread, once, when `look()` names missing machines several times running."""
    done = threading.Event()

    def watch():
        misses = 0
        while not done.wait(_PAUSE):
            names = look()
            misses = misses + 1 if names else 0
            if misses == _MISSES and not done.is_set():
                lost(names)
                return
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def wait_for_workers(cluster, log):
    """Return when every worker's port answers.

    Raises:
      InputError: one does not within `cluster.timeout` seconds.
    """
    end, said, absent = time.time() + cluster.timeout, [], missing(cluster, "worker")
    while absent:
        if absent != said:
            log.info("waiting for %s", ", ".join(absent))
            said = absent
        if time.time() > end:
            raise InputError("no answer from {} within {} s (cluster.timeout); start the same command there, with "
                             "its own task".format(", ".join(absent), cluster.timeout))
        time.sleep(_PAUSE)
        absent = missing(cluster, "worker")


def answers(address, seconds=2.0):
    """Return whether something listens at host:port."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
        return True
    except OSError:
        return False


def _parse(tf_config):
    if not tf_config.strip():
        return {}
    try:
        given = json.loads(tf_config)
        assert isinstance(given, dict) and isinstance(given.get("cluster", {}), dict)
        assert isinstance(given.get("task", {}), dict)
    except (ValueError, AssertionError) as error:
        raise InputError("TF_CONFIG is not the JSON of a cluster and a task: {!r}".format(tf_config[:80])) from error
    return given


def _task(text):
    job, _, index = text.partition(":")
    return {"type": job, "index": int(index) if index.isdigit() else index or 0}


def _check(addresses):
    for job in addresses:
        if job not in JOBS:
            raise InputError("the cluster names the job {!r}; there are chief, which holds the variables, and "
                             "worker".format(job))
    everything = [address for hosts in addresses.values() for address in hosts]
    for address in everything:
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdigit():
            raise InputError("the cluster's address {!r} is not host:port".format(address))
        if everything.count(address) > 1:
            raise InputError("the cluster names {} twice; each process needs a port of its own".format(address))
    if everything and len(addresses.get("chief", [])) != 1:
        raise InputError("the cluster has {} chiefs; it must have one".format(len(addresses.get("chief", []))))

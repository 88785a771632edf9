"""Who is who in a cluster: the YAML, TF_CONFIG, and devices of towers on workers."""
import json
import logging
import socket

import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.training import cluster as clusters
from slim_retrieval.training.machines import worker_devices

YAML = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "task": "worker:1", "timeout": 5}
NONE = {"chief": [], "worker": [], "task": "", "timeout": 5}
HOSTS = {"chief": ["x:2"], "worker": ["y:2", "z:2"]}


def tf_config(job="chief", index=0, hosts=None):
    return json.dumps({"cluster": HOSTS if hosts is None else hosts, "task": {"type": job, "index": index}})


def test_one_machine_is_no_cluster():
    assert clusters.read_cluster(NONE) is None
    assert clusters.read_cluster(NONE, tf_config(hosts={"chief": ["x:2"]})) is None
    assert clusters.read_cluster(NONE, "{}") is None


def test_the_yaml_and_tf_config_which_goes_before_it():
    found = clusters.read_cluster(YAML)
    assert (found.addresses, found.job, found.index, found.timeout) == (
        {"chief": ["a:1"], "worker": ["b:1", "c:1"]}, "worker", 1, 5)
    found = clusters.read_cluster(YAML, tf_config())
    assert (found.addresses, found.job, found.index) == (HOSTS, "chief", 0)
    found = clusters.read_cluster(YAML, json.dumps({"task": {"type": "worker", "index": 0}}))
    assert (found.addresses["worker"], found.index) == (["b:1", "c:1"], 0)


@pytest.mark.parametrize("changes, text, message", [
    ({"task": ""}, "", "which machine .* cluster.task .* is ''; it must be chief:0 or worker:0 to worker:1"),
    ({"task": "worker:2"}, "", "is 'worker:2'; it must be"),
    ({"task": "worker:one"}, "", "is 'worker:one'; it must be"),
    ({"chief": []}, "", "has 0 chiefs; it must have one"),
    ({"worker": ["b:1", "b:1"]}, "", "names b:1 twice"),
    ({"worker": ["b"]}, "", "address 'b' is not host:port"),
    ({}, "{", "TF_CONFIG is not the JSON"),
    ({}, "[]", "TF_CONFIG is not the JSON"),
    ({}, tf_config(hosts=dict(HOSTS, ps=["w:1"])), "names the job 'ps'; there are chief"),
    ({}, tf_config("evaluator"), "is 'evaluator:0'; it must be"),
    ({}, tf_config("worker", -1), "is 'worker:-1'; it must be")])
def test_mistakes_are_one_line(changes, text, message):
    with pytest.raises(InputError, match=message) as error:
        clusters.read_cluster(dict(YAML, **changes), text)
    assert "\n" not in str(error.value)


def test_who_answers():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{}".format(listener.getsockname()[1])
        assert not clusters.answers(address)
        listener.listen(8)
        assert clusters.answers(address)
        group = clusters.Cluster({"chief": ["127.0.0.1:1"], "worker": [address, "127.0.0.1:1"]}, "chief", 0, 0)
        assert clusters.missing(group, "worker") == ["worker 1 (127.0.0.1:1)"]
        with pytest.raises(InputError, match="no answer from worker 1 .* within 0 s"):
            clusters.wait_for_workers(group, logging.getLogger("test"))


def test_towers_on_workers():
    present = ["/job:chief/replica:0/task:0/device:CPU:0", "/job:worker/replica:0/task:0/device:GPU:0",
               "/job:worker/replica:0/task:0/device:GPU:1", "/job:worker/replica:0/task:1/device:CPU:0"]
    assert worker_devices(2, {"devices": [], "num_clones": 0}, present) == [
        "/job:worker/task:0/gpu:0", "/job:worker/task:0/gpu:1", "/job:worker/task:1/cpu:0"]
    assert worker_devices(1, {"devices": [], "num_clones": 2}, present[3:]) == [
        "/job:worker/task:0/cpu:0", "/job:worker/task:0/cpu:1"]
    given = ["/job:worker/task:1/gpu:0", "/job:worker/task:0/gpu:0", "/job:worker/task:1/gpu:1"]
    assert worker_devices(2, {"devices": given}, present) == [given[1], given[0], given[2]]
    with pytest.raises(InputError, match="gives worker 0 no tower"):
        worker_devices(2, {"devices": given[:1]}, present)
    with pytest.raises(InputError, match="'/gpu:0' names no worker"):
        worker_devices(2, {"devices": ["/gpu:0"]}, present)

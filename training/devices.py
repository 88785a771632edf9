"""Which devices the towers run on, and the session that offers them."""
import logging

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf

log = logging.getLogger(__name__)

# Variables live on the CPU unless `training.variables` says otherwise: every tower reads one copy, no GPU is special.
VARIABLE_DEVICE = "/cpu:0"
_VARIABLE_OPS = ("Variable", "VariableV2", "VarHandleOp", "AutoReloadVariable")


def tower_devices(num_clones, devices):
    """Return a device string for each tower.

    Args:
      num_clones: towers; 0: one for each visible GPU, or one on the CPU.
      devices: explicit device strings; empty: GPUs when there are any, else virtual CPU devices.

    Raises:
      InputError: the counts contradict each other.
    """
    if devices:
        if num_clones not in (0, 1, len(devices)):
            raise InputError("training.num_clones is {} but training.devices lists {}; leave one of them out".format(
                num_clones, len(devices)))
        return list(devices)
    gpus = len(tf.config.experimental.list_physical_devices("GPU"))
    if gpus:
        if num_clones > gpus:
            raise InputError("training.num_clones is {} but {} GPUs are visible; lower it, or list devices "
                             "(one may be named twice) in training.devices".format(num_clones, gpus))
        return ["/gpu:{}".format(i) for i in range(num_clones or gpus)]
    return ["/cpu:{}".format(i) for i in range(num_clones or 1)]


def open_session(devices):
    """Return a session in the current graph that has every device in `devices`; say what runs where.

    CPU devices beyond the first are virtual. Soft placement lets an operation without a GPU kernel run on the CPU.

    Raises:
      InputError: a tower's device does not exist here (soft placement alone would move it in silence).
    """
    cpus = 1 + max([_index(d) for d in devices if "cpu" in d.lower()] or [0])
    config = tf.ConfigProto(allow_soft_placement=True, device_count={"CPU": cpus})
    config.gpu_options.allow_growth = True
    session = tf.Session(config=config)
    check_devices(session, devices)
    return session


def check_devices(session, devices):
    """Log where each tower runs.

    Raises:
      InputError: a tower's device does not exist (soft placement alone would move it in silence).
    """
    present = [d.name for d in session.list_devices() if "XLA" not in d.name]
    for number, device in enumerate(devices):
        task = ("/" + device.lstrip("/")).rsplit("/", 1)[0].replace("/task:", "/replica:0/task:") + "/"
        wanted = "device:{}:{}".format("GPU" if "gpu" in device.lower() else "CPU", _index(device))
        actual = [name for name in present if name.startswith(task) and name.endswith(wanted)]
        if not actual:
            session.close()
            raise InputError("tower {} is to run on {}, which this machine does not have; it has {}".format(
                number, device, ", ".join(present)))
        log.info("tower %d runs on %s", number, actual[0])


def where_variables_are(variables, devices):
    """Return `training.variables`, "cpu" or "spread", with `auto` decided: on this machine's GPU where all towers are.

    Args:
      devices: a device string for each tower.
    """
    if variables != "auto":
        return variables
    shared = len(set(devices)) == 1 and "gpu" in devices[0].lower() and "/job:" not in devices[0]
    return "spread" if shared else "cpu"


def tower_device(device, place=None):
    """Return a device function: variables go to the CPU or where `place(operation)` says, all else to `device`."""
    def choose(operation):
        if operation.type in _VARIABLE_OPS:
            return place(operation) if place else VARIABLE_DEVICE
        return device
    return choose


def spread(devices):
    """Return `place` for `tower_device`: each variable goes to the device that holds the fewest bytes so far."""
    loads, placed = dict.fromkeys(devices, 0), {}

    def place(operation):
        if operation.name not in placed:
            device = placed[operation.name] = min(devices, key=loads.get)
            shape, dtype = operation.get_attr("shape"), tf.as_dtype(operation.get_attr("dtype"))
            loads[device] += dtype.size * int(np.prod([dim.size for dim in shape.dim]))
        return placed[operation.name]
    return place


def _index(device):
    text = device.rsplit(":", 1)[-1]
    if not text.isdigit():
        raise InputError("training.devices: {!r} is not a device such as /gpu:0 or /cpu:1".format(device))
    return int(text)

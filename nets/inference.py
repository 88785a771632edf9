"""A frozen network on one device or on several, each of which computes a batch of its own."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets import precision as precisions
from slim_retrieval.nets.frozen import connect


class Inference:
    """Batches of images in, lists of outputs out. It holds a session: close it.

    Attributes:
      devices: full names of the devices; one may be there several times, it then computes several batches at once.
    """

    def __init__(self, frozen, side=None, devices=(), precision="float32"):
        """Put `frozen` (frozen.Frozen) on each device.

        Args:
          side: of the square images; None: of any size.
          devices: such as ["/gpu:0", "/gpu:1"]; empty: all GPUs, or the CPU.
          precision: float32, bfloat16 or float16.

        Raises:
          InputError: a device or a precision that is not to be had here.
        """
        devices = resolve(devices, precision)
        numbers = [number for kind, number in map(precisions.parse_device, devices) if kind == "CPU"]
        config = tf.ConfigProto(allow_soft_placement=True, device_count={"CPU": 1 + max(numbers or [0])})
        config.gpu_options.allow_growth = True
        frozen = precisions.prepare(frozen, config, precision)
        with tf.Graph().as_default():
            towers = {device: _tower(frozen, side, device) for device in devices}
            self._session = tf.Session(config=config)
        self._pool = ThreadPoolExecutor(len(devices))
        try:
            self.devices = _present(self._session, devices)
        except InputError:
            self.close()
            raise
        # Each tower takes uint8 images, or float32 ones in the place of what they are cast to.
        runs = {device: [self._session.make_callable(list(outputs), [feed]) for feed in feeds]
                for device, (feeds, outputs) in towers.items()}
        self._runs = [runs[device] for device in devices]

    def __call__(self, images, tower=0):
        """Return the outputs [B, d] for one batch of images [B, H, W, 3], uint8 or float32."""
        as_bytes, as_floats = self._runs[tower % len(self._runs)]
        return as_bytes(images) if images.dtype == np.uint8 else as_floats(images)

    def map(self, function, batches):
        """Yield function(batch, tower) for each of `batches`, in their order; as many at once as there are devices.

        A batch's place decides its device, so that all is the same when it is done again.
        """
        return self._pool.map(function, batches, (number % len(self._runs) for number in range(len(batches))))

    def close(self):
        """End the session."""
        self._pool.shutdown()
        self._session.close()


def resolve(devices, precision):
    """Return `devices`, or where there are none all GPUs, or the CPU; refuse those that cannot run in `precision`."""
    gpus = 0 if devices else len(tf.config.experimental.list_physical_devices("GPU"))
    found = list(devices) or ["/gpu:{}".format(number) for number in range(gpus)] or ["/cpu:0"]
    precisions.check(precision, found)
    return found


def _tower(frozen, side, device):
    """Return ((uint8 placeholder, the same as float32), outputs) of a copy of the network on `device`."""
    with tf.device(device), tf.name_scope("tower") as scope:  # TensorFlow numbers the further ones
        images = tf.placeholder(tf.uint8, [None, side, side, 3])
        floats = tf.cast(images, tf.float32)
        return (images, floats), connect(frozen, floats, name=scope.rstrip("/"))


def _present(session, devices):
    """Return the full names; soft placement alone would move what is not there in silence."""
    present = [d.name for d in session.list_devices() if "XLA" not in d.name]
    found = []
    for device in devices:
        wanted = "device:{}:{}".format(*precisions.parse_device(device))
        found += [name for name in present if name.endswith(wanted)][:1]
        if not found or not found[-1].endswith(wanted):
            raise InputError("extraction.devices has {}, which this machine does not have; it has {}".format(
                device, ", ".join(present)))
    return found

"""Devices and numbers of fewer bits: what is to be had, and how a frozen network is made to run so."""
import re

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.bfloat16 import to_bfloat16

CPU_FILE = "/proc/cpuinfo"
# x86: avx512_bf16, amx_bf16; ARM: bf16.
_CPU_FLAG = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")
_DEVICE = re.compile(r"^/?(?:DEVICE:)?(CPU|GPU):(\d+)$")
_REFUSED = "extraction.precision is {}, but {}; take {}"


def parse_device(device):
    """Return ("CPU" or "GPU", number) of a name such as /gpu:0 or /device:GPU:0.

    Raises:
      InputError: it is none.
    """
    found = _DEVICE.match(device.upper())
    if not found:
        raise InputError("extraction.devices: {!r} is not a device such as /gpu:0 or /cpu:1".format(device))
    return found.group(1), int(found.group(2))


def check(precision, devices):
    """Refuse a precision that is not to be had on the devices, or only slower than float32.

    Args:
      precision: float32; bfloat16, for CPUs with its instructions and TensorFlow 2; float16, for GPUs.
    """
    kinds = {parse_device(device)[0]: device for device in devices}
    if precision == "float16" and "CPU" in kinds:
        raise InputError(_REFUSED.format(precision, "TensorFlow has it for GPUs alone and {} is to be used".format(
            kinds["CPU"]), "bfloat16 or float32"))
    if precision != "bfloat16":
        return
    if "GPU" in kinds:
        raise InputError(_REFUSED.format(precision, "it is for CPUs here and {} is to be used".format(kinds["GPU"]),
                                         "float16 or float32"))
    if tf.__version__.startswith("1."):
        raise InputError(_REFUSED.format(precision, "TensorFlow {} has none for CPUs".format(tf.__version__),
                                         "float32, or TensorFlow 2"))
    if not _cpu_has_bfloat16():
        raise InputError(_REFUSED.format(precision, "this CPU has neither AVX512-BF16 nor AMX and would be slower",
                                         "float32"))


def prepare(frozen, config, precision):
    """Return `frozen` as it is to run in `precision`; for float16 TensorFlow's own rewriting is set in `config`."""
    if precision == "float16":
        config.graph_options.rewrite_options.auto_mixed_precision = 1
    return to_bfloat16(frozen) if precision == "bfloat16" else frozen


def _cpu_has_bfloat16():
    try:
        with open(CPU_FILE) as stream:
            return bool(_CPU_FLAG.search(stream.read()))
    except OSError:
        return False

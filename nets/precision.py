"""Networks in numbers of fewer bits: where that is to be had, and how a frozen network is made to run so."""
import re

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.nets.bfloat16 import to_bfloat16

CPU_FILE = "/proc/cpuinfo"
# x86: avx512_bf16, amx_bf16; ARM: bf16.
_CPU_FLAG = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")
_REFUSED = "extraction.precision is {}, but {}; take {}"


def kind(device):
    """Return "GPU" or "CPU" of a device's name such as /gpu:0."""
    return "GPU" if "gpu" in device.lower() else "CPU"


def prepare(frozen, config, precision, devices):
    """Return `frozen` as it is to run in `precision`; for float16 TensorFlow's own rewriting is set in `config`.

    Args:
      frozen: frozen.Frozen.
      config: ConfigProto of the session to come.
      precision: float32; bfloat16, for CPUs with its instructions and TensorFlow 2; float16, for GPUs.
      devices: where it is to run.

    Raises:
      InputError: the precision is not to be had there, or only slower than float32.
    """
    kinds = {kind(device): device for device in devices}
    if precision == "float16":
        if "CPU" in kinds:
            raise InputError(_REFUSED.format(precision, "TensorFlow has it for GPUs alone and {} is to be used".format(
                kinds["CPU"]), "bfloat16 or float32"))
        config.graph_options.rewrite_options.auto_mixed_precision = 1
    if precision == "bfloat16":
        if "GPU" in kinds:
            raise InputError(_REFUSED.format(precision, "it is for CPUs here and {} is to be used".format(
                kinds["GPU"]), "float16 or float32"))
        if tf.__version__.startswith("1."):
            raise InputError(_REFUSED.format(precision, "TensorFlow {} has none for CPUs".format(tf.__version__),
                                             "float32, or TensorFlow 2"))
        if not _cpu_has_bfloat16():
            raise InputError(_REFUSED.format(precision, "this CPU has neither AVX512-BF16 nor AMX and would be slower",
                                             "float32"))
        return to_bfloat16(frozen)
    return frozen


def _cpu_has_bfloat16():
    try:
        with open(CPU_FILE) as stream:
            return bool(_CPU_FLAG.search(stream.read()))
    except OSError:
        return False

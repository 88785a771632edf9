"""Networks in numbers of fewer bits: TensorFlow's own rewriting of a graph, and whether it had any effect.

The rewriting (grappler's auto_mixed_precision) leaves to float32 what is sensitive: sums, powers, normalisation. What
comes out is float32 again.
"""
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.tensorflow import tf

# (precision, kind of device): the field of RewriterConfig that does it.
_REWRITERS = {("bfloat16", "CPU"): "auto_mixed_precision_onednn_bfloat16", ("float16", "GPU"): "auto_mixed_precision"}
_OTHER = {"bfloat16": "on GPUs take float16", "float16": "on CPUs take bfloat16"}


def kind(device):
    """Return "GPU" or "CPU" of a device's name such as /gpu:0."""
    return "GPU" if "gpu" in device.lower() else "CPU"


def configure(config, precision, devices):
    """Have sessions of `config` (ConfigProto) run in `precision` on `devices`.

    Raises:
      InputError: TensorFlow does not offer it there.
    """
    if precision == "float32":
        return
    rewriting = config.graph_options.rewrite_options
    for device in devices:
        field = _REWRITERS.get((precision, kind(device)))
        if field is None:
            raise InputError("extraction.precision is {}, but {} is to be used, where TensorFlow cannot run it; {}, or "
                             "float32".format(precision, device, _OTHER[precision]))
        if not hasattr(rewriting, field):
            raise InputError("extraction.precision is {}, but TensorFlow {} has it for no {}; take float32, or "
                             "TensorFlow 2.15 or later".format(precision, tf.__version__, kind(device)))
        setattr(rewriting, field, rewriting.ON)


def check(session, output, feed, precision):
    """Refuse a precision that the session's graph does not have after all, as on a CPU without the instructions.

    Raises:
      InputError: no operation on the way to `output` runs in it.
    """
    if precision == "float32":
        return
    ran = tf.RunMetadata()
    session.run(output, feed, tf.RunOptions(output_partition_graphs=True), ran)
    wanted = tf.as_dtype(precision).as_datatype_enum
    if not any("T" in node.attr and node.attr["T"].type == wanted
               for graph in ran.partition_graphs for node in graph.node):
        raise InputError("extraction.precision is {}, but TensorFlow runs nothing in it here: bfloat16 needs oneDNN "
                         "and a CPU with AVX512-BF16 or AMX; take float32".format(precision))

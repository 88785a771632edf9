"""File formats of exported networks: how each is written, and how its own runtime reads it back.

A writer takes (session, images, outputs, path): a session without variables, a placeholder and named tensors of its
graph. A runner takes (path, images, names) and gives {name: array}.
"""
import contextlib
import os
import sys
import warnings
from collections import namedtuple

from slim_retrieval.common.tensorflow import tf

# ending: what stands behind the output's name; needs: modules beyond TensorFlow, of the extra `export`; batch: images
# at a time, None: any number.
Format = namedtuple("Format", "ending write run needs batch")

# What TensorFlow 1.15's tf2onnx and onnxruntime know, too.
OPSET = 13


def write_saved_model(session, images, outputs, path):
    """Write a SavedModel whose signature serving_default has the input and outputs by their names."""
    tf.saved_model.simple_save(session, path, {images.op.name: images}, {out.op.name: out for out in outputs})


def run_saved_model(path, images, names):
    """As TensorFlow Serving: by the signature."""
    with tf.Graph().as_default(), tf.Session() as session:
        meta = tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING], path)
        signature = meta.signature_def["serving_default"]
        return session.run({name: signature.outputs[name].name for name in names},
                           {signature.inputs["images"].name: images})


def write_frozen(session, images, outputs, path):
    """Write the GraphDef."""
    with open(path, "wb") as stream:
        stream.write(session.graph.as_graph_def().SerializeToString())


def run_frozen(path, images, names):
    """By the tensors' names."""
    graph_def = tf.GraphDef()
    with open(path, "rb") as stream:
        graph_def.ParseFromString(stream.read())
    with tf.Graph().as_default(), tf.Session() as session:
        tf.import_graph_def(graph_def, name="")
        return session.run({name: name + ":0" for name in names}, {"images:0": images})


def write_tflite(session, images, outputs, path):
    """Write a TFLite file of float32 for one image at a time."""
    graph_def = _without_maximum(session.graph.as_graph_def())
    with tf.Graph().as_default(), tf.Session() as plain, _programs_on_path():
        image = tf.placeholder(tf.float32, [1] + images.shape.as_list()[1:], images.op.name)
        tensors = tf.import_graph_def(graph_def, {images.name: image}, [out.name for out in outputs], name="graph")
        tensors = [tf.identity(tensor, out.op.name) for tensor, out in zip(tensors, outputs)]
        converted = tf.lite.TFLiteConverter.from_session(plain, [image], tensors).convert()
    with open(path, "wb") as stream:
        stream.write(converted)


def run_tflite(path, images, names):
    """By TensorFlow's interpreter, one image."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the interpreter also comes as a package of its own
        interpreter = tf.lite.Interpreter(model_path=path)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    interpreter.invoke()
    return {out["name"]: interpreter.get_tensor(out["index"]) for out in interpreter.get_output_details()}


def _without_maximum(graph_def):
    """Return the graph with max(x, c), c a constant, as relu(x - c) + c.

    XNNPACK, by which TFLite runs on CPUs, refuses a maximum behind a convolution (seen with TensorFlow 2.21): the
    floor of GeM.
    """
    result = tf.GraphDef()
    result.CopyFrom(graph_def)
    constants = {node.name for node in result.node if node.op == "Const"}
    for node in [n for n in result.node if n.op == "Maximum" and n.input[1] in constants]:
        floor = node.input[1]
        above = result.node.add(name=node.name + "/above", op="Sub", input=[node.input[0], floor])
        positive = result.node.add(name=node.name + "/positive", op="Relu", input=[above.name])
        for new in (above, positive):
            new.attr["T"].CopyFrom(node.attr["T"])
        node.op, node.input[0] = "Add", positive.name
    return result


@contextlib.contextmanager
def _programs_on_path():
    """TensorFlow 1.15's converter calls a program beside Python's by its bare name."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def write_onnx(session, images, outputs, path):
    """Write an ONNX file."""
    import tf2onnx
    tf2onnx.convert.from_graph_def(
        session.graph.as_graph_def(), name="slim_retrieval", input_names=[images.name],
        output_names=[out.name for out in outputs], opset=OPSET, output_path=path,
        tensors_to_rename={tensor.name: tensor.op.name for tensor in [images] + list(outputs)})


def run_onnx(path, images, names):
    """By ONNX Runtime on the CPU."""
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(list(names), {"images": images})))


FORMATS = {
    "saved_model": Format(".saved_model", write_saved_model, run_saved_model, [], None),
    "frozen": Format(".pb", write_frozen, run_frozen, [], None),
    "tflite": Format(".tflite", write_tflite, run_tflite, [], 1),
    "onnx": Format(".onnx", write_onnx, run_onnx, ["tf2onnx", "onnxruntime"], None),
}

"""Images per second of feature extraction from JPEG files, beside what bounds it and beside Keras and PyTorch.

    python benchmarks/extraction_speed.py [--output extraction_speed.csv] [--networks resnet_v1_50 mobilenet_v2]

Photographs are drawn (--photo, JPEG quality 90) into a temporary folder; the networks take 224 x 224 and have random
weights (whose features are all much alike: --checkpoint gives a truer cosine). Measured are, each on the same images,
--repeats times in turn, of which the best counts:

    ceiling         a bare session on the frozen graph (batch norm folded), the images decoded and in memory
    ours            from the files to features.npy, as extract_features.py does it
    decode          only the first part of that: files to 224 x 224 pixels, --workers at once
    ... draft       ours and decode with extraction.draft 1
    ... bfloat16    the ceiling and ours with extraction.precision bfloat16, or float16 on GPUs, where that is to be had
    keras           tf_keras.applications' predict, and torch: torchvision's network, where they are installed, the
                    images in memory, each in a process of its own that waits meanwhile

Seconds of the processor (all cores added) are given beside those of the clock: on a machine with other work they are
the steadier figure. The last line of a network says what the two parts together allow at most. A few minutes on two
cores, below 2 GB.
"""
import argparse
import collections
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import csv_rows
import numpy as np
from PIL import Image

from slim_retrieval.common import feature_store
from slim_retrieval.common.errors import InputError, command

SIDE = 224
COLUMNS = ["network", "contestant", "images_per_second", "processor_ms_per_image", "of_ceiling", "cosine"]
ELSEWHERE = ["keras", "torch"]


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="extraction_speed.csv", help="CSV to write")
    parser.add_argument("--networks", nargs="+", default=["resnet_v1_50", "mobilenet_v2"], help="networks to measure")
    parser.add_argument("--images", type=int, default=192, help="number of photographs")
    parser.add_argument("--photo", type=int, nargs=2, default=[480, 640], help="their height and width")
    parser.add_argument("--batch", type=int, default=32, help="images a batch")
    parser.add_argument("--workers", type=int, default=2, help="threads that decode (data.workers)")
    parser.add_argument("--devices", nargs="*", default=[], help="ours: extraction.devices, such as /cpu:0 /cpu:0")
    parser.add_argument("--checkpoint", help="slim checkpoint of the one network, in the place of random weights")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the best counts")
    parser.add_argument("--serve", choices=ELSEWHERE, help=argparse.SUPPRESS)
    flags = parser.parse_args(argv)
    if flags.serve:
        serve(flags)
        return
    rows = []
    for name in flags.networks:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            rows += measure(name, flags, contestants(name, flags, folder, stack))
    csv_rows.write(flags.output, COLUMNS, rows)
    print("written: " + flags.output)


def measure(name, flags, runs):
    """Run the contestants ({name: function}) in turn, print and return rows of the table."""
    best, features = {}, {}
    for repeat in range(flags.repeats + 1):  # the first time is for warming up
        for contestant, run in runs.items():
            clock, features[contestant] = run()
            if repeat:
                best[contestant] = np.minimum(best.get(contestant, np.inf), clock)
    rows = []
    for contestant, (seconds, processor) in best.items():
        rows.append({"network": name, "contestant": contestant,
                     "images_per_second": round(flags.images / seconds, 2),
                     "processor_ms_per_image": round(1e3 * processor / flags.images, 2),
                     "of_ceiling": round(best["ceiling"][0] / seconds, 3),
                     "cosine": cosine(features["ceiling"], features[contestant])})
        print("{network:<14}{contestant:<20}{images_per_second:>8.1f} images/s  {processor_ms_per_image:>7.1f} ms of "
              "processor each  x {of_ceiling:.2f} of the ceiling  {cosine}".format(**rows[-1]), flush=True)
    compute, decode = (1e3 * best[key][1] / flags.images for key in ("ceiling", "decode"))
    print("{}: {:.1f} ms of processor to compute and {:.1f} to decode: where all cores are busy, at most {:.2f} of the "
          "ceiling".format(name, compute, decode, compute / (compute + decode)))
    return rows


def contestants(name, flags, folder, stack):
    """Return {contestant: function that gives ((seconds, processor seconds), features or None)}."""
    from slim_retrieval.datasets.folder import read_folder
    from slim_retrieval.nets.extraction import SQUARE, FeatureNetwork
    from slim_retrieval.nets.inference import Inference
    draw_photos(os.path.join(folder, "photos"), flags.images, flags.photo)
    table = read_folder(os.path.join(folder, "photos"))
    checkpoint, options = random_checkpoint(name, folder)
    checkpoint = flags.checkpoint or checkpoint
    pixels = np.concatenate([images for _, _, images in shards(table, flags)])
    batches = np.split(pixels, range(flags.batch, len(pixels), flags.batch))

    def build(precision):
        running = dict(SQUARE, precision=precision, devices=flags.devices)
        return stack.enter_context(FeatureNetwork(checkpoint, options, running=running))

    def ours(network, draft=0.0):
        return timed(lambda: extract(network, table, flags, folder, draft))

    def bare(frozen, precision):
        inference = Inference(frozen, SIDE, precision=precision)
        stack.callback(inference.close)
        return timed(lambda: np.concatenate([inference(images)[0] for images in batches]))

    network = build("float32")
    runs = {"ceiling": bare(network.freeze(), "float32"), "ours": ours(network), "ours draft": ours(network, 1.0),
            "decode": timed(lambda: collections.deque(shards(table, flags), 0)),
            "decode draft": timed(lambda: collections.deque(shards(table, flags, 1.0), 0))}
    kind = "float16" if any("GPU" in device.upper() for device in network.devices) else "bfloat16"
    try:
        low = build(kind)
        runs.update({"ceiling " + kind: bare(network.freeze(), kind), "ours " + kind: ours(low),
                     "ours {} draft".format(kind): ours(low, 1.0)})
    except InputError as error:
        print(error)
    runs.update({other: run for other in ELSEWHERE for run in elsewhere(other, name, flags, stack)})
    return runs


def shards(table, flags, draft=0.0):
    """Return the iterator over the images, as extraction has it."""
    from slim_retrieval.datasets.pipeline import image_shards
    at_once = flags.batch * max(1, len(flags.devices))
    return image_shards(table, lambda *_: (SIDE, SIDE), at_once, workers=flags.workers, draft=draft)


def extract(network, table, flags, folder, draft):
    """Take the features of all images from the files into a feature store, and return them."""
    path = os.path.join(folder, "features", "query")
    writer = feature_store.FeatureWriter(path, network.width, "key")
    for end, _, images in shards(table, flags, draft):
        writer.append(network.of_list(images, flags.batch)[0], end - writer.next_row)
    writer.finish({"path": table.paths}, {})
    return np.load(os.path.join(path, "features.npy"))


def timed(function):
    """Return the function that gives ((seconds, processor seconds), what `function` returns)."""
    def run():
        start, processor = time.perf_counter(), time.process_time()
        result = function()
        return (time.perf_counter() - start, time.process_time() - processor), result
    return run


def cosine(expected, found):
    """Return the least cosine between rows, as text; nothing where there are no rows."""
    if not isinstance(found, np.ndarray):
        return ""
    dots = (expected.astype(np.float64) * found).sum(axis=1)
    return "{:.6f}".format((dots / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)).min())


def draw_photos(folder, count, photo):
    """Write JPEG files of smooth shapes with grain: about 90 kB each for 480 x 640."""
    os.makedirs(os.path.join(folder, "all"))

    def draw(number):
        random, pixels = np.random.RandomState(number), np.zeros(tuple(photo) + (3,))
        for size in (8, 32, 128):
            coarse = random.randint(0, 256, (photo[0] // size + 2, photo[1] // size + 2, 3)).astype(np.uint8)
            pixels += np.asarray(Image.fromarray(coarse).resize(photo[::-1], Image.BICUBIC)) / 3.0
        pixels = np.clip(pixels + 6 * random.standard_normal(pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(os.path.join(folder, "all", "{:04d}.jpg".format(number)), quality=90)

    with ThreadPoolExecutor() as pool:
        collections.deque(pool.map(draw, range(count)), 0)


def random_checkpoint(name, folder):
    """Write a checkpoint of random weights and batch-norm statistics; return (prefix, dict of ModelConfig).

    Statistics as at the start of training would not do: the zeros drop out of the folded graph and make another one.
    Gammas below 1 keep the activations of ResNets within float16's range; with a mean of 1 they reach 7e6.
    """
    import dataclasses

    from slim_retrieval.common.model_schema import ModelConfig
    from slim_retrieval.common.tensorflow import tf
    from slim_retrieval.nets.model import build_model
    options, random = dict(dataclasses.asdict(ModelConfig()), network=name, image_size=SIDE), np.random.RandomState(0)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        build_model(tf.placeholder(tf.float32, [None, SIDE, SIDE, 3]), options)
        session.run(tf.global_variables_initializer())
        for variable in tf.global_variables():
            shape, kind = variable.shape.as_list(), variable.op.name.split("/")[-1]
            if kind == "gamma":
                variable.load(random.uniform(0.2, 0.8, shape), session)
            elif kind == "moving_variance":
                variable.load(random.uniform(0.5, 1.5, shape), session)
            elif kind in ("beta", "moving_mean"):
                variable.load(0.1 * random.standard_normal(shape), session)
        return tf.train.Saver().save(session, os.path.join(folder, "model.ckpt")), options


def elsewhere(other, name, flags, stack):
    """Give the function that times `other` in a process of its own; nothing where it is not installed."""
    process = subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), "--serve", other, "--networks", name, "--images",
         str(flags.images), "--batch", str(flags.batch)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True)
    stack.callback(process.stdin.close)
    if process.stdout.readline().strip() != "ready":
        print("{}: not installed here, or without {}".format(other, name))
        return

    def run():
        process.stdin.write("\n")
        process.stdin.flush()
        return [float(word) for word in process.stdout.readline().split()], None
    yield run


def serve(flags):
    """In the other process: run once for each line that comes in, and write the two times."""
    batches = np.random.RandomState(0).uniform(-1, 1, (flags.images, SIDE, SIDE, 3)).astype(np.float32)
    run = timed({"keras": keras, "torch": torch}[flags.serve](flags.networks[0], batches, flags.batch))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(*run()[0], flush=True)


def keras(name, images, batch):
    """Return the function that runs Keras' network over all images."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tf_keras
    except ImportError:  # TensorFlow 1.15 has it within
        from tensorflow import keras as tf_keras
    build = {"resnet_v1_50": "ResNet50", "mobilenet_v2": "MobileNetV2"}[name]
    model = getattr(tf_keras.applications, build)(weights=None, include_top=False, pooling="avg",
                                                  input_shape=(SIDE, SIDE, 3))
    return lambda: model.predict(images, batch_size=batch, verbose=0)


def torch(name, images, batch):
    """Return the function that runs torchvision's network over all images."""
    import torch as pytorch
    import torchvision
    build = {"resnet_v1_50": "resnet50", "mobilenet_v2": "mobilenet_v2"}[name]
    model = getattr(torchvision.models, build)(weights=None).eval()
    tensors = pytorch.from_numpy(images.transpose(0, 3, 1, 2).copy()).split(batch)

    def run():
        with pytorch.inference_mode():
            for part in tensors:
                model(part)
    return run


if __name__ == "__main__":
    main()

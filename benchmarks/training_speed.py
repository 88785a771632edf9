"""Images a second of the training loop, beside a bare session loop over the same graph with its data in memory.

    python benchmarks/training_speed.py [--output training_speed.csv] [--towers 1 2 4] [--steps 100] [--repeats 3]
    python benchmarks/training_speed.py --network mobilenet_v2 --size 224 --batch 16 --steps 20
    python benchmarks/training_speed.py --network resnet_v1_50 --size 224 --towers 1 --precision bfloat16 --workers 8

    ours     train() of training/loop.py as train_multi_gpu.py calls it: sampler, loader threads, crops and flips,
             progress, the loss checked at each step, scalars logged every 50; images come decoded from memory
    bare     the same towers and the same train op on batches that are constants of the graph, and nothing but
             `for step in range(steps): session.run(train_op)`

Both run in turn, --repeats times, after a warm-up that holds the first logged step (TensorFlow plans a run anew for
each set of fetches); of each the best counts, by the clock and by processor time (which says what the loop costs where
other programs are at work, too). The ratio is ours / bare. Building the graph and saving are left out.
"""
import argparse
import os
import tempfile
import time

import csv_rows
import numpy as np

from slim_retrieval.common import config as configuration
from slim_retrieval.common.errors import command
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.table import ImageTable
from slim_retrieval.datasets.training_set import training_loader
from slim_retrieval.training import loop, precision, summaries
from slim_retrieval.training.devices import VARIABLE_DEVICE, open_session, tower_devices, where_variables_are
from slim_retrieval.training.towers import build_towers
from slim_retrieval.training.update import build_update

CLASSES, IMAGES, BATCHES, K = 40, 2000, 4, 4
COLUMNS = ["towers", "ours", "bare", "ratio", "ours_cpu", "bare_cpu", "ratio_cpu"]


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="training_speed.csv", help="CSV to write")
    parser.add_argument("--network", default="small_cnn", help="as model.network")
    parser.add_argument("--size", type=int, default=32, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=64, help="images a step, over all towers")
    parser.add_argument("--towers", type=int, nargs="+", default=[1, 2, 4], help="numbers of towers")
    parser.add_argument("--devices", nargs="+", default=[], help="instead: the towers' devices, such as /gpu:0 /gpu:0")
    parser.add_argument("--precision", default="float32", help="as training.precision")
    parser.add_argument("--variables", default="auto", help="as training.variables")
    parser.add_argument("--workers", type=int, default=2, help="as data.workers")
    parser.add_argument("--steps", type=int, default=100, help="steps that are timed")
    parser.add_argument("--warmup", type=int, default=50, help="steps before, at least up to the first that logs")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the best counts")
    flags = parser.parse_args(argv)
    rows = []
    for towers in [len(flags.devices)] if flags.devices else flags.towers:
        rows.append(measure(towers, flags))
        print("{towers} towers: ours {ours:.1f} images/s, bare {bare:.1f}, ratio {ratio:.3f}; by processor time "
              "{ours_cpu:.1f}, {bare_cpu:.1f}, ratio {ratio_cpu:.3f}".format(**rows[-1]), flush=True)
    csv_rows.write(flags.output, COLUMNS, rows)
    print("written: " + flags.output)
    return rows


def measure(towers, flags):
    """Return a row of the table: images a second, by the clock and by processor time."""
    options = training_options(towers, flags)
    best = {"ours": [0.0, 0.0], "bare": [0.0, 0.0]}
    for _ in range(flags.repeats):
        for name, run in (("ours", ours), ("bare", bare)):
            seconds = run(options, flags)
            best[name] = [max(b, flags.steps * flags.batch / s) for b, s in zip(best[name], seconds)]
    row = {"towers": towers}
    for i, suffix in enumerate(("", "_cpu")):
        row.update({name + suffix: round(best[name][i], 2) for name in best})
        row["ratio" + suffix] = round(best["ours"][i] / best["bare"][i], 4)
    return row


def training_options(towers, flags):
    """Return a whole configuration as plain dicts."""
    options = configuration.to_plain(configuration.resolve(None, {}))
    options["model"].update(network=flags.network, image_size=flags.size)
    options["data"].update(crop_padding=2, flip=True, workers=flags.workers)
    options["losses"] = [dict(options["losses"][0], name=name) for name in ("softmax", "triplet_batch_hard")]
    options["training"].update(steps=flags.warmup + flags.steps, classes_per_batch=flags.batch // K, images_per_class=K,
                               num_clones=towers, pictures_every_steps=0, devices=flags.devices,
                               precision=flags.precision, variables=flags.variables)
    return options


def table_in_memory(size):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (IMAGES, size, size, 3)).astype(np.uint8)
    return ImageTable([str(i) for i in range(IMAGES)], {"label": [str(i % CLASSES) for i in range(IMAGES)]},
                      images.__getitem__)


def ours(options, flags):
    """Return (seconds, processor seconds) of the timed steps of the training loop."""
    loader, classes = training_loader(table_in_memory(flags.size), ["label"], options)
    times = {}
    wanted = loop.Watching.wanted

    def noting(watching, step):  # asked at the beginning of each step
        times[step] = time.perf_counter(), time.process_time()
        return wanted(watching, step)

    def noting_logs(writer, step, scalars):
        write(writer, step, scalars)
        times[step + 1] = time.perf_counter(), time.process_time()
    write = summaries.write_scalars
    loop.Watching.wanted, summaries.write_scalars = noting, noting_logs
    try:
        with tempfile.TemporaryDirectory() as run:
            os.makedirs(os.path.join(run, "checkpoints"))
            loop.train(run, options, loader, {"label": len(classes["label"])}, lambda: None)
    finally:
        loop.Watching.wanted, summaries.write_scalars = wanted, write
    first, last = times[flags.warmup + 1], times[flags.warmup + flags.steps + 1]
    return last[0] - first[0], last[1] - first[1]


def bare(options, flags):
    """Return the same of nothing but session.run(train_op)."""
    training = options["training"]
    devices = tower_devices(training["num_clones"], training["devices"])
    variables = where_variables_are(training["variables"], devices)
    random = np.random.RandomState(0)
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        with tf.device(VARIABLE_DEVICE):
            number = tf.cast(tf.train.get_or_create_global_step() % BATCHES, tf.int32)
            shape = [BATCHES, flags.batch, flags.size, flags.size, 3]
            images = tf.constant(random.randint(0, 256, shape).astype(np.float32))[number]
            labels = tf.constant(np.repeat(np.arange(flags.batch // K), K), tf.int32)
            scale = precision.loss_scale(training)
        towers = build_towers(images, {"label": labels}, devices, options["model"], options["losses"],
                              {"label": CLASSES}, training["loss_scope"], precision=training["precision"],
                              scale=scale and scale.scale, variables=variables)
        with tf.device(VARIABLE_DEVICE):
            train_op = build_update(towers.gradients, towers.update_ops, training, scale=scale).train
        with open_session(devices) as session:
            session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            for _ in range(flags.warmup):
                session.run(train_op)
            start = time.perf_counter(), time.process_time()
            for _ in range(flags.steps):
                session.run(train_op)
            return time.perf_counter() - start[0], time.process_time() - start[1]


if __name__ == "__main__":
    main()

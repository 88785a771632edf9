"""Images a second of the training loop, beside a bare session loop over the same graph with its data in memory.

    python benchmarks/training_speed.py [--output training_speed.csv] [--towers 1 2 4] [--steps 45] [--repeats 12]
    python benchmarks/training_speed.py --network mobilenet_v2 --size 224 --batch 16 --steps 20
    python benchmarks/training_speed.py --network resnet_v1_50 --size 224 --towers 1 --precision bfloat16 --workers 8

    ours     train() of training/loop.py as train_multi_gpu.py calls it: sampler, loader threads, crops and flips,
             progress, the loss checked at each step, scalars logged every 50; images come decoded from memory
    bare     the same towers and the same train op on batches and labels that are constants of the graph, taken in turn,
             and nothing but `for step in range(steps): session.run(train_op)`

Both are open at the same time and run in turn, --repeats blocks of --steps steps each: on machines whose speed changes
from minute to minute only neighbours can be compared. A few steps before each block are not timed, so that batches
loaded ahead while the other ran count for neither. The ratio is ours / bare, the median over ours of a block beside
the mean of the two bare ones around it, with its quartiles; by the clock and by processor time (which says what the
loop costs where other programs are at work, too). Building the graphs and saving are left out.
"""
import argparse
import contextlib
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
from slim_retrieval.training import loop, precision
from slim_retrieval.training.devices import VARIABLE_DEVICE, open_session, tower_devices, where_variables_are
from slim_retrieval.training.towers import build_towers
from slim_retrieval.training.update import build_update

CLASSES, IMAGES, BATCHES, K = 40, 2000, 4, 4
LEAD = 5  # steps before each block that are not timed: one more than data.prefetch
COLUMNS = ["towers", "ours", "bare", "ratio", "ratio_low", "ratio_high", "ours_cpu", "bare_cpu", "ratio_cpu"]


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
    parser.add_argument("--steps", type=int, default=45, help="steps of a block")
    parser.add_argument("--warmup", type=int, default=50, help="steps before, at least up to the first that logs")
    parser.add_argument("--repeats", type=int, default=12, help="blocks")
    flags = parser.parse_args(argv)
    rows = []
    for towers in [len(flags.devices)] if flags.devices else flags.towers:
        rows.append(measure(towers, flags))
        print("{towers} towers: ours {ours:.1f} images/s, bare {bare:.1f}, ratio {ratio:.3f} ({ratio_low:.3f} to "
              "{ratio_high:.3f}); by processor time {ours_cpu:.1f}, {bare_cpu:.1f}, ratio {ratio_cpu:.3f}".format(
                  **rows[-1]), flush=True)
    csv_rows.write(flags.output, COLUMNS, rows)
    print("written: " + flags.output)
    return rows


def measure(towers, flags):
    """Return a row of the table: images a second, by the clock and by processor time."""
    options = training_options(towers, flags)
    with bare_loop(options, flags) as run_bare:
        seconds, bare = ours(options, flags, run_bare)
    around = (bare[:-1] + bare[1:]) / 2  # of the two blocks on either side
    ratios, images = around / seconds, flags.steps * flags.batch
    row = {"towers": towers}
    row.update(zip(("ratio_low", "ratio_high"), np.percentile(ratios[:, 0], [25, 75]).round(4)))
    for i, suffix in enumerate(("", "_cpu")):
        row.update({name + suffix: round(images / np.median(times[:, i]), 2)
                    for name, times in (("ours", seconds), ("bare", around))})
        row["ratio" + suffix] = round(float(np.median(ratios[:, i])), 4)
    return row


def training_options(towers, flags):
    """Return a whole configuration as plain dicts."""
    options = configuration.to_plain(configuration.resolve(None, {}))
    options["model"].update(network=flags.network, image_size=flags.size)
    options["data"].update(crop_padding=2, flip=True, workers=flags.workers)
    options["losses"] = [dict(options["losses"][0], name=name) for name in ("softmax", "triplet_batch_hard")]
    options["training"].update(steps=flags.warmup + flags.repeats * (LEAD + flags.steps) + 1,
                               classes_per_batch=flags.batch // K, images_per_class=K,
                               num_clones=towers, pictures_every_steps=0, devices=flags.devices,
                               precision=flags.precision, variables=flags.variables)
    return options


def table_in_memory(size):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (IMAGES, size, size, 3)).astype(np.uint8)
    return ImageTable([str(i) for i in range(IMAGES)], {"label": [str(i % CLASSES) for i in range(IMAGES)]},
                      images.__getitem__)


def ours(options, flags, run_bare):
    """Train, with the bare loop before each block and after the last; return what the blocks of both took.

    Args:
      run_bare: function () -> (seconds, processor seconds) of a block of the bare loop.

    Returns:
      float64 [repeats, 2] of ours and [repeats + 1, 2] of bare: seconds, processor seconds.
    """
    loader, classes = training_loader(table_in_memory(flags.size), ["label"], options)
    starts, ends, bare = [], [], []
    wanted = loop.Watching.wanted

    def noting(watching, step):  # asked at the beginning of each step, when all of the one before is done
        block, place = divmod(step - flags.warmup - 1, LEAD + flags.steps)
        if place == 0 and block >= 0:
            ends.append(clocks())
            bare.append(run_bare())
        if place == LEAD and block >= 0:
            starts.append(clocks())
        return wanted(watching, step)
    loop.Watching.wanted = noting
    try:
        with tempfile.TemporaryDirectory() as run:
            os.makedirs(os.path.join(run, "checkpoints"))
            loop.train(run, options, loader, {"label": len(classes["label"])}, lambda: None)
    finally:
        loop.Watching.wanted = wanted
    return np.array(ends[1:]) - np.array(starts), np.array(bare)  # ends[0] is the warm-up's


@contextlib.contextmanager
def bare_loop(options, flags):
    """Yield a function that runs a block of nothing but session.run(train_op), and returns its seconds as `ours`."""
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
            # Taken in turn as well: masks of labels that never change would be folded into constants.
            labels = tf.constant(np.stack([np.repeat(random.permutation(CLASSES)[:flags.batch // K], K)
                                           for _ in range(BATCHES)]), tf.int32)[number]
            scale = precision.loss_scale(training)
        towers = build_towers(images, {"label": labels}, devices, options["model"], options["losses"],
                              {"label": CLASSES}, training["loss_scope"], precision=training["precision"],
                              scale=scale and scale.scale, variables=variables)
        with tf.device(VARIABLE_DEVICE):
            train_op = build_update(towers.gradients, towers.update_ops, training, scale=scale).train
        session = open_session(devices)
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

    def steps(count):
        for _ in range(count):
            session.run(train_op)

    def block():
        steps(LEAD)
        start = clocks()
        steps(flags.steps)
        return np.subtract(clocks(), start)
    with session:
        steps(flags.warmup)
        yield block


def clocks():
    """Return the time, and the processor time of all threads, in seconds."""
    return time.perf_counter(), time.process_time()


if __name__ == "__main__":
    main()

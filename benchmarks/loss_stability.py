"""Every loss for 1,000 steps at learning rates from 1e-5 to 1: does anything stop being a finite number?

    python benchmarks/loss_stability.py [--output loss_stability.csv] [--losses arcface triplet] [--steps 1000]
    python benchmarks/loss_stability.py --optimizer momentum --clip_norm 10

The whole of training on toy images: `small_cnn` with batch norm and an embedding layer, plain gradient descent, weight
decay 4e-5, no clipping. (Momentum 0.9 makes a rate of 1 one of 10, at which the two linear layers under a softmax
diverge whatever the loss does; clipping keeps them.) Batches of 16 are drawn from 64 images of eight classes, with what
makes losses divide by zero among them: an image twice in a class and once more in another, a black one, one without a
label, and every tenth batch is of one class. A loss that takes a memory is run without and with one. Checked at each
step are the loss, all it shows and the length of the gradient; at the end all variables. A cell is `ok` with the last
loss, or the first step that went wrong.
"""
import argparse
import csv
import math

import numpy as np

from slim_retrieval.common import files
from slim_retrieval.common.errors import command, lookup
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.losses import registry
from slim_retrieval.losses.registry import LOSSES
from slim_retrieval.training.optimizers import build_optimizer
from slim_retrieval.training.towers import add_weight_decay, build_towers

RATES = [1e-5, 1e-3, 1e-1, 1.0]
MODEL = {"network": "small_cnn", "depth_multiplier": 0.125, "image_size": 8, "end_point": "", "pooling": "average",
         "embedding_size": 8}
CLASSES, IMAGES, BATCH = 8, 64, 16
TAGS = {"label": np.array([[c >> bit & 1 for bit in range(3)] for c in range(CLASSES)], np.float32)}


@command
def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="loss_stability.csv", help="CSV to write")
    parser.add_argument("--losses", nargs="+", default=sorted(LOSSES), help="which; default: all")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="learning rates")
    parser.add_argument("--steps", type=int, default=1000, help="steps of each")
    parser.add_argument("--optimizer", default="sgd", help="sgd, momentum, adam, ...")
    parser.add_argument("--clip_norm", type=float, default=0.0, help="as training.clip_norm; 0: never")
    flags = parser.parse_args(argv)
    rows = []
    print("{:<32}".format("loss") + "".join("{:>18g}".format(rate) for rate in flags.rates), flush=True)
    for name in flags.losses:
        lookup(LOSSES, name, "loss")
        for memory in [0, 32] if "memory" in registry.hooks(LOSSES[name]) else [0]:
            cells = run(dict({"name": name, "label": "label"}, **({"memory": memory} if memory else {})),
                        flags)
            rows.append([name, memory] + cells)
            print("{:<32}".format(name + (" + memory" if memory else "")) + "".join("{:>18}".format(c) for c in cells),
                  flush=True)
    with files.replacing(flags.output) as temporary, open(temporary, "w", newline="") as stream:
        csv.writer(stream).writerows([["loss", "memory"] + flags.rates] + rows)
    bad = sum(not cell.startswith("ok") for row in rows for cell in row[2:])
    print("{} of {} runs of {} steps stayed finite; written: {}".format(
        len(rows) * len(flags.rates) - bad, len(rows) * len(flags.rates), flags.steps, flags.output))
    return rows


def run(spec, flags):
    """Return a cell for each rate: `ok <last loss>`, or the first step at which something was not finite."""
    images, labels = toy_images()
    batches = toy_batches(labels, flags.steps)
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        rate, rows = tf.placeholder(tf.float32, []), tf.placeholder(tf.int32, [BATCH])
        towers = build_towers(tf.gather(tf.constant(images), rows), {"label": tf.gather(tf.constant(labels), rows)},
                              ["/cpu:0"], MODEL, [spec], {"label": CLASSES}, "tower", tags=TAGS)
        gradients = add_weight_decay(towers.gradients, 4e-5)
        if flags.clip_norm:
            clipped, _ = tf.clip_by_global_norm([g for g, _ in gradients], flags.clip_norm)
            gradients = list(zip(clipped, [v for _, v in gradients]))
        watched = list(towers.scalars.values()) + [tf.global_norm([g for g, _ in gradients])]
        with tf.control_dependencies(towers.update_ops + [g for g, _ in gradients] + watched):
            optimizer = build_optimizer({"optimizer": flags.optimizer}, rate)
            train = optimizer.apply_gradients(gradients, tf.train.get_or_create_global_step())
        finite = tf.reduce_all(tf.is_finite(tf.stack([towers.loss] + watched)))
        variables_finite = [tf.reduce_all(tf.is_finite(v)) for v in tf.trainable_variables()]
        # Below 0: all in the calling thread, with nothing handed over between threads for such small operations.
        threads = tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1)
        with tf.Session(config=threads) as session:
            one = session.make_callable([train, finite, towers.loss], [rate, rows])
            return [_cell(session, one, value, batches, variables_finite) for value in flags.rates]


def _cell(session, one, rate, batches, variables_finite):
    session.run(tf.global_variables_initializer())
    for step, rows in enumerate(batches, start=1):
        _, finite, loss = one(rate, rows)
        if not finite:
            return "{} at {}".format("NaN" if math.isnan(loss) else "not finite", step)
    return "ok {:.4g}".format(loss) if all(session.run(variables_finite)) else "variables"


def toy_images():
    """Return (float32 [n, 8, 8, 3], int32 labels [n], -1: unknown): classes of a colour, with noise and oddities."""
    random = np.random.RandomState(0)
    labels = np.arange(IMAGES) % CLASSES
    colours = random.randint(40, 216, (CLASSES, 1, 1, 3))
    images = np.clip(colours[labels] + random.randint(-40, 41, (IMAGES, 8, 8, 3)), 0, 255).astype(np.float32)
    images[8], images[1] = images[0], images[0]  # twice in class 0, once in class 1
    images[2] = 0
    labels[3] = -1
    return images, labels.astype(np.int32)


def toy_batches(labels, steps):
    """Return int32 [steps, B]: four images of each of four classes; every tenth batch is of one class."""
    random = np.random.RandomState(1)
    rows = [np.arange(c, IMAGES, CLASSES) for c in range(CLASSES)]
    batches = []
    for step in range(steps):
        chosen = [random.randint(CLASSES)] * 4 if step % 10 == 4 else random.permutation(CLASSES)[:4]
        batches.append(np.concatenate([random.permutation(rows[c])[:4] for c in chosen]))
    return np.array(batches, np.int32)


if __name__ == "__main__":
    main()

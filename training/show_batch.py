"""What the network sees: the images of a training batch, augmented, with their classes, on one sheet.

    python -m slim_retrieval.training.show_batch --config configs/fashion_mnist.yaml --output sheet.png
    python -m slim_retrieval.training.show_batch --config mine.yaml --output sheet.png --step 7 --data.flip true

Batch and augmentation are those of that step of a training with the same configuration. Only hard negatives, which need
a trained network, are random classes here.
"""
import logging

import numpy as np
from PIL import Image, ImageDraw

from slim_retrieval.common import config as configuration
from slim_retrieval.common.errors import InputError, command
from slim_retrieval.common.files import check_file, replacing
from slim_retrieval.common.logs import start_logging

ACROSS = 8  # images in a line, about
SIDES = (96, 192)  # pixels of an image on the sheet: smaller ones are enlarged, larger ones reduced
CAPTION, GAP = 14, 6  # pixels
log = logging.getLogger("slim_retrieval.training.show_batch")  # by name: run as a script it is __main__


@command
def main(argv=None):
    """Write a sheet of one training batch."""
    parser = configuration.build_parser(__doc__)
    parser.add_argument("--output", metavar="FILE", help="picture to write, such as sheet.png")
    parser.add_argument("--step", type=int, default=0, help="which batch: 0, 1, ...")
    flags, overrides = configuration.parse(parser, argv)
    if not flags.config or not flags.output:
        raise InputError("give --config FILE, the experiment, and --output FILE, the picture to write")
    if flags.step < 0:
        raise InputError("--step is {}; the first batch is 0".format(flags.step))
    if not flags.output.lower().endswith((".png", ".jpg", ".jpeg")):
        raise InputError("--output {}: give a name that ends in .png or .jpg".format(flags.output))
    check_file(flags.output, "--output")
    start_logging()
    options = configuration.to_plain(configuration.resolve(flags.config, overrides))
    images, captions, group = load_batch(options, flags.step)
    with replacing(flags.output) as temporary:
        sheet(images, captions, group).save(temporary)
    log.info("%s: batch %d, %d images of %d classes, %d pixels wide each", flags.output, flags.step, len(images),
             len(set(captions)), images.shape[1])


def load_batch(options, step):
    """Return (float32 images [B, S, S, 3] as the network is given them, the class of each, images of a group).

    Args:
      options: the whole configuration as plain dicts.
      step: which batch.
    """
    from slim_retrieval.common.tensorflow import tf
    from slim_retrieval.datasets.factory import read_split
    from slim_retrieval.datasets.pipeline import training_batches
    from slim_retrieval.datasets.samplers import group_size
    from slim_retrieval.datasets.training_set import pipeline_options, training_loader
    from slim_retrieval.losses.specs import check_specs, label_columns, watched_label
    from slim_retrieval.nets.factory import get_network
    from slim_retrieval.training.validation import hold_out
    check_specs(options["losses"])
    model = options["model"]
    model["image_size"] = model["image_size"] or get_network(model["network"]).image_size
    seed = options["run"]["seed"]
    table, _ = hold_out(read_split(options["data"], "train", seed), watched_label(options["losses"]),
                        options["training"]["validation_classes"], seed)
    columns = label_columns(options["losses"])
    loader, classes = training_loader(table, columns, options)
    with tf.Graph().as_default(), tf.Session() as session:
        batch = training_batches(loader, step, step + 1, **pipeline_options(options))
        try:
            images, labels = session.run(batch)
        except tf.errors.OpError:
            raise loader.failure or RuntimeError("no batch") from None
    names = [classes[columns[0]][number] if number >= 0 else "(no label)" for number in labels[columns[0]]]
    return images, names, group_size(options["training"])


def sheet(images, captions, group):
    """Return a Pillow image: the images in lines of whole groups, each with its caption below.

    Args:
      images: [B, S, S, 3] of 0 to 255.
      captions: B texts.
      group: images that stay in one line.
    """
    side = min(max(images.shape[1], SIDES[0]), SIDES[1])
    across = min(len(images), group * max(1, ACROSS // group))
    lines = -(-len(images) // across)
    canvas = Image.new("RGB", (across * (side + GAP) + GAP, lines * (side + CAPTION + GAP) + GAP), "white")
    draw = ImageDraw.Draw(canvas)
    method = Image.NEAREST if images.shape[1] < side else Image.BILINEAR
    for i, (image, caption) in enumerate(zip(images, captions)):
        left, top = GAP + i % across * (side + GAP), GAP + i // across * (side + CAPTION + GAP)
        pixels = Image.fromarray(np.clip(np.round(image), 0, 255).astype(np.uint8))
        canvas.paste(pixels.resize((side, side), method), (left, top))
        draw.text((left, top + side + 1), shortened(caption, side // 6), fill="black")
    return canvas


def shortened(text, length):
    """Return text in at most `length` characters that Pillow's own font has; of a long one the end, which differs."""
    text = text.encode("ascii", "replace").decode()
    return text if len(text) <= length else ".." + text[len(text) - length + 2:]


if __name__ == "__main__":
    main()

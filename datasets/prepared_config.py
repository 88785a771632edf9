"""The configuration and the commands that `prepare` gives for a data set."""
import os
import shlex

import numpy as np
import yaml

SMALL = 64  # images of at most that many pixels a side get the small network
_HEAD = """# {what}
#
# Written by {command}; edit it as you like: the same command writes a new one and
# keeps yours as config.yaml.old.
"""


def make_config(name, path, output, found, tables, seed, tfrecord=False, side=None, like=None):
    """Return the configuration of a data set as a plain dict; a split that does not exist has no source.

    Args:
      name: of the run.
      path: where the data set lies.
      output: the folder of the lists.
      found: the layout's `Found`.
      tables: {split: ImageTable} that were written.
      tfrecord: whether shards were written.
      side: median of the images' longer sides in pixels; None when it is not known.
      like: configuration of a run (nested dicts) whose model is to be used; None: one is suggested for the images.
    """
    config = {"run": {"name": name, "seed": seed}, "data": _data(path, output, found, tables, tfrecord)}
    is_small = side is not None and side <= SMALL
    if "train" in tables:
        config.update(_training(tables["train"], is_small, side))
        config["data"].update(crop_padding=2 if is_small else 16, flip=not is_small)
    if like is not None:
        config.update({section: like[section] for section in ("model", "extraction")})
    if found.protocol:
        config["evaluation"] = {"protocol": found.protocol}
        if found.ground_truth:
            config["evaluation"]["ground_truth"] = ground_truth(found, output)
    return config


def ground_truth(found, output):
    """Return the path of the ground truth, or ''."""
    return os.path.join(output, found.ground_truth) if found.ground_truth in found.files else found.ground_truth


def config_text(config, what, command):
    """Return the configuration as YAML under a heading."""
    head = _HEAD.format(what=" ".join(what.split()), command=" ".join(command.split()))  # a path may hold a new line
    return head + yaml.safe_dump(config, sort_keys=False, default_flow_style=None,
                                                                     allow_unicode=True, width=120)


def next_commands(config, output, like="", again=""):
    """Return the commands to type next, as lines.

    With a training split they train, extract, search and evaluate. Without one the network of the run `like` takes the
    features, in a run of its own; when none was named, the command is `again`, which names it.
    """
    file, name = os.path.join(output, "config.yaml"), shlex.quote(config["run"]["name"])
    evaluate = ["python eval_map.py"] if "evaluation" in config else []
    if "train" in config["data"]:
        hint = config["model"]["network"] != "small_cnn" and not config["model"].get("checkpoint_path")
        return ["python train_multi_gpu.py --config {}{}".format(
            shlex.quote(file), "   # better from a checkpoint: --model.checkpoint_path FILE" if hint else ""),
            "python extract_features.py", "python retrieve.py --method cfa"] + evaluate
    if not like:
        return [again + " --like RUN   # RUN: a run whose network is to take the features"]
    run = os.path.join("runs", name)
    return ["mkdir -p {0} && cp -r {1} {0}/ && cp {2} {0}/".format(
        run, shlex.quote(os.path.join(like, "checkpoints")), shlex.quote(file))] + [
        "{} --run {}".format(line, name) for line in
        ["python extract_features.py", "python retrieve.py --method cfa"] + evaluate]


def _data(path, output, found, tables, tfrecord):
    if tfrecord:
        sources = {split: {"source": split + "-*.tfrecord"} for split in tables}
        return dict({"reader": "tfrecord", "path": output}, **sources)
    if found.reader != "csv":
        sources = {split: {"source": source, "part": list(part)} for split, (source, part) in found.sources.items()}
        return dict({"reader": found.reader, "path": os.path.abspath(path)}, **sources)
    return dict({"reader": "csv", "path": output}, **{split: {"source": split + ".csv"} for split in tables})


def _training(table, is_small, side):
    """Return the sections model, losses and training for a training table: a start, not a tuned recipe."""
    classes = len(set(table.columns["label"]))
    per_batch = min(8, classes)
    batch = 4 * per_batch
    steps = int(np.clip(30 * len(table) // batch, 500, 20000))
    model = {"network": "mobilenet_v2", "image_size": 224, "pooling": "average", "embedding_size": 256}
    if is_small:
        model = {"network": "small_cnn", "image_size": max(8, int(round(side / 4.0)) * 4), "pooling": "average",
                 "embedding_size": 128}
    losses = [{"name": "softmax"}, {"name": "triplet_batch_hard", "options": {"margin": 0.2}}]
    return {"model": model, "losses": losses[classes > 20000:],  # a softmax over more is mostly logits
            "training": {"steps": steps, "classes_per_batch": per_batch, "images_per_class": 4, "optimizer": "momentum",
                         "schedule": {"name": "cosine", "learning_rate": 0.1 if is_small else 0.01,
                                      "decay_steps": steps}}}

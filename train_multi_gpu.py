"""Fine-tune a Slim backbone on one or many towers.

    python train_multi_gpu.py --config configs/fashion_mnist.yaml
    python train_multi_gpu.py --config configs/fashion_mnist.yaml --training.num_clones 4 --training.steps 5000

Writes runs/<name>/ (config.yaml, checkpoints/, logs/). The same command again goes on where it stopped.
"""
import contextlib
import logging
import os

from slim_retrieval.common import config as configuration
from slim_retrieval.common import runs
from slim_retrieval.common.errors import InputError, command
from slim_retrieval.common.files import write_json
from slim_retrieval.common.logs import start_logging

# What may change when a run is resumed; everything else shapes the weights.
MAY_CHANGE = ["training.epochs", "training.steps", "training.log_every_steps", "training.save_every_steps",
              "training.max_to_keep", "training.pictures_every_steps", "training.validate_every_steps",
              "training.validation_images", "training.stop_on_collapse", "training.keep_every_n_hours",
              "training.keep_every_n_steps", "training.num_clones", "training.devices", "training.variables",
              "data.workers", "data.prefetch", "data.query", "data.gallery", "data.validation", "run.name",
              "run.directory"]
log = logging.getLogger("train_multi_gpu")


@command
def main(argv=None):
    """Train as the configuration says."""
    parser = configuration.build_parser(__doc__)
    flags, overrides = configuration.parse(parser, argv)
    if not flags.config:
        raise InputError("which experiment? give --config FILE, such as configs/fashion_mnist.yaml")
    config = configuration.resolve(flags.config, overrides)
    start_logging()
    options = configuration.to_plain(config)

    from slim_retrieval.datasets.factory import check_disjoint, read_split
    from slim_retrieval.losses.specs import check_specs
    from slim_retrieval.nets.convert import check_layout
    from slim_retrieval.nets.factory import get_network
    from slim_retrieval.training.cluster import read_cluster
    from slim_retrieval.training.pretrained import reader_prefix
    check_specs(options["losses"])
    if options["model"]["checkpoint_path"]:
        check_layout(reader_prefix(options["model"]["checkpoint_path"]), options["model"])
    config.model.image_size = config.model.image_size or get_network(config.model.network).image_size
    options = configuration.to_plain(config)
    check_disjoint(options["data"])
    table = read_split(options["data"], "train", options["run"]["seed"])
    table, validation = _validation(table, options)
    _plan(config, len(table))
    options = configuration.to_plain(config)
    loader, classes, tags = _loader(table, options)
    cluster = read_cluster(options["cluster"], os.environ.get("TF_CONFIG", ""))
    if cluster and cluster.job == "worker":
        from slim_retrieval.training.worker import serve
        serve(cluster, loader, options)
        return

    run = runs.create(config, flags.config)
    options = configuration.to_plain(config)

    def started():
        """Only now: a mistake that shows when the graph is built must not replace an earlier run."""
        _write_model(run, options, classes)
        runs.save_config(run, config)
        runs.point_latest(run)

    from slim_retrieval.graph import knn
    from slim_retrieval.training.loop import train
    log.info("run %s: %d images, %s", run, len(table.paths),
             ", ".join("{} classes by {}".format(len(names), column) for column, names in classes.items()))
    try:
        _refuse_other_settings(run, options)
        train(run, options, loader, {c: len(names) for c, names in classes.items()}, started, tags, knn.neighbors,
              validation, cluster)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(run)  # goes only when it is empty: nothing came of it
    if loader.unreadable:
        log.warning("%d images could not be read and were replaced by others of their class, e.g. %s",
                    len(loader.unreadable), loader.unreadable[0])


def _plan(config, images):
    """Put lengths that are given in epochs into `config` as steps, check the plan and warn of one that trains nothing.
    """
    from slim_retrieval.training import plan
    for key, steps in plan.in_steps(configuration.to_plain(config)["training"], images).items():
        section, name = config.training, key
        if key.startswith("schedule."):
            section, name = config.training.schedule, key.split(".")[1]
        section[name] = steps
    options = configuration.to_plain(config)
    plan.check(options["training"])
    plan.warn_of_dead_schedule(options["training"])


def _validation(table, options):
    """Return (the images to train on, validation.HeldOut or None)."""
    from slim_retrieval.evaluation import each_other
    from slim_retrieval.graph import knn
    from slim_retrieval.losses.specs import watched_label
    from slim_retrieval.training.validation import HeldOut, hold_out, validation_table
    column, seed = watched_label(options["losses"]), options["run"]["seed"]
    table, held = hold_out(table, column, options["training"]["validation_classes"], seed)
    held = validation_table(options, column, held, seed)
    return table, held and HeldOut(held, column, lambda features, paths, labels: each_other.score(
        knn.neighbors(features, len(features) - 1)[0], paths, labels))


def _loader(table, options):
    """Return the batch loader, {label column: class names}, and {column of tags: which cell names which tags}."""
    from slim_retrieval.datasets.training_set import training_loader
    from slim_retrieval.losses.label_columns import tag_table
    from slim_retrieval.losses.specs import label_columns, tag_columns
    loader, classes = training_loader(table, label_columns(options["losses"]), options)
    tags = {column: tag_table(classes[column]) for column in tag_columns(options["losses"])}
    return loader, classes, {column: table for column, (_, table) in tags.items()}


def _write_model(run, options, classes):
    """Store beside the checkpoints what extraction has to know and to check."""
    from slim_retrieval.nets.factory import get_layout
    write_json(os.path.join(run, "checkpoints", "model.json"), {
        "model": options["model"], "preprocessing": get_layout(options["model"]).preprocessing,
        "classes": classes, "losses": options["losses"], "weighting": options["weighting"]})


def _refuse_other_settings(run, options):
    """Refuse to go on with a run that was trained under other settings."""
    from slim_retrieval.common.checkpoint_files import latest
    if not os.path.exists(runs.config_path(run)) or latest(os.path.join(run, "checkpoints")) is None:
        return
    before = configuration.to_plain(configuration.resolve(runs.config_path(run)))
    for section in ("data", "model", "losses", "weighting", "training", "run"):
        key, old, new = configuration.first_difference(before[section], options[section], section, MAY_CHANGE)
        if key:
            raise InputError("{} was trained with {} = {!r}, now it is {!r}; give another --run.name, or delete "
                             "the folder".format(run, key, old, new))


if __name__ == "__main__":
    main()

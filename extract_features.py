"""Take features from a trained network, for every split of the run's data.

    python extract_features.py                                  (the newest run)
    python extract_features.py --run runs/fashion_mnist --extraction.end_point stage_2
    python extract_features.py --config configs/folder.yaml --data.path PHOTOS --model.embedding_size 0 \\
        --model.checkpoint_path mobilenet_v2.ckpt               (of a pretrained network, without training)
    python extract_features.py --run A --run B --weights 1 0.5  (of two models side by side)
    python extract_features.py --backend loky --workers 4       (processes of this machine; dask: a cluster's)
    python extract_features.py --add photos/ more.jpg           (to the gallery; --delete PATH or a list takes away)
    python extract_features.py --list_endpoints --model.network mobilenet_v2 --model.depth_multiplier 1.4

Writes runs/<name>/features/<split>/ {features.npy, index.csv, meta.json}, and for each of extraction.more_end_points
a folder <split>.<end point>/ beside it. A killed extraction is resumed.
"""
import contextlib
import functools
import json
import logging
import os

from slim_retrieval.common import config as configuration
from slim_retrieval.common import jobs, runs
from slim_retrieval.common.errors import InputError, command, lookup
from slim_retrieval.common.files import digest, read_json
from slim_retrieval.common.logs import start_logging
from slim_retrieval.common.machine import versions

log = logging.getLogger("extract_features")


@command
def main(argv=None):
    """Extract the features of every split that exists."""
    parser = configuration.build_parser(__doc__)
    parser.add_argument("--run", default=[], metavar="NAME", action="append",
                        help="run folder or name (default: the newest); several, each with its --run: their features "
                             "side by side, as a run A+B")
    parser.add_argument("--weights", type=float, nargs="+", metavar="W", help="of several runs (default: 1 each)")
    parser.add_argument("--pretrained", action="store_true",
                        help="no training: features of the network as model.checkpoint_path of --config has it; "
                             "implied by the flag --model.checkpoint_path")
    parser.add_argument("--add", nargs="+", metavar="PHOTO", help="append photos to the run's gallery, extracted as "
                        "the others were: image files, folders (a folder in them is a label), CSV files (path, label)")
    parser.add_argument("--delete", nargs="+", metavar="PHOTO", help="take photos out of the run's gallery: paths as "
                        "in its index.csv, or lists of them (.txt, .csv)")
    parser.add_argument("--skip_unreadable", action="store_true", help="leave out images that cannot be read")
    parser.add_argument("--list_endpoints", action="store_true",
                        help="print what features can be taken from, and stop; needs no images and no checkpoint")
    for flag, field in jobs.SHORT.items():
        parser.add_argument("--" + flag, metavar=flag.upper(), help="short for --" + field)
    flags, overrides = configuration.parse(parser, argv)
    overrides.update({field: getattr(flags, flag) for flag, field in jobs.SHORT.items()
                      if getattr(flags, flag) is not None})
    if flags.list_endpoints:
        _list_end_points(flags, overrides)
        return
    start_logging()
    if flags.add or flags.delete:
        _change_gallery(flags, overrides)
        return
    run, config = _untrained(flags, overrides) if _is_untrained(flags, overrides) else _trained(flags, overrides)
    options = configuration.to_plain(config)
    options["extraction"]["skip_unreadable"] |= flags.skip_unreadable
    jobs.choose(folder=run, **options["jobs"])
    tables = _read_tables(options)
    if options["extraction"]["models"]:
        try:
            _extract_together(run, options, tables)
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(run)  # goes only when it is empty: nothing came of it
        runs.save_config(run, config)
        runs.point_latest(run)
    else:
        _extract_run(run, options, tables, run)


def _change_gallery(flags, overrides):
    """Delete photos from the gallery of a run, and add others."""
    fixed = [key for key in overrides if key not in ("extraction.devices", "run.directory")]
    if fixed or flags.config or flags.weights or flags.pretrained or len(flags.run) > 1:
        raise InputError("--{} has no place beside --add and --delete: photos are extracted as the gallery of the one "
                         "run was".format(fixed[0] if fixed else "config, --weights, --pretrained or a second --run"))
    from slim_retrieval.training import gallery_changes
    config = configuration.to_plain(configuration.resolve(None, overrides))
    run = runs.find(flags.run[0] if flags.run else None, config["run"]["directory"])
    gallery_changes.found(flags.add or [])  # a mistake in it is to leave nothing half done
    if flags.delete:
        log.info("%s: %d photos deleted from the gallery", run, gallery_changes.delete(run, flags.delete))
    if flags.add:
        count = gallery_changes.add(run, flags.add, flags.skip_unreadable, config["extraction"]["devices"])
        log.info("%s: %d photos added to the gallery%s", run, count, "" if count else ": all are there already")
    log.info("rankings of this gallery are to be made again; retrieve.py --image updates its index by itself")


def _extract_run(run, options, tables, into):
    """Extract all splits with a run's network; return {split: folder}: below `into`, or the run's own if there."""
    from slim_retrieval.nets import checkpoint_choice, split_features
    from slim_retrieval.nets.extraction import FeatureNetwork, stored_model
    from slim_retrieval.nets.stored_weights import choose
    from slim_retrieval.training import extraction_tasks
    directory, end_point = os.path.join(run, "checkpoints"), options["extraction"]["end_point"]
    stored = stored_model(directory, options["model"], end_point)
    checkpoint = checkpoint_choice.choose(directory, options["extraction"]["checkpoint"])
    checkpoint_choice.check_whole(checkpoint)
    options["extraction"]["weights"] = choose(checkpoint_choice.variable_names(checkpoint),
                                              options["extraction"]["weights"], checkpoint)
    model = dict(stored["model"], gem_p=options["model"]["gem_p"])
    outputs = split_features.outputs(run, checkpoint, model, stored["preprocessing"], options)
    folders = {split: os.path.join(run, "features", split) for split in tables}
    if into != run:
        may_skip = options["extraction"]["skip_unreadable"]
        folders = {split: folder if split_features.is_current(
            folder, split_features.described(outputs[0], split, tables[split])[1], may_skip)
                   else os.path.join(into, "features", split) for split, folder in folders.items()}
        tables = {split: table for split, table in tables.items() if folders[split].startswith(into)}
    if not tables:
        return folders
    arguments = {
        "checkpoint": checkpoint, "options": model, "end_point": end_point, "pooling": options["model"]["pooling"],
        "more": options["extraction"]["more_end_points"], "views": split_features.views(options),
        "running": {key: options["extraction"][key] for key in ("resize", "multiple", "devices", "precision")},
        "weights": options["extraction"]["weights"]}
    find = extraction_tasks.here
    if jobs.parallel():
        find = functools.partial(extraction_tasks.by_tasks, arguments, outputs[0].checksum)
    with FeatureNetwork(**arguments) as network:
        log.info("%s: %d variables restored (%s), all of the network; features of width %s from %s, on %s", checkpoint,
                 network.restored, options["extraction"]["weights"], ", ".join(str(width) for width in network.widths),
                 ", ".join(output.described["end_point"] for output in outputs),
                 ", ".join(sorted(set(network.devices))))
        for split, table in tables.items():
            split_features.write(network, table, split, into, outputs, options, find)
    return folders


def _extract_together(run, options, tables):
    """Extract with each of extraction.models, and write their features side by side as those of `run`."""
    from slim_retrieval.common.feature_concat import concatenate
    from slim_retrieval.nets import split_features
    if os.path.isdir(os.path.join(run, "checkpoints")):
        raise InputError("{} is the run of one model, and keeps its features; name the models with --run A --run B, or "
                         "give another --run.name".format(run))
    extraction, parts = options["extraction"], []
    for number, member in enumerate(extraction["models"], start=1):
        path = runs.find(member["run"], options["run"]["directory"])
        own = configuration.to_plain(configuration.resolve(runs.config_path(path)))
        own.update(data=options["data"], run=dict(own["run"], seed=options["run"]["seed"]), extraction=dict(
            extraction, end_point=member["end_point"] or extraction["end_point"], whitening=member["whitening"]))
        parts.append(_extract_run(path, own, tables, os.path.join(run, "models", "{}_{}".format(
            number, os.path.basename(path)))))
    weights = [member["weight"] for member in extraction["models"]]
    for split in tables:
        folder, folders = os.path.join(run, "features", split), [part[split] for part in parts]
        key = digest(weights, [read_json(os.path.join(part, "meta.json"))["key"] for part in folders])
        if split_features.is_current(folder, key, extraction["skip_unreadable"]):
            log.info("%s: already extracted from these checkpoints", folder)
            continue
        width = concatenate(folders, weights, folder, key, {
            "split": split, "models": extraction["models"], "seed": options["run"]["seed"], "versions": versions()})
        log.info("%s: features of width %d, of %s", folder, width, ", ".join(
            "{} x {:g}".format(member["run"], member["weight"]) for member in extraction["models"]))


def _trained(flags, overrides):
    """Return the folder and the configuration of --run, or of the newest; of several, a run that is made of them."""
    directory = overrides.get("run.directory", "runs")
    if len(flags.run) > 1 or flags.weights:
        overrides = dict(_members(flags, directory), **overrides)
    of_one = len(flags.run) < 2
    config = configuration.resolve(flags.config, overrides) if flags.config else None
    if not (config and of_one and not flags.run and config.extraction.models):
        run = runs.find(flags.run[0] if flags.run else None, directory)
        config = config or configuration.resolve(runs.config_path(run), overrides)
        if of_one:
            return run, config
    _check_members(config, overrides)
    return runs.create(config, flags.config or ""), config


def _members(flags, directory):
    """Return repeated --run and --weights as fields of the configuration."""
    weights = flags.weights or [1.0] * len(flags.run)
    if len(weights) != len(flags.run) or len(weights) < 2:
        raise InputError("{} runs but {} weights; give one for each of several runs".format(
            len(flags.run), len(weights)))
    names = [os.path.basename(runs.find(name, directory)) for name in flags.run]
    return {"run.name": "+".join(names), "extraction.models": json.dumps(
        [{"run": name, "weight": weight} for name, weight in zip(flags.run, weights)])}


def _check_members(config, overrides):
    """Refuse what extraction.models cannot be combined with, runs that are not there, and data that cannot be read."""
    wrong = [key for key in overrides if key.startswith("model.")] + [
        "extraction." + key for key in ("whitening", "more_end_points") if config.extraction[key]]
    if wrong:
        raise InputError("{} cannot be set for several models at once: each network is as its run has it, and an end "
                         "point or a whitening is one model's: extraction.models: [{{run: A, whitening: W}}]".format(
                             wrong[0]))
    for member in config.extraction.models:
        if not os.path.isdir(os.path.join(runs.find(member.run, config.run.directory), "checkpoints")):
            raise InputError("run {} has no network of its own; name runs that have".format(member.run))
    _read_tables(configuration.to_plain(config))


def _is_untrained(flags, overrides):
    return flags.pretrained or "model.checkpoint_path" in overrides


def _untrained(flags, overrides):
    """Return the folder and the configuration of a run that is made of model.checkpoint_path, without training."""
    if not flags.config or flags.run:
        raise InputError("features of a pretrained checkpoint make a run of their own: give --config FILE, which says "
                         "the images and the network, {}--run".format("without " if flags.run else "and no "))
    config = configuration.resolve(flags.config, overrides)
    if not config.model.checkpoint_path:
        raise InputError("--pretrained, but model.checkpoint_path is empty; give --model.checkpoint_path FILE")
    from slim_retrieval.nets.factory import get_network
    from slim_retrieval.training.pretrained import describe
    from slim_retrieval.training.untrained import write_untrained
    config.model.image_size = config.model.image_size or get_network(config.model.network).image_size
    _read_tables(configuration.to_plain(config))  # a mistake in the data is to leave nothing behind
    config.run.name = config.run.name or os.path.splitext(os.path.basename(flags.config))[0] + "_pretrained"
    run = runs.create(config, flags.config)
    try:
        log.info("run %s: %s", run, describe(write_untrained(run, configuration.to_plain(config)["model"])))
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(run)  # goes only when it is empty: nothing came of it
    runs.save_config(run, config)
    runs.point_latest(run)
    return run, config


def _list_end_points(flags, overrides):
    """Print name, shape, values an image and tensor of each end point: of --config, --model.network or a run."""
    path = flags.config
    if path is None and "model.network" not in overrides:
        path = runs.config_path(runs.find(flags.run[0] if flags.run else None, overrides.get("run.directory", "runs")))
    options = configuration.to_plain(configuration.resolve(path, overrides))
    from slim_retrieval.nets.extraction import list_end_points
    print("{:<52}{:<16}{:>9}  {}".format("end point", "shape", "values", "tensor"))
    for name, shape, values, tensor in list_end_points(options["model"]):
        print("{:<52}{:<16}{:>9,}  {}".format(name, " x ".join(str(side) for side in shape), values, tensor))


def _read_tables(options):
    """Return {split: table} of the splits that exist, or refuse when none does."""
    from slim_retrieval.datasets.factory import SPLITS, check_disjoint, read_split, split_exists
    for split in options["extraction"]["splits"]:
        lookup(dict.fromkeys(SPLITS), split, "split in extraction.splits")
    check_disjoint(options["data"])
    splits = [s for s in options["extraction"]["splits"] if split_exists(options["data"], s)]
    if not splits:
        raise InputError("none of the splits {} has a source; set e.g. data.query.source".format(
            ", ".join(options["extraction"]["splits"])))
    return {split: read_split(options["data"], split, options["run"]["seed"]) for split in splits}


if __name__ == "__main__":
    main()

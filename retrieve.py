"""Rank the gallery for each query.

    python retrieve.py --method cfa                                    # the newest run
    python retrieve.py --run shoes --method gfr                        # learns from train or gallery
    python retrieve.py --method cfa --validation --cfa.edges mutual --name cfa_mutual
    python retrieve.py --query Q.npy --gallery G.npy --method cfa --output DIR
    python retrieve.py --method cfa --side.labels category --side.denoise rank         # a column of index.csv
    python retrieve.py --image photo.jpg --method cfa                  # the gallery images most like a photo
    find photos -type f | python retrieve.py --image - --method cfa    # ... like each of many, one after another

Reads <run>/features/{query,gallery,train}, writes <run>/rankings/<name>.npy (int32, best first) and <name>.json.
With --query and --gallery no run is needed: it writes DIR/<name>.npy and .json. What gfr learned is kept in <run>/gfr/
or DIR/gfr/ and not learned twice; --image keeps CFA's index in <run>/index/cfa/. TensorFlow is needed for training gfr
with a layer other than edge, for gss and for --image, which makes a photo's feature as the gallery's were made.
"""
import os
import statistics
import sys

from slim_retrieval.common import feature_store, files, jobs, memory, runs
from slim_retrieval.common.config import build_parser, parse, resolve, to_plain
from slim_retrieval.common.errors import InputError, command, lookup
from slim_retrieval.graph import answers, index, leakage, methods, pipeline, side_information, side_sources, sources

SHORT = dict({"k": "retrieval.k", "max_memory": "retrieval.max_memory"}, **jobs.SHORT)


@command
def main(argv=None):
    """Run the command line `argv` (default: sys.argv)."""
    flags, overrides = parse(_parser(), argv)
    lookup(methods.METHODS, flags.method, "method")
    _check_flags(flags)
    for flag, field in SHORT.items():
        if getattr(flags, flag) is not None:
            overrides[field] = getattr(flags, flag)
    run = None if flags.query else runs.find(flags.run, overrides.get("run.directory", "runs"))
    config = to_plain(resolve(flags.config or (run and runs.config_path(run)), overrides))
    limit = config["retrieval"]["max_memory"]
    memory.limit_to(limit * 2**30 if limit else None, _folder(flags, run))
    jobs.choose(folder=_folder(flags, run), **config["jobs"])
    if flags.image:
        _answer(flags, run, config, overrides)
        return
    files.check_writable(_folder(flags, run), "give another --output" if flags.output else "copy the run elsewhere")
    query, gallery = _read_query_and_gallery(flags, run, config)
    train = None
    if methods.needs_training(flags.method, config.get(flags.method, {})):
        train = _read_train(flags, run)
    given = _read_side(flags, run, config, (query, gallery))
    _tell(flags.method, config, query, gallery)
    more = {"side": given.side, "edges": given.edges} if given.settings else {}
    ranks, record = pipeline.retrieve(flags.method, config, query, gallery, train, flags.output or run, **more)
    if given.settings:
        record["side_information"] = leakage.write(_folder(flags, run), given.pieces, given.settings)
    if flags.validation:
        record["validation_queries"] = config["evaluation"]["validation_queries"]
    path = pipeline.write(_folder(flags, run), flags.name or flags.method, ranks, record)
    print("  ranking {} x {} in {:.2f} s, peak memory {} MB: {}".format(
        len(ranks), record["k"], record["seconds"], record["peak_memory_mb"], path))


def _parser():
    parser = build_parser(__doc__)
    parser.add_argument("--run", metavar="RUN", help="run to read, by path or name; default: the newest")
    parser.add_argument("--method", default="none", metavar="NAME", help="what is done before the search; one of: {} "
                        "(default: none, plain nearest neighbours)".format(", ".join(sorted(methods.METHODS))))
    parser.add_argument("--name", metavar="NAME", help="file name of the ranking; default: the method")
    parser.add_argument("--image", nargs="+", metavar="PHOTO", help="print the gallery images most like each photo "
                        "instead, --k of them (default: 10); -: of each photo whose path is a line of the "
                        "standard input")
    parser.add_argument("--json", metavar="FILE", help="--image: write the answers to this file as well")
    for flag, field in SHORT.items():
        parser.add_argument("--" + flag, metavar=flag.upper(), help="short for --" + field)
    parser.add_argument("--validation", action="store_true", help="rank within the run's validation split")
    parser.add_argument("--query", metavar="FILE", help="query features from anywhere: .npy, .npz, .h5, .mat; "
                        "FILE:ARRAY names one of several arrays")
    parser.add_argument("--gallery", metavar="FILE", help="gallery features from anywhere")
    parser.add_argument("--train", metavar="FILE", help="features that gfr learns from; without, from the gallery")
    parser.add_argument("--train_labels", metavar="FILE", help="their labels: CSV (column label) or .npy")
    parser.add_argument("--output", metavar="DIR", help="where --query and --gallery are ranked to")
    parser.add_argument("--side_columns", metavar="FILE.csv", help="columns about the gallery that side.labels and "
                        "side.text name: row by row, in a run by a column path; default: a run's index.csv")
    parser.add_argument("--edge_features", metavar="FILE.npy", help="gallery features that make the edges, row by row")
    parser.add_argument("--query_edge_features", metavar="FILE.npy", help="the queries' features of the same kind")
    return parser


def _check_flags(flags):
    """Refuse flags that contradict each other."""
    from_files = [flags.query, flags.gallery, flags.output]
    if any(from_files) and not all(from_files):
        raise InputError("--query, --gallery and --output go together; missing: {}".format(", ".join(
            name for name, value in zip(["--query", "--gallery", "--output"], from_files) if not value)))
    if flags.query and (flags.run or flags.validation):
        raise InputError("--query and {} exclude each other; give a run or files".format(
            "--run" if flags.run else "--validation"))
    if (flags.train or flags.train_labels) and not (flags.train and flags.train_labels and flags.query):
        raise InputError("--train and --train_labels go together, and with --query; a run has its own train split")
    others = [name for name in ("query", "validation", "name", "side_columns", "edge_features", "query_edge_features")
              if getattr(flags, name)]
    if flags.image and others:
        raise InputError("--image and --{} exclude each other; a photo is compared with a run's gallery".format(
            others[0]))
    if flags.json and not flags.image:
        raise InputError("--json is for the answers to --image; rankings have a .json of their own")
    if flags.name is not None and (not flags.name or os.path.basename(flags.name) != flags.name
                                   or flags.name.startswith(".")):
        raise InputError("--name: {!r} cannot name a file; use a plain word".format(flags.name))


def _tell(method, config, query, gallery):
    print("{}: {} queries from {}, gallery of {} from {}, {} dimensions".format(
        method, len(query.features), query.where, len(gallery.features), gallery.where, gallery.features.shape[1]))
    defaults = to_plain(resolve()).get(method, {})
    changed = ["{} {}".format(key, value) for key, value in config.get(method, {}).items() if value != defaults[key]]
    print("  parameters: {}".format(", ".join(changed) or "all as by default"), flush=True)


def _read_query_and_gallery(flags, run, config):
    if flags.query:
        return sources.from_file(flags.query, "query"), sources.from_file(flags.gallery, "gallery")
    if flags.validation:
        return sources.from_validation(run, config["evaluation"]["validation_queries"], config["run"]["seed"])
    return sources.from_run(run, "query"), sources.from_run(run, "gallery")


def _read_side(flags, run, config, nodes):
    """Return the side_sources.Given of this ranking; refuse one that the method would not use."""
    cut = (config["evaluation"]["validation_queries"], config["run"]["seed"]) if flags.validation else None
    given = side_sources.gather(config["side"], nodes, run, cut, config["run"]["directory"], flags.side_columns,
                                (flags.query_edge_features, flags.edge_features))
    if given.settings:
        side_information.check_method(flags.method)
    return given


def _read_train(flags, run):
    if flags.train:
        return sources.from_file(flags.train, "train", flags.train_labels)
    return sources.train_of_run(run) if run else None


def _answer(flags, run, config, overrides):
    """Print, and with --json write, the gallery images that are most like each photo of --image."""
    meta, columns = _check_photos(flags, run, config, overrides)
    from slim_retrieval.training import photos  # here: it needs TensorFlow
    k = min(config["retrieval"]["k"] or meta["rows"] if "retrieval.k" in overrides else 10, meta["rows"])
    found, milliseconds, unread = [], [], 0
    with photos.opened(run, meta, config["extraction"]["devices"]) as features_of:
        opened = index.of_run(flags.method, config, run)
        for asked, features, seconds in _asked(flags.image, features_of):
            if features is None:
                unread += 1
                continue
            ids, similarities, took = index.ask(opened, features, k)
            found += answers.collect(asked, ids, similarities, columns)
            milliseconds.append(1000 * took)
            print(answers.table(found[-len(asked):]))
            print("  {}: {:.1f} ms for the query (transform and search in {} images), {:.1f} ms for the features of "
                  "{}".format(flags.method, 1000 * took, meta["rows"], 1000 * seconds, "1 photo" if len(asked) == 1
                              else "{} photos".format(len(asked))), flush=True)
    if flags.json:
        files.write_json(flags.json, {"run": run, "method": flags.method, "answers": found, "query_milliseconds": round(
            statistics.median(milliseconds), 3) if milliseconds else None})
    if unread:
        raise InputError("{} of {} photos could not be read; the lines above say why".format(
            unread, unread + len(found)))


def _asked(photos, features_of):
    """Yield (paths, features, seconds): of all photos at once, or of each path that is a line of the standard input.

    Of a photo there that cannot be read the features are None, and a line says why.
    """
    if photos != ["-"]:
        yield (photos,) + features_of(photos)
        return
    if sys.stdin.isatty():
        print("paths of photos, one a line; Ctrl-D ends", flush=True)
    for line in sys.stdin.buffer:
        paths = [os.fsdecode(line.rstrip(b"\r\n"))]
        if not paths[0].strip():
            continue
        try:
            made = features_of(paths)
        except InputError as error:
            print("error: {}".format(error), file=sys.stderr, flush=True)
            made = None, 0.0
        yield (paths,) + made


def _check_photos(flags, run, config, overrides):
    """Return meta.json and the columns of the gallery; refuse what cannot be answered before TensorFlow is imported."""
    from slim_retrieval.datasets import images
    fixed = [key for key in overrides if key.startswith(("extraction.", "model.")) and key != "extraction.devices"]
    if fixed:
        raise InputError("--{} has no place beside --image: photos are extracted as the gallery was".format(fixed[0]))
    side = [name for name in side_sources.SOURCES if config["side"][name]] + (
        ["denoise"] if config["side"]["denoise"] != "none" else [])
    if side:
        raise InputError("side.{} is {!r}, but --image takes no side information; leave it out".format(
            side[0], config["side"][side[0]]))
    folder = os.path.join(run, "features", "gallery")
    if not (sources.has_split(run, "gallery") and os.path.isfile(os.path.join(folder, "meta.json"))):
        raise InputError("no gallery features in {}; run extract_features.py first".format(run))
    if "-" in flags.image and len(flags.image) > 1:
        raise InputError("--image: - (paths on the standard input) and photos exclude each other; leave out one")
    for photo in flags.image if flags.image != ["-"] else []:
        images.decode(photo)
    if flags.json:
        files.check_file(flags.json, "--json")
    meta = files.read_json(os.path.join(folder, "meta.json"))
    columns = feature_store.read_index(os.path.join(folder, "index.csv"))
    if len(columns["path"]) != meta.get("rows"):
        raise InputError("{} has {} rows but {} features are said to be there; extract the features again "
                         "(extract_features.py)".format(os.path.join(folder, "index.csv"), len(columns["path"]),
                                                        meta.get("rows")))
    return meta, columns


def _folder(flags, run):
    """Return the folder of the rankings."""
    if flags.output:
        return flags.output
    return os.path.join(run, "validation", "rankings") if flags.validation else os.path.join(run, "rankings")


if __name__ == "__main__":
    main()

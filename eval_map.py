"""Score rankings: mAP and friends, a table of methods and a report to look at.

    python eval_map.py                                     every ranking of the newest run
    python eval_map.py --run runs/shop --method none cfa   two methods of one run
    python eval_map.py --validation                        the rankings of the validation split
    python eval_map.py --ranks R.npy --ground_truth G.csv --json OUT.json --report OUT.html
"""
import os

import numpy as np

from slim_retrieval.common import config as configuration
from slim_retrieval.common import files, runs
from slim_retrieval.common.errors import InputError, command
from slim_retrieval.evaluation import caption, landmarks, protocols, report, run_results, scoring, table, tables
from slim_retrieval.evaluation.binding import add_distractors, bind


def build_parser():
    """Return the parser of this script's own flags and of all configuration fields."""
    parser = configuration.build_parser(__doc__)
    parser.add_argument("--run", help="run to evaluate: a folder or a name; the newest without it")
    parser.add_argument("--method", nargs="+", metavar="NAME", help="only these rankings; all without it")
    parser.add_argument("--validation", action="store_true", help="evaluate the validation split, without a report")
    parser.add_argument("--report", nargs="?", const=True, metavar="FILE", help="write a report to look at: the run's "
                        "report.html (the default), or FILE; with --ranks only to FILE")
    parser.add_argument("--no-report", dest="report", action="store_false", help="do not write report.html")
    parser.add_argument("--ranks", metavar="PATH", help="a ranking from anywhere: .npy, [queries, k], -1 pads; a "
                        "folder of lists <query>.txt; a TREC run; ILIAS' .json; a Landmarks .csv")
    parser.add_argument("--ground_truth", metavar="PATH", help="the protocol's ground truth, such as a CSV (split, "
                        "path, label), a folder or a .pkl; short for --evaluation.ground_truth")
    parser.add_argument("--protocol", help="short for --evaluation.protocol: {}, {} (default: classes)".format(
        ", ".join(sorted(protocols.PROTOCOLS)), landmarks.RECOGNITION))
    parser.add_argument("--gallery_names", metavar="FILE", help="with --ranks R.npy: names of the gallery images in "
                        "the order of the ids (one a line, or a CSV with path); the ground truth's and distractors")
    parser.add_argument("--query_names", metavar="FILE", help="with --ranks R.npy: names of the queries in its order")
    parser.add_argument("--num_distractors", type=_count, metavar="N", help="with --ranks R.npy: ids behind the ground "
                        "truth's gallery that are distractors")
    parser.add_argument("--json", metavar="FILE", help="with --ranks: write the result here")
    return parser


@command
def main(argv=None):
    """Evaluate a run's rankings, or with --ranks one ranking from anywhere."""
    flags, overrides = configuration.parse(build_parser(), argv)
    overrides.update({"evaluation." + name: getattr(flags, name) for name in ("protocol", "ground_truth")
                      if getattr(flags, name)})
    for flag in ("json", "report"):
        if isinstance(getattr(flags, flag), str):
            files.check_file(getattr(flags, flag), "--" + flag)
    if flags.ranks:
        _refuse(flags, ["run", "method", "validation"], "belongs to a run; leave it out with --ranks")
        evaluate_file(flags, configuration.resolve(flags.config, overrides))
    else:
        _refuse(flags, ["json", "gallery_names", "query_names", "num_distractors"],
                "goes with --ranks; a run brings its own")
        _refuse(flags, ["config"], "goes with --ranks; a run brings its own (change it by flags)")
        run = runs.find(flags.run, overrides.get("run.directory", "runs"))
        evaluate_run(run, flags, configuration.resolve(runs.config_path(run), overrides))


def evaluate_file(flags, config):
    """Evaluate one ranking against a ground truth, print the table and write the JSON that was asked for."""
    settings = config.evaluation
    if not settings.ground_truth:
        raise InputError("--ranks needs --ground_truth: a CSV file (split, path, label) or what the protocol reads")
    if settings.protocol == landmarks.RECOGNITION:
        evaluate_recognition(flags, settings.ground_truth)
        return
    if flags.report is True:
        raise InputError("--report needs a file name with --ranks, such as --report OUT.html")
    ranks, result, truth = scoring.evaluate(flags.ranks, _read_truth(flags, settings), settings,
                                            scoring.read_about(flags.ranks), config.run.seed)
    text = caption.of_files(truth, result["ap"], result["num_queries_without_positives"])
    results = {result["name"]: result}
    print(table.plain(results, text, scoring.shown(settings, truth)), flush=True)
    if flags.json:
        scoring.write(flags.json, result, text)
    if flags.report:
        _write_report(flags.report, result["name"], text, results, {result["name"]: ranks}, truth, config,
                      notes=["Made from files: without pictures and without features, so without distances and map."])


def evaluate_recognition(flags, solution):
    """Evaluate predictions of landmarks (not a ranking): print GAP and write the JSON that was asked for."""
    result = landmarks.recognition(flags.ranks, solution)
    if flags.json:
        files.write_json(flags.json, dict(result, name=scoring.name_of(flags.ranks)))
    print("\n".join("{}: {}".format(key, "{:.4f}".format(value) if isinstance(value, float) else value)
                    for key, value in result.items()))


def evaluate_run(run, flags, config):
    """Evaluate rankings of a run, write results/ and report.html, print the table."""
    if flags.validation and flags.report:
        raise InputError("--report shows query and gallery; leave it out with --validation")
    base = os.path.join(run, "validation") if flags.validation else run
    found = run_results.find_rankings(base, flags.method, flags.validation)
    truth = run_results.read_ground_truth(run, config, flags.validation)
    rankings, results = {}, {}
    for name, path in found.items():  # all before anything is written
        about = run_results.check_belongs(run, path, config, flags.validation)
        rankings[name], results[name], _ = scoring.evaluate(path, truth, config.evaluation, about, config.run.seed)
    scoring.compare(results, config.run.seed)
    skipped = next(iter(results.values()))["num_queries_without_positives"]
    text = caption.of_run(config.data, truth, scoring.definition(config.evaluation, truth), skipped,
                          run_results.read_train_index(run),
                          config.evaluation.validation_queries if flags.validation else None, config.evaluation.note)
    metrics = scoring.shown(config.evaluation, truth)
    print(table.plain(results, text, metrics), flush=True)  # first: a run of somebody else may be for reading alone
    for name, result in results.items():
        scoring.write(os.path.join(base, "results", name + ".json"), result, text)
    files.write_text(os.path.join(base, "results", "table.md"), table.markdown(results, text, metrics))
    if flags.report is not False and not flags.validation:
        notes = []
        _write_report(flags.report if isinstance(flags.report, str) else os.path.join(run, "report.html"),
                      os.path.basename(os.path.abspath(run)), text, results, rankings, truth, config,
                      _pictures(config, truth, notes), _features(run, truth, notes), notes)


def _read_truth(flags, settings):
    """Return the `GroundTruth` of --ground_truth, in the order of names and with the distractors that flags give."""
    truth = protocols.read(settings.protocol, settings.ground_truth)
    if flags.gallery_names or flags.query_names:
        queries, gallery = (tables.read_table(path).column("path") if path else index.paths for path, index in
                            ((flags.query_names, truth.query), (flags.gallery_names, truth.gallery)))
        where = " and ".join(path for path in (flags.query_names, flags.gallery_names) if path)
        truth = bind(truth, queries, gallery, where, allow_missing=settings.allow_missing)._replace(
            is_complete=truth.is_complete or bool(flags.gallery_names))
    if flags.num_distractors and not truth.is_complete:
        raise InputError("--num_distractors: the ground truth names only {} images of the gallery; give "
                         "--gallery_names".format(len(truth.gallery.paths)))
    if flags.num_distractors:
        truth = add_distractors(truth, ["distractor {}".format(i) for i in range(flags.num_distractors)])
    return truth


def _count(text):
    if not text.isdigit():
        raise InputError("--num_distractors: {!r} is not a whole number".format(text))
    return int(text)


def _refuse(flags, names, why):
    for name in names:
        if getattr(flags, name) not in (None, False):
            raise InputError("--{} {}".format(name, why))


def _write_report(path, title, text, results, rankings, truth, config, pictures=None, features=None, notes=()):
    for note in notes:
        print(note)
    size = report.write(path, title, text, results, rankings, truth, config.evaluation.report_queries, pictures,
                        features, notes, config.run.seed, scoring.shown(config.evaluation, truth))
    print("report: {} ({:.2f} MB)".format(path, size / 1e6))


def _features(run, truth, notes):
    """Return (query, gallery) features, memory-mapped; when they cannot be had, None, and say why in `notes`."""
    found = []
    for split, index in (("query", truth.query), ("gallery", truth.gallery)):
        path = os.path.join(run, "features", split, "features.npy")
        try:
            features = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            notes.append("Without distances and map: {} cannot be read ({}).".format(path, error))
            return None
        wanted = (len(index.paths),) + (found[0].shape[1:] if found else features.shape[1:2])
        if features.shape != wanted:
            notes.append("Without distances and map: {} has shape {} rather than {}.".format(
                path, list(features.shape), list(wanted)))
            return None
        found.append(features)
    return tuple(found)


def _pictures(config, truth, notes):
    """Return (query_image, gallery_image); when the data cannot be read any more, None, and say why in `notes`."""
    from slim_retrieval.datasets.factory import read_split  # only the report looks at images
    readers = []
    for split, index in (("query", truth.query), ("gallery", truth.gallery)):
        try:
            images = read_split(configuration.to_plain(config.data), split, config.run.seed)
        except (InputError, OSError) as error:
            notes.append("Without pictures: {}".format(" ".join(str(error).split())))
            return None
        # By path: extraction may have left out rows that could not be read.
        rows = {path: row for row, path in enumerate(images.paths)}
        readers.append(lambda row, rows=rows, images=images, index=index: images.load(_row(rows, index.paths[row])))
    return tuple(readers)


def _row(rows, path):
    if path not in rows:
        raise InputError("{} is not in the data".format(path))
    return rows[path]


if __name__ == "__main__":
    main()

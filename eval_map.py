"""Score rankings: mAP and friends, a table of methods and a report to look at."""
import os

from slim_retrieval.common import config as configuration
from slim_retrieval.common import files, runs
from slim_retrieval.common.errors import InputError, command
from slim_retrieval.evaluation import caption, ground_truth, report, run_results, table

EXAMPLES = """examples:
  python eval_map.py                                     every ranking of the newest run
  python eval_map.py --run runs/shop --method none cfa   two methods of one run
  python eval_map.py --validation                        the rankings of the validation split
  python eval_map.py --ranks R.npy --ground_truth G.csv --json OUT.json"""


def build_parser():
    """Return the parser of this script's own flags and of all configuration fields."""
    parser = configuration.build_parser(__doc__, EXAMPLES)
    parser.add_argument("--run", help="run to evaluate: a folder or a name; the newest without it")
    parser.add_argument("--method", nargs="+", metavar="NAME", help="only these rankings; all without it")
    parser.add_argument("--validation", action="store_true", help="evaluate the validation split, without a report")
    parser.add_argument("--report", dest="report", action="store_true", default=None, help="write report.html")
    parser.add_argument("--no-report", dest="report", action="store_false", help="do not write report.html")
    parser.add_argument("--ranks", metavar="FILE", help="a ranking from anywhere: .npy, [queries, k], -1 pads")
    parser.add_argument("--ground_truth", metavar="PATH", help="with --ranks: CSV (split, path, label) or folder")
    parser.add_argument("--protocol", help="with --ranks: {} (default: classes)".format(
        ", ".join(sorted(ground_truth.PROTOCOLS))))
    parser.add_argument("--json", metavar="FILE", help="with --ranks: write the result here")
    return parser


@command
def main(argv=None):
    """Evaluate a run's rankings, or with --ranks one ranking from anywhere."""
    flags, overrides = configuration.parse(build_parser(), argv)
    if flags.ranks:
        _refuse(flags, ["run", "method", "validation", "report"], "belongs to a run; leave it out with --ranks")
        evaluate_file(flags, configuration.resolve(flags.config, overrides))
    else:
        _refuse(flags, ["ground_truth", "protocol", "json"], "goes with --ranks; a run brings its own")
        _refuse(flags, ["config"], "goes with --ranks; a run brings its own (change it by flags)")
        run = runs.find(flags.run, overrides.get("run.directory", "runs"))
        evaluate_run(run, flags, configuration.resolve(runs.config_path(run), overrides))


def evaluate_file(flags, config):
    """Evaluate one ranking against a ground truth, print the table and write the JSON that was asked for."""
    if not flags.ground_truth:
        raise InputError("--ranks needs --ground_truth: a CSV file (split, path, label) or a folder")
    truth = ground_truth.read(flags.protocol or "classes", flags.ground_truth)
    _, result = run_results.evaluate(flags.ranks, truth, config.evaluation, run_results.read_about(flags.ranks))
    text = caption.of_files(truth, config.evaluation.ap, result["num_queries_without_positives"])
    if flags.json:
        run_results.write(flags.json, result, text)
    print(table.plain({result["name"]: result}, text))


def evaluate_run(run, flags, config):
    """Evaluate rankings of a run, write results/ and report.html, print the table."""
    if flags.validation and flags.report:
        raise InputError("--report shows query and gallery; leave it out with --validation")
    base = os.path.join(run, "validation") if flags.validation else run
    found = run_results.find_rankings(os.path.join(base, "rankings"), flags.method)
    truth = run_results.read_ground_truth(run, config, flags.validation)
    rankings, results = {}, {}
    for name, path in found.items():  # all before anything is written
        about = run_results.check_belongs(run, path, config, flags.validation)
        rankings[name], results[name] = run_results.evaluate(path, truth, config.evaluation, about)
    skipped = next(iter(results.values()))["num_queries_without_positives"]
    text = caption.of_run(config.data, truth, config.evaluation.ap, skipped, run_results.read_train_index(run),
                          config.evaluation.validation_queries if flags.validation else None, config.evaluation.note)
    for name, result in results.items():
        run_results.write(os.path.join(base, "results", name + ".json"), result, text)
    files.write_text(os.path.join(base, "results", "table.md"), table.markdown(results, text))
    print(table.plain(results, text), flush=True)
    if flags.report is not False and not flags.validation:
        pictures, note = _pictures(config, truth)
        report.write(os.path.join(run, "report.html"), os.path.basename(os.path.abspath(run)), text, results, rankings,
                     truth, config.evaluation.report_queries, pictures, note)
        print("report: {}".format(os.path.join(run, "report.html")))


def _refuse(flags, names, why):
    for name in names:
        if getattr(flags, name) not in (None, False):
            raise InputError("--{} {}".format(name, why))


def _pictures(config, truth):
    """Return ((query_image, gallery_image), '') or, when the data cannot be read any more, (None, why)."""
    from slim_retrieval.datasets.factory import read_split  # only the report looks at images
    readers = []
    for split, index in (("query", truth.query), ("gallery", truth.gallery)):
        try:
            images = read_split(configuration.to_plain(config.data), split, config.run.seed)
        except (InputError, OSError) as error:
            note = "Without pictures: {}".format(" ".join(str(error).split()))
            print(note)
            return None, note
        # By path: extraction may have left out rows that could not be read.
        rows = {path: row for row, path in enumerate(images.paths)}
        readers.append(lambda row, rows=rows, images=images, index=index: images.load(_row(rows, index.paths[row])))
    return tuple(readers), ""


def _row(rows, path):
    if path not in rows:
        raise InputError("{} is not in the data".format(path))
    return rows[path]


if __name__ == "__main__":
    main()

"""The tree's rules of import: one spelling, one direction, and no TensorFlow where none is needed."""
import glob
import os
import re
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDERS = ["common", "nets", "datasets", "losses", "training", "graph", "evaluation"]
SOURCES = [path for part in FOLDERS + ["tests", "benchmarks", "."]
           for path in glob.glob(os.path.join(ROOT, part, "**" if part != "." else "", "*.py"), recursive=True)]
BARE = re.compile(r"^\s*(?:from|import)\s+(?:{})\b".format("|".join(FOLDERS)), re.MULTILINE)
OURS = re.compile(r"^\s*(?:from|import)\s+slim_retrieval\.(\w+)", re.MULTILINE)


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def test_the_patterns_find_what_they_should():
    assert BARE.search("import os\nfrom graph import knn") and BARE.search("    import datasets.folder")
    assert not BARE.search("from slim_retrieval.graph import knn") and not BARE.search("from graphs import x")
    assert OURS.findall("from slim_retrieval.graph import knn\n  from slim_retrieval.common.files import x") == [
        "graph", "common"]
    assert os.path.join(ROOT, "graph", "knn.py") in SOURCES and os.path.abspath(__file__) in SOURCES


def test_our_folders_are_imported_by_their_full_name_only():
    mine = os.path.abspath(__file__)
    assert [path for path in SOURCES if BARE.search(read(path)) and os.path.abspath(path) != mine] == []


def test_top_folders_have_no_init():
    """An __init__.py would make a bare `datasets` importable and shadow other people's."""
    assert [folder for folder in FOLDERS if os.path.exists(os.path.join(ROOT, folder, "__init__.py"))] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_one_way(folder):
    allowed = {"common", folder} | ({"nets", "datasets", "losses"} if folder == "training" else set())
    wrong = {os.path.basename(path): sorted(set(OURS.findall(read(path))) - allowed)
             for path in glob.glob(os.path.join(ROOT, folder, "*.py"))}
    assert {name: names for name, names in wrong.items() if names} == {}


def test_graph_evaluation_and_data_sets_leave_tensorflow_out():
    modules = ["slim_retrieval.{}.{}".format(folder, os.path.basename(path)[:-3])
               for folder in ("graph", "evaluation") for path in glob.glob(os.path.join(ROOT, folder, "*.py"))
               if not path.endswith("_training.py")]
    modules += ["slim_retrieval.commands." + name for name in ("retrieve", "eval_map", "tune")]
    # Data sets are prepared and lists are read without it; the input pipeline of the networks needs it.
    modules += ["slim_retrieval.datasets." + os.path.basename(path)[:-3]
                for path in glob.glob(os.path.join(ROOT, "datasets", "*.py")) if not path.endswith("pipeline.py")]
    code = ("import importlib, sys\nfor name in {!r}:\n    importlib.import_module(name)\n"
            "found = [m for m in ('tensorflow', 'tf_slim', 'tf_keras', 'keras') if m in sys.modules]\n"
            "sys.exit('imported: ' + str(found) if found else 0)").format(modules)
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert "slim_retrieval.graph.knn" in modules and any("evaluation" in name for name in modules)

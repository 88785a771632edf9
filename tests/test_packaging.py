"""What pip reads: which Pythons are served, and what each extra installs on each of them."""
import json
import os
import subprocess
import sys

import pytest
from packaging.requirements import Requirement  # comes with pytest
from packaging.specifiers import SpecifierSet

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVED = ["3.7", "3.10", "3.11", "3.12", "3.13"]
REFUSED = ["2.7", "3.5", "3.6", "3.8", "3.9", "3.14", "3.15", "4.0"]

# setup.py on another Python: only the number is another, and setup() shows what it was given instead of building.
SETUP = """
import json, sys
import setuptools
setuptools.setup = lambda **kwargs: print(json.dumps(kwargs))
sys.version_info = ({}, 0, "final", 0)
exec(compile(open("setup.py").read(), "setup.py", "exec"), {{"__name__": "__main__"}})
"""


def run_setup(version):
    return subprocess.run([sys.executable, "-c", SETUP.format(version.replace(".", ", "))], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def given():
    """What setup.py hands to setup()."""
    return json.loads(run_setup("3.11").stdout)


def pyproject_line(start):
    """Return the value of the only line of pyproject.toml that begins with `start` (Python 3.7 reads no TOML)."""
    with open(os.path.join(ROOT, "pyproject.toml")) as stream:
        lines = [line[len(start):].strip() for line in stream if line.startswith(start)]
    assert len(lines) == 1
    return lines[0].strip('"')


@pytest.mark.parametrize("version", SERVED)
def test_served_pythons_are_taken(version):
    done = run_setup(version)
    assert (done.returncode, done.stderr) == (0, "") and "extras_require" in done.stdout


@pytest.mark.parametrize("version", REFUSED)
def test_other_pythons_are_refused(version):
    done = run_setup(version)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == "slim-retrieval needs Python 3.7 (TensorFlow 1.15) or 3.10, 3.11, 3.12, 3.13 " \
                          "(TensorFlow 2); this is Python {}\n".format(version)


def test_pip_refuses_the_same_pythons():
    wanted = SpecifierSet(pyproject_line("requires-python = "))
    for patch in (0, 9, 17):
        assert [v for v in SERVED + REFUSED if "{}.{}".format(v, patch) in wanted] == SERVED


def test_build_backend_knows_editable_installs():
    backend = Requirement(pyproject_line("requires = ").strip('[]"'))
    assert backend.name == "setuptools" and "64" in backend.specifier and "63.4.3" not in backend.specifier


def installed(given, extra, version):
    """Return {package: requirement} that an extra installs on a Python."""
    environment = {"python_version": version, "python_full_version": version + ".0"}
    wanted = [Requirement(text) for text in given["extras_require"][extra]]
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate(environment)]
    assert len({r.name for r in wanted}) == len(wanted)
    return {r.name: r for r in wanted}


def takes(requirement, *versions):
    return [version in requirement.specifier for version in versions]


@pytest.mark.parametrize("extra, tensorflow, faiss, faiss_version", [
    ("cpu", "tensorflow", "faiss-cpu", "1.7.4"), ("gpu", "tensorflow-gpu", "faiss-gpu", "1.7.2")])
def test_python_3_7_gets_tensorflow_1(given, extra, tensorflow, faiss, faiss_version):
    wanted = installed(given, extra, "3.7")
    assert set(wanted) == {"tf-slim", "protobuf", "numpy", "numba", tensorflow, faiss}
    assert takes(wanted[tensorflow], "1.14.0", "1.15.0", "1.15.5", "2.0.0", "2.11.0") == [False, True, True, False,
                                                                                        False]
    assert takes(wanted["protobuf"], "3.20.3", "3.21.0", "4.24.4") == [True, False, False]
    assert takes(wanted["numpy"], "1.17.5", "1.18.5", "1.21.6", "1.22.0", "2.0.0") == [False, True, True, False, False]
    assert str(wanted[faiss].specifier) == "==" + faiss_version
    assert str(wanted["tf-slim"].specifier) == "==1.1.0"


@pytest.mark.parametrize("version", SERVED[1:])
@pytest.mark.parametrize("extra, faiss, extras", [("cpu", "faiss-cpu", set()), ("gpu", "faiss-gpu", {"and-cuda"})])
def test_later_pythons_get_tensorflow_2(given, extra, faiss, extras, version):
    wanted = installed(given, extra, version)
    assert set(wanted) == {"tf-slim", "tf-keras", "tensorflow", "numba", faiss}
    for name in ("tensorflow", "tf-keras"):  # tf-keras has TensorFlow's minor versions
        assert takes(wanted[name], "1.15.5", "2.14.1", "2.15.0", "2.21.0", "2.22.0") == [False, False, True, True,
                                                                                       False]
    assert wanted["tensorflow"].extras == extras
    assert str(wanted["tf-slim"].specifier) == "==1.1.0"


@pytest.mark.parametrize("version", SERVED)
def test_cpu_and_gpu_share_no_build(given, version):
    """Two builds of one library in one environment overwrite each other's files."""
    cpu, gpu = installed(given, "cpu", version), installed(given, "gpu", version)
    assert [name for name in cpu if name.startswith("faiss")] != [name for name in gpu if name.startswith("faiss")]
    for wanted in (cpu, gpu):
        assert len([name for name in wanted if name.startswith("faiss")]) == 1
        assert len([name for name in wanted if name in ("tensorflow", "tensorflow-gpu")]) == 1


def test_this_environment_is_what_the_extra_asks_for(given):
    from importlib import import_module
    version = "{}.{}".format(*sys.version_info[:2])
    wanted = installed(given, "cpu", version)
    for module, name in [("numpy", "numpy"), ("faiss", "faiss-cpu")]:
        if name in wanted:
            assert import_module(module).__version__ in wanted[name].specifier


def test_test_extra(given):
    assert set(installed(given, "test", "3.7")) >= {"pytest"} and set(installed(given, "test", "3.11")) >= {"pytest"}


def test_every_folder_of_code_is_a_package_and_every_script_a_command(given):
    folders = {name for name in os.listdir(ROOT) if os.path.isdir(os.path.join(ROOT, name))
               and name not in ("tests", "benchmarks") and not name.startswith(".")
               and any(file.endswith(".py") for file in os.listdir(os.path.join(ROOT, name)))}
    assert set(given["packages"]) == {"slim_retrieval." + name for name in folders | {"commands"}}
    assert given["package_dir"] == dict({"slim_retrieval." + name: name for name in folders},
                                        **{"slim_retrieval.commands": "."})
    scripts = [name[:-3] for name in os.listdir(ROOT) if name.endswith(".py") and name != "setup.py"]
    assert sorted(given["entry_points"]["console_scripts"]) == sorted(
        "{0} = slim_retrieval.commands.{0}:main".format(name) for name in scripts)


def test_no_folder_is_a_package_of_its_own(given):
    """An __init__.py would make `import datasets` find ours instead of other people's."""
    for folder in given["package_dir"].values():
        assert "__init__.py" not in os.listdir(os.path.join(ROOT, folder)), folder

import os
import shlex
import sys

import pytest
import yaml

from slim_retrieval.common import config as configuration
from slim_retrieval.common import runs
from slim_retrieval.common.errors import InputError


@pytest.fixture
def make(tmp_path):
    """Create a run under tmp_path/runs, with its config.yaml."""
    def made(name):
        config = configuration.resolve(None, {"run.name": name, "run.directory": str(tmp_path / "runs")})
        path = runs.create(config, "configs/unused.yaml")
        runs.save_config(path, config)
        return path
    return made


def test_create_makes_the_folder_named_in_the_config(tmp_path):
    config = configuration.resolve(None, {"run.name": "shoes", "run.directory": str(tmp_path / "a" / "runs")})
    assert runs.create(config, "configs/other.yaml") == str(tmp_path / "a" / "runs" / "shoes")
    assert os.listdir(str(tmp_path / "a" / "runs")) == ["shoes"]
    assert runs.create(config, "configs/other.yaml") == str(tmp_path / "a" / "runs" / "shoes")  # it may exist


def test_who_does_the_work_is_not_kept(tmp_path):
    config = configuration.resolve(None, {"run.name": "a", "run.directory": str(tmp_path), "training.steps": "7",
                                          "jobs.backend": "dask", "jobs.scheduler": "tcp://10.0.0.1:8786"})
    run = runs.create(config, "")
    runs.save_config(run, config)
    kept = configuration.resolve(runs.config_path(run))
    assert (kept.jobs.backend, kept.jobs.scheduler, kept.training.steps) == ("serial", "", 7)


def test_create_takes_the_config_files_name(tmp_path):
    config = configuration.resolve(None, {"run.directory": str(tmp_path)})
    assert runs.create(config, "configs/fashion.mnist.yaml") == str(tmp_path / "fashion.mnist")
    assert config.run.name == "fashion.mnist"


@pytest.mark.parametrize("name", ["latest", ".", "..", ".hidden", "a/b", "../a", "/a"])
def test_names_that_cannot_be(tmp_path, name):
    config = configuration.resolve(None, {"run.name": name, "run.directory": str(tmp_path)})
    with pytest.raises(InputError) as caught:
        runs.create(config, "x.yaml")
    assert str(caught.value) == "run.name: {!r} cannot name a run; use a plain word".format(name)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("in_the_way", ["runs", "runs/shoes"])
def test_a_file_in_the_way(tmp_path, in_the_way):
    (tmp_path / in_the_way).parent.mkdir(exist_ok=True)
    (tmp_path / in_the_way).write_text("")
    config = configuration.resolve(None, {"run.name": "shoes", "run.directory": str(tmp_path / "runs")})
    with pytest.raises(InputError, match="is no folder; give another --run.name or --run.directory"):
        runs.create(config, "x.yaml")


def test_find_by_name_and_by_path(make, tmp_path):
    path = make("shoes")
    directory = str(tmp_path / "runs")
    assert runs.find("shoes", directory) == path
    assert runs.find(path, "elsewhere") == path
    assert runs.find(path + os.sep, "elsewhere") == path


def test_find_prefers_nothing_that_is_no_run(make, tmp_path, monkeypatch):
    path = make("shoes")
    (tmp_path / "shoes").mkdir()  # a folder of that name in the working directory, but no run
    monkeypatch.chdir(tmp_path)
    assert runs.find("shoes") == os.path.join("runs", "shoes") and os.path.samefile("runs/shoes", path)


def test_latest_is_the_one_pointed_at_last(make, tmp_path):
    directory = str(tmp_path / "runs")
    for name in ("shoes", "hats", "shoes"):
        runs.point_latest(make(name))
        assert runs.find(None, directory) == os.path.join(directory, name)
    assert sorted(os.listdir(directory)) == ["hats", "latest", "shoes"]


def test_latest_is_relative_and_survives_a_move(make, tmp_path):
    runs.point_latest(make("shoes"))
    assert os.readlink(str(tmp_path / "runs" / "latest")) == "shoes"
    os.rename(str(tmp_path / "runs"), str(tmp_path / "moved"))
    assert runs.find(None, str(tmp_path / "moved")) == str(tmp_path / "moved" / "shoes")


def test_latest_by_a_relative_path(make, tmp_path, monkeypatch):
    make("shoes")
    monkeypatch.chdir(tmp_path)
    runs.point_latest(os.path.join("runs", "shoes") + os.sep)
    assert runs.find() == os.path.join("runs", "shoes")


def test_latest_is_followed_at_once(make, tmp_path):
    """A training that starts in the meantime must not turn an extraction to another run."""
    directory = str(tmp_path / "runs")
    runs.point_latest(make("shoes"))
    found = [runs.find("latest", directory), runs.find(os.path.join(directory, "latest")), runs.find(None, directory)]
    runs.point_latest(make("hats"))
    assert found == [os.path.join(directory, "shoes")] * 3


def test_latest_may_point_out_of_the_folder(make, tmp_path):
    path = make("shoes")
    (tmp_path / "other").mkdir()
    os.symlink(path, str(tmp_path / "other" / "latest"))
    assert runs.find(None, str(tmp_path / "other")) == path


@pytest.mark.parametrize("break_it", [
    lambda directory: None,
    lambda directory: directory.mkdir(),
    lambda directory: [directory.mkdir(), os.symlink("gone", str(directory / "latest"))]])
def test_no_latest(tmp_path, break_it):
    break_it(tmp_path / "runs")
    directory = str(tmp_path / "runs")
    with pytest.raises(InputError) as caught:
        runs.find(None, directory)
    assert str(caught.value) == "no run in {}/; train first (train_multi_gpu.py --config ...) or name one with " \
                                "--run".format(directory)


def test_a_folder_called_latest_is_not_replaced(make, tmp_path):
    path = make("shoes")
    (tmp_path / "runs" / "latest").mkdir()
    with pytest.raises(InputError, match="latest is a folder, but must be a link to the newest run; rename it"):
        runs.point_latest(path)
    assert sorted(os.listdir(str(tmp_path / "runs"))) == ["latest", "shoes"]


def test_unknown_run_names_the_nearest(make, tmp_path):
    make("fashion_mnist")
    directory = str(tmp_path / "runs")
    with pytest.raises(InputError) as caught:
        runs.find("fashoin_mnist", directory)
    assert str(caught.value) == "no run fashoin_mnist (did you mean fashion_mnist?): neither it nor {} holds a " \
                                "config.yaml".format(os.path.join(directory, "fashoin_mnist"))
    with pytest.raises(InputError, match="^no run x: neither it nor nowhere.x holds a config.yaml$"):
        runs.find("x", "nowhere")


def test_saved_config_says_what_ran(make, tmp_path, monkeypatch):
    argv = ["train_multi_gpu.py", "--config", "a b.yaml", "--cfa.levels", "[{k: [3]}]", "--data.path", "${cache:x}"]
    monkeypatch.setattr(sys, "argv", argv)
    config = configuration.resolve(None, {"run.name": "shoes", "run.directory": str(tmp_path / "runs"),
                                          "run.seed": "11", "training.steps": "3"})
    path = runs.create(config, "x.yaml")
    runs.save_config(path, config)
    with open(runs.config_path(path)) as stream:
        saved = yaml.safe_load(stream)
    assert saved["training"]["steps"] == 3 and saved["run"]["name"] == "shoes"
    provenance = saved["provenance"]
    assert shlex.split(provenance["command_line"]) == argv  # it can be pasted into a shell
    assert provenance["seed"] == 11
    assert provenance["versions"]["python"] == "{}.{}.{}".format(*sys.version_info[:3])
    assert provenance["versions"]["numpy"] == sys.modules["numpy"].__version__
    assert len(provenance["written"]) == len("2020-01-31 12:00:00")
    assert configuration.resolve(runs.config_path(path)) == config
    assert os.listdir(path) == ["config.yaml"]

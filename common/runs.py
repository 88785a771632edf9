"""The run directory: how the stages hand over.

    runs/<name>/config.yaml                resolved configuration, versions, command line, seed
    runs/<name>/checkpoints/               Saver files; complete or absent, never half
    runs/<name>/logs/                      TensorBoard events
    runs/<name>/features/<split>/          features.npy, index.csv, meta.json
    runs/<name>/graph/<key>/               ids.npy, similarities.npy, meta.json
    runs/<name>/rankings/<method>.npy      and <method>.json
    runs/<name>/results/<method>.json      and table.md; report.html
    runs/latest                            a link to the newest run
"""
import os
import shlex
import sys
import time

from slim_retrieval.common import config as configuration
from slim_retrieval.common.errors import InputError, nearest
from slim_retrieval.common.files import check_writable, remove, write_yaml
from slim_retrieval.common.machine import versions


def create(config, config_path):
    """Return the folder of the run that `config` names, made if needed, and write the name into `config`.

    The name is `run.name`, else the config file's name without its ending.

    Raises:
      InputError: the name is no plain word, or nothing can be written there.
    """
    name = config.run.name or os.path.splitext(os.path.basename(config_path))[0]
    if name in ("", "latest") or name.startswith(".") or os.sep in name:
        raise InputError("run.name: {!r} cannot name a run; use a plain word".format(name))
    config.run.name = name
    path = os.path.join(config.run.directory, name)
    check_writable(path, "give another --run.name or --run.directory")
    os.makedirs(path, exist_ok=True)
    return path


def point_latest(run):
    """Make `latest`, beside the run, a relative link to it (so that the folder can be moved)."""
    link = os.path.join(os.path.dirname(os.path.abspath(run)), "latest")
    if os.path.isdir(link) and not os.path.islink(link):
        raise InputError("{} is a folder, but must be a link to the newest run; rename it".format(link))
    temporary = link + ".partial-{}".format(os.getpid())
    remove(temporary)
    os.symlink(os.path.basename(os.path.abspath(run)), temporary)
    os.replace(temporary, link)


def find(run=None, directory="runs"):
    """Return the folder of an existing run: a path, a name under `directory`, or (None) the newest.

    Raises:
      InputError: there is no such run; the message names the nearest.
    """
    if run is None:
        latest = os.path.join(directory, "latest")
        if not os.path.isdir(latest):
            raise InputError("no run in {}/; train first (train_multi_gpu.py --config ...) or name one with "
                             "--run".format(directory))
        return _follow(latest)
    for path in (run, os.path.join(directory, run)):
        if os.path.isfile(os.path.join(path, "config.yaml")):
            return _follow(path.rstrip(os.sep))
    known = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    raise InputError("no run {}{}: neither it nor {} holds a config.yaml".format(
        run, nearest(run, known), os.path.join(directory, run)))


def _follow(path):
    """Return the run that `latest` stands for: the link may point elsewhere before the caller is done."""
    return os.path.join(os.path.dirname(path), os.readlink(path)) if os.path.islink(path) else path


def config_path(run):
    """Return where the run's resolved configuration lies."""
    return os.path.join(run, "config.yaml")


def save_config(run, config):
    """Write the resolved configuration with versions, command line and seed into the run."""
    plain = configuration.to_plain(config)
    del plain["jobs"]  # who does the work is a command's own affair: the scheduler may be gone by the next
    write_config(config_path(run), plain)


def write_config(path, plain):
    """Write a configuration, nested dicts, with versions, command line and seed as YAML."""
    plain = dict(plain)
    plain["provenance"] = {"command_line": " ".join(shlex.quote(word) for word in sys.argv),
                           "seed": plain["run"]["seed"], "versions": versions(),
                           "written": time.strftime("%Y-%m-%d %H:%M:%S")}
    write_yaml(path, plain)

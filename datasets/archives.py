"""Archives of package managers (npm, apt-get, pip): looked for in folders, downloaded only then, never installed."""
import glob
import os
import re
import shutil
import subprocess
import tarfile
import tempfile

from slim_retrieval.common.errors import InputError

SECONDS = 600


def obtain(pattern, command, folders, cache, option):
    """Return the path of the archive whose name fits `pattern`; without one, run `command` and keep it in `cache`.

    Args:
      pattern: glob pattern of the archive's file name; of several the last by name is taken.
      command: list of words; leaves the archive in the folder that it runs in.
      folders: where to look first, in this order; None among them is skipped.
      cache: folder to look in after these, and to download into.
      option: flag with which a user names a folder of archives, for messages.

    Raises:
      InputError: the command is not there, fails, takes longer than SECONDS or leaves no archive.
    """
    for folder in list(folders) + [cache]:
        found = sorted(glob.glob(os.path.join(glob.escape(folder), pattern))) if folder else []
        if found:
            return found[-1]
    os.makedirs(cache, exist_ok=True)
    # Into a folder of its own first: an archive cut short must not be found by the next run.
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        print("downloading: {}".format(" ".join(command)), flush=True)
        run(command, temporary, option)
        found = glob.glob(os.path.join(temporary, pattern))
        if not found:
            raise InputError("{} left no {}; put it into a folder and name that with {}".format(
                " ".join(command), pattern, option))
        return shutil.move(found[0], os.path.join(cache, os.path.basename(found[0])))


def obtain_npm(name, version, folders, cache, option):
    """Return the path of an npm package's archive, as `obtain`."""
    return obtain("{}-{}.tgz".format(name, version), ["npm", "pack", "{}@{}".format(name, version)], folders, cache,
                  option)


def read_tar(path, keep):
    """Return {path: bytes} of the files in a tar archive that `keep(path)` accepts.

    Raises:
      InputError: it is cut short, damaged or no archive.
    """
    try:
        with tarfile.open(path) as tar:
            return members(tar, keep)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError("{} cannot be read ({}); delete it and run the same command again".format(
            path, error)) from error


def members(tar, keep):
    """Return {path: bytes} of the files in an open tar archive that `keep(path)` accepts."""
    return {member.name: tar.extractfile(member).read() for member in tar if member.isfile() and keep(member.name)}


def run(command, folder, option):
    """Return what the command wrote to stdout; errors as of `obtain`."""
    if shutil.which(command[0]) is None:
        raise InputError("there is no {} here; install it, or put the archives into a folder and name that with "
                         "{}".format(command[0], option))
    try:
        return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=SECONDS, check=True).stdout
    except subprocess.TimeoutExpired as error:
        raise InputError("{} took longer than {} s; try again, or name a folder of archives with {}".format(
            " ".join(command), SECONDS, option)) from error
    except subprocess.CalledProcessError as error:
        raise InputError("{} ended with {}: {}; name a folder of archives with {}{}".format(
            " ".join(command), error.returncode, _cause(error.stderr.decode(errors="replace")), option,
            ", or run apt-get update" if command[0] == "apt-get" else "")) from error


def _cause(said):
    """Return the line of a client's errors that says why: npm's first one with a code, otherwise the last."""
    lines = said.strip().splitlines() or ["no output"]
    return next((line for line in lines if re.match(r"npm (error|ERR!) code ", line)), lines[-1]).strip()

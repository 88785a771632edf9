"""Errors as part of the interface: one line, both values, what to do; exit status 2 for bad input."""
import difflib
import errno
import functools
import sys


class InputError(Exception):
    """Something the user gave cannot be used. The message is one line and says what to do."""


def nearest(name, known):
    """Return ' (did you mean X?)' for the known name closest to `name`, or '' when none is close."""
    close = difflib.get_close_matches(str(name), [str(k) for k in known], n=1, cutoff=0.5)
    return " (did you mean {}?)".format(close[0]) if close else ""


def lookup(registry, name, what):
    """Return `registry[name]`.

    Raises:
      InputError: the name is unknown; the message lists the known ones and the nearest.
    """
    if name not in registry:
        raise InputError("unknown {} {!r}{}; known: {}".format(
            what, name, nearest(name, registry), ", ".join(sorted(registry))))
    return registry[name]


# What is wrong with a place that the user named. Other OSErrors are faults of the program and keep their traceback.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WRONG_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG)


def command(main):
    """Wrap a script's `main`: one line and exit status 2 for InputError and for a place that cannot be read or written,
    1 for a full disk, 130 for Ctrl-C."""
    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except InputError as error:
            _fail(error, 2)
        except OSError as error:
            if error.errno in _WRONG_PLACE and error.filename:
                _fail("{}: {}; give another place, or make this one fit to be read and written".format(
                    error.filename, error.strerror), 2)
            if error.errno not in _FULL:
                raise
            where = " while writing {}".format(error.filename) if error.filename else ""
            _fail("no space left{}: {}; free some space and run the same command again".format(
                where, error.strerror), 1)
        except KeyboardInterrupt:
            _fail("interrupted; run the same command again to resume", 130)
    return wrapped


def _fail(message, status):
    one_line = " ".join(str(message).split())
    sys.stdout.flush()
    print("error: " + one_line, file=sys.stderr, flush=True)
    sys.exit(status)

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


def command(main):
    """Wrap a script's `main`: InputError exits 2 with one line, a full disk exits 1 with one line, Ctrl-C 130."""
    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        try:
            return main(*args, **kwargs)
        except InputError as error:
            _fail(error, 2)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
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

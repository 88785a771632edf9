"""One YAML and the command line -> one checked `Config`. Only the scripts call this.

Order: the schema's defaults, then the YAML file, then flags (`--training.steps 100`, `--losses.0.weight 0.5`).
An unknown key, a wrong type or a value out of range is an InputError of one line.
"""
import argparse
import dataclasses
import inspect
import sys

import yaml
from omegaconf import OmegaConf, SCMode
from omegaconf.errors import OmegaConfBaseException

from slim_retrieval.common import config_file, fields
from slim_retrieval.common.errors import InputError, nearest
from slim_retrieval.common.files import cache_folder
from slim_retrieval.common.help import Help, overview
from slim_retrieval.common.schema import Config

# OmegaConf 2.4 warns at every call of register_new_resolver; 2.3 has an older function under the new name.
_register = (OmegaConf.register_resolver if "replace" in inspect.signature(OmegaConf.register_resolver).parameters
             else OmegaConf.register_new_resolver)
_register("cache", cache_folder, replace=True)  # ${cache:NAME} in a config


def build_parser(doc):
    """Return an argparse parser with --config and --help; scripts add their own flags to it.

    Args:
      doc: the script's docstring: what it does, a blank line, and examples and more for the end of the help. The
        schema's fields are flags as well, but `parse` takes them off the command line itself.
    """
    description, _, more = doc.partition("\n\n")
    parser = _Parser(description=description, epilog=overview() + "\n\n" + more.strip("\n"), allow_abbrev=False,
                     add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-h", "--help", nargs="*", action=Help, default=argparse.SUPPRESS, metavar="SECTION",
                        help="show this, or all fields of sections of the configuration")
    parser.add_argument("--config", default=None, metavar="FILE", help="YAML file of the experiment")
    return parser


def parse(parser, argv=None):
    """Parse the command line; return (the script's own flags, {dotted key: text} of the schema's, in their order)."""
    overrides, rest = _take_fields(sys.argv[1:] if argv is None else argv)
    flags, unknown = parser.parse_known_args(rest)
    if unknown:
        _refuse(unknown[0].partition("=")[0], parser)
    return flags, overrides


def resolve(path=None, overrides=None):
    """Return the checked Config (an OmegaConf object with attribute access).

    Args:
      path: YAML file, or None for the defaults.
      overrides: {dotted key: YAML text} from the command line.

    Raises:
      InputError: file missing, not YAML, unknown key, wrong type or value out of range.
    """
    config = OmegaConf.structured(Config)
    if path is not None:
        values = config_file.read(path)
        fields.check_types(Config, values, where=path + ": ")
        values.pop("provenance", None)  # about an earlier command; its text may hold ${...}
        config = _merge(config, values, path + ": ")
    for key, text in (overrides or {}).items():
        config = _override(config, key, text)
    try:
        fields.check_ranges(config)  # its look at every value is also what finds a ${...} that leads nowhere
        to_plain(config)
    except OmegaConfBaseException as error:
        raise InputError(_explain(error)) from error
    return config


def to_plain(config):
    """Return the configuration as nested dicts and lists."""
    return OmegaConf.to_container(config, resolve=True, structured_config_mode=SCMode.DICT)


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise InputError("{}; --help explains the flags".format(message))


def _take_fields(argv):
    """Return ({dotted key: text} of the schema's flags, all other words).

    Not argparse's work: it knows no flags into lists (--losses.0.weight) and takes the value -1e-3 for a flag.
    """
    overrides, rest, words = {}, [], iter(argv)
    for word in words:
        flag, equals, text = word.partition("=")
        key = flag[2:]
        if not flag.startswith("--") or not _is_flag(key):
            rest.append(word)
            continue
        if not equals:
            text = next(words, "--")
            if text.startswith("--"):
                raise InputError("{} needs a value".format(flag))
        overrides.pop(key, None)
        overrides[key] = text
    return overrides, rest


def _refuse(flag, parser):
    if not flag.startswith("--"):
        raise InputError("unexpected argument {!r}; --help explains the flags".format(flag))
    known = ["--" + key for key in fields.known_keys(flag) if _is_flag(key)]
    if any(name.startswith(flag + ".") for name in known):
        raise InputError("{} is a section; set its fields one by one, such as {}".format(
            flag, next(name for name in known if name.startswith(flag + "."))))
    known += [option for action in parser._actions for option in action.option_strings]
    raise InputError("unknown flag {}{}".format(flag, nearest(flag, known) or "; --help all lists all"))


def _is_flag(key):
    kind = fields.find(key)
    return kind is not None and not dataclasses.is_dataclass(kind) and key.split(".")[0] != "provenance"


def _merge(config, values, where):
    try:
        return OmegaConf.merge(config, values)
    except OmegaConfBaseException as error:
        raise InputError(where + _explain(error)) from error


def _override(config, key, text):
    where, kind = "--{}: ".format(key), fields.find(key)
    if kind is None:
        raise InputError("{}unknown key{}".format(where, nearest(key, fields.known_keys(key))))
    try:
        # Text stays text: --run.name 2020 names a run, it is no number.
        value = text if kind is str else config_file.loads(text, kind)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError("{}{!r} is not a valid value: {}".format(
            where, text, getattr(error, "problem", None) or error)) from error
    fields.check_types(kind, value, key, "--")
    if not any(part.isdigit() for part in key.split(".")):
        for part in reversed(key.split(".")):
            value = {part: value}
        return _merge(config, value, where)
    _check_item(config, key, where)
    try:
        OmegaConf.update(config, key, value)
    except OmegaConfBaseException as error:
        raise InputError(where + _explain(error)) from error
    return config


def _check_item(config, key, where):
    """Refuse a flag for an item that its list does not have."""
    parts = key.split(".")
    for i, part in enumerate(parts):
        items = OmegaConf.select(config, ".".join(parts[:i])) if part.isdigit() else None
        if OmegaConf.is_list(items) and not len(items):
            raise InputError("{}{} has no items yet; give the whole list first".format(where, ".".join(parts[:i])))
        if OmegaConf.is_list(items) and int(part) >= len(items):
            raise InputError("{}{} has {} item(s), the first is {}".format(
                where, ".".join(parts[:i]), len(items), ".".join(parts[:i] + ["0"])))


def _explain(error):
    """Return OmegaConf's complaint as one line with the key in front."""
    message = str(getattr(error, "msg", None) or error).split("\n")[0]
    key = getattr(error, "full_key", None)
    return message if not key or key in message else "{}: {}".format(key, message)


def first_difference(old, new, prefix, ignored=()):
    """Return (dotted key, old value, new value) of the first difference between two plain values, else three None."""
    if any(prefix == key or prefix.startswith(key + ".") for key in ignored):
        return None, None, None
    if isinstance(old, dict) and isinstance(new, dict):
        for key in list(old) + [k for k in new if k not in old]:
            found = first_difference(old.get(key), new.get(key), "{}.{}".format(prefix, key), ignored)
            if found[0]:
                return found
        return None, None, None
    return (prefix, old, new) if old != new else (None, None, None)

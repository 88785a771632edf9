"""One YAML and the command line -> one checked `Config`. Only the scripts call this.

Order: the schema's defaults, then the YAML file, then flags (`--training.steps 100`, `--losses.0.weight 0.5`).
An unknown key, a wrong type or a value out of range is an InputError of one line.
"""
import argparse
import dataclasses
import os
import re
import typing

import yaml
from omegaconf import OmegaConf, SCMode
from omegaconf.errors import OmegaConfBaseException
from slim_retrieval.common.errors import InputError, nearest
from slim_retrieval.common.schema import Config


def build_parser(description, epilog=""):
    """Return an argparse parser with one flag per field of the schema; scripts add their own flags to it."""
    parser = _Parser(description=description, epilog=epilog, allow_abbrev=False,
                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=None, metavar="FILE", help="YAML file of the experiment")
    for name, (cls, text) in _sections(Config).items():
        group = parser.add_argument_group(name, text)
        for key, spec in _leaves(cls, name + ".").items():
            group.add_argument("--" + key, dest="field:" + key, default=argparse.SUPPRESS, metavar="VALUE",
                               help=_describe(spec).replace("%", "%%"))
    return parser


def parse(parser, argv=None):
    """Parse the command line; return (the script's own flags, {dotted key: text} of the schema's)."""
    namespace, rest = parser.parse_known_args(argv)
    overrides = {key[6:]: value for key, value in vars(namespace).items() if key.startswith("field:")}
    flags = argparse.Namespace(**{k: v for k, v in vars(namespace).items() if not k.startswith("field:")})
    overrides.update(_list_items(rest, parser))
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
        config = _merge(config, _read_yaml(path), path + ": ")
    for key, text in (overrides or {}).items():
        config = _override(config, key, text)
    _check_ranges(config)
    return config


def to_plain(config):
    """Return the configuration as nested dicts and lists."""
    return OmegaConf.to_container(config, resolve=True, structured_config_mode=SCMode.DICT)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader that also reads 1e-3 as a number (YAML 1.1 wants 1.0e-3)."""


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"),
                              list("-+0123456789"))


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise InputError("{}; --help lists everything".format(message))


def _read_yaml(path):
    if not os.path.isfile(path):
        raise InputError("no config file {}; give an existing YAML file with --config".format(path))
    try:
        with open(path, encoding="utf-8") as stream:
            value = yaml.load(stream, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("{} is not valid YAML: {}".format(path, error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError("{}: expected sections such as 'training:', got {!r}".format(path, value))
    return value


def _merge(config, values, where):
    for key in _dotted_keys(values):
        _check_known(key, where)
    try:
        return OmegaConf.merge(config, values)
    except OmegaConfBaseException as error:
        raise InputError(where + _explain(error)) from error


def _override(config, key, text):
    where = "--{}: ".format(key)
    _check_known(key, where)
    spec = _find(key)
    try:
        # Text stays text: --run.name 2020 names a run, it is no number.
        value = text if getattr(spec, "type", None) is str else yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise InputError("{}{!r} is not a valid value".format(where, text)) from error
    if not any(part.isdigit() for part in key.split(".")):
        nested = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        return _merge(config, nested, where)
    try:
        OmegaConf.update(config, key, value)
    except (OmegaConfBaseException, IndexError, ValueError, TypeError) as error:
        raise InputError(where + _explain(error)) from error
    return config


def _explain(error):
    """Return OmegaConf's complaint as one line with the key in front."""
    message = str(getattr(error, "msg", None) or error).split("\n")[0]
    key = getattr(error, "full_key", None)
    return message if not key or key in message else "{}: {}".format(key, message)


def _sections(cls):
    """Return {name: (dataclass or None, help)} of the schema's top level."""
    return {f.name: (f.type if dataclasses.is_dataclass(f.type) else f, f.metadata["help"])
            for f in dataclasses.fields(cls) if f.name != "provenance"}


def _leaves(cls, prefix=""):
    """Return {dotted key: dataclass field} of everything below a section."""
    if isinstance(cls, dataclasses.Field):
        return {prefix.rstrip("."): cls}
    found = {}
    for f in dataclasses.fields(cls):
        if dataclasses.is_dataclass(f.type):
            found.update(_leaves(f.type, prefix + f.name + "."))
        else:
            found[prefix + f.name] = f
    return found


def _all_leaves():
    found = {}
    for name, (cls, _) in _sections(Config).items():
        found.update(_leaves(cls, name + "."))
    return found


def _item_class(spec):
    """Return the dataclass of a list's items, or None."""
    arguments = getattr(spec.type, "__args__", None) or ()
    return next((a for a in arguments if dataclasses.is_dataclass(a)), None)


def _is_list(spec):
    return getattr(spec.type, "__origin__", None) in (list, typing.List)


def _is_dict(spec):
    return getattr(spec.type, "__origin__", None) in (dict, typing.Dict)


def _default(spec):
    return spec.default if spec.default is not dataclasses.MISSING else spec.default_factory()


def _describe(spec):
    default = _default(spec)
    if _item_class(spec):
        default = [dataclasses.asdict(item) for item in default]
        return "{}; each item has: {} (default: {})".format(
            spec.metadata["help"], ", ".join(f.name for f in dataclasses.fields(_item_class(spec))), default)
    parts = [spec.metadata["help"]]
    if spec.metadata.get("choices"):
        parts.append("one of: " + ", ".join(spec.metadata["choices"]))
    low, high = spec.metadata.get("minimum"), spec.metadata.get("maximum")
    if low is not None:
        parts.append("from {}{}".format(low, " to {}".format(high) if high is not None else ""))
    return "{} (default: {})".format("; ".join(parts), "''" if default == "" else default)


def _dotted_keys(values, prefix=""):
    """Yield the dotted keys of nested dicts and of dicts in lists."""
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        dotted = prefix + str(key)
        if prefix == "" and key == "provenance":
            continue
        yield dotted
        if isinstance(value, (dict, list)) and not _is_free(dotted):
            yield from _dotted_keys(value, dotted + ".")


def _is_free(key):
    spec = _find(key)
    return spec is not None and not dataclasses.is_dataclass(spec) and _is_dict(spec)


def _find(key):
    """Return the field (or section's dataclass) that a dotted key names, or None."""
    current = Config
    parts = key.split(".")
    for i, part in enumerate(parts):
        if dataclasses.is_dataclass(current):
            spec = {f.name: f for f in dataclasses.fields(current)}.get(part)
            if spec is None:
                return None
            current = spec.type if dataclasses.is_dataclass(spec.type) else spec
        elif _is_dict(current):
            return current
        elif _is_list(current) and part.isdigit():
            item = _item_class(current)
            if item is None:
                return current if i == len(parts) - 1 else None
            current = item
        else:
            return None
    return current


def _check_known(key, where):
    if _find(key) is None:
        generic = re.sub(r"\.\d+(?=\.|$)", "", key)
        known = list(_all_leaves()) + list(_sections(Config))
        for name, spec in _all_leaves().items():
            if _item_class(spec):
                known += ["{}.{}".format(name, f.name) for f in dataclasses.fields(_item_class(spec))]
        raise InputError("{}unknown key {}{}".format(where, key, nearest(generic, known) or "; --help lists all"))


def _list_items(rest, parser):
    """Return {dotted key: text} of flags into lists, such as --losses.0.weight 0.5; refuse anything else."""
    found, i = {}, 0
    while i < len(rest):
        flag, equals, text = rest[i].partition("=")
        key = flag[2:]
        if not flag.startswith("--"):
            raise InputError("unexpected argument {!r}; --help lists everything".format(rest[i]))
        if _find(key) is None or dataclasses.is_dataclass(_find(key)):
            known = [o for action in parser._actions for o in action.option_strings]
            raise InputError("unknown flag {}{}".format(flag, nearest(flag, known)))
        if not equals:
            i += 1
            if i == len(rest):
                raise InputError("{} needs a value".format(flag))
            text = rest[i]
        found[key] = text
        i += 1
    return found


def _check_ranges(config, cls=Config, prefix=""):
    for f in dataclasses.fields(cls):
        value, key = config[f.name], prefix + f.name
        if dataclasses.is_dataclass(f.type):
            if value is None:
                raise InputError("{}: expected a section, got nothing".format(key))
            _check_ranges(value, f.type, key + ".")
        elif _item_class(f):
            if not value:
                raise InputError("{}: expected at least one item, got {}".format(key, value))
            for i, item in enumerate(value):
                _check_ranges(item, _item_class(f), "{}.{}.".format(key, i))
        else:
            _check_value(f, key, value)


def _check_value(spec, key, value):
    choices = spec.metadata.get("choices")
    low, high = spec.metadata.get("minimum"), spec.metadata.get("maximum")
    if choices and value not in choices:
        raise InputError("{}: {!r} is not one of {}{}".format(key, value, ", ".join(choices), nearest(value, choices)))
    for number in (value if _is_list(spec) else [value]):
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            continue
        # Written so that NaN fails too.
        if (low is not None and not number >= low) or (high is not None and not number <= high):
            raise InputError("{}: {} is out of range; it must be {}".format(
                key, number, "from {} to {}".format(low, high) if high is not None else "at least {}".format(low)))

"""Walk the schema: list its fields, find one by its dotted name, and refuse values that do not fit."""
import dataclasses
import math
import typing

from slim_retrieval.common.errors import InputError, nearest
from slim_retrieval.common.schema import Config

_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def sections():
    """Return {name: (dataclass, or the dataclass field of a list, help)} of the schema's top level."""
    return {f.name: (f.type if dataclasses.is_dataclass(f.type) else f, f.metadata["help"])
            for f in dataclasses.fields(Config) if f.name != "provenance"}


def leaves(cls, prefix=""):
    """Return {dotted key: dataclass field} of everything below a section."""
    if isinstance(cls, dataclasses.Field):
        return {prefix.rstrip("."): cls}
    found = {}
    for f in dataclasses.fields(cls):
        if dataclasses.is_dataclass(f.type):
            found.update(leaves(f.type, prefix + f.name + "."))
        else:
            found[prefix + f.name] = f
    return found


def all_leaves():
    """Return {dotted key: dataclass field} of the whole schema."""
    found = {}
    for name, (cls, _) in sections().items():
        found.update(leaves(cls, name + "."))
    return found


def known_keys(key):
    """Return all dotted keys that are near in form to `key`: items of lists get the index that `key` has."""
    index = next((part for part in key.split(".") if part.isdigit()), "0")
    known = list(sections()) + list(all_leaves())
    for name, spec in all_leaves().items():
        if item_class(spec.type):
            known += ["{}.{}.{}".format(name, index, f.name) for f in dataclasses.fields(item_class(spec.type))]
    return known


def find(key):
    """Return the type that a dotted key such as `losses.0.weight` names, or None.

    It is a dataclass (a section), List[...], Dict[...], bool, int, float, str, or Any (below a Dict).
    """
    kind = Config
    for part in key.split("."):
        if dataclasses.is_dataclass(kind):
            kind = types(kind).get(part)
        elif is_dict(kind) or kind is typing.Any:
            kind = typing.Any
        elif is_list(kind) and part.isdigit():
            kind = kind.__args__[0]
        else:
            return None
    return kind


def types(cls):
    """Return {field name: type} of a dataclass."""
    return {f.name: f.type for f in dataclasses.fields(cls)}


def is_list(kind):
    """Return whether a type is List[...]."""
    return getattr(kind, "__origin__", None) in (list, typing.List)


def is_dict(kind):
    """Return whether a type is Dict[...] or Optional[Dict[...]]."""
    arguments = getattr(kind, "__args__", None) or ()
    return getattr(kind, "__origin__", None) in (dict, typing.Dict) or any(is_dict(a) for a in arguments)


def describe(spec):
    """Return a field's help: what it is, what it may be, its default."""
    default = spec.default if spec.default is not dataclasses.MISSING else spec.default_factory()
    item = item_class(spec.type)
    if item:
        default = [dataclasses.asdict(one) for one in default]
        return "{}; each item has: {} (default: {})".format(spec.metadata["help"], ", ".join(types(item)), default)
    parts = [spec.metadata["help"]]
    if spec.metadata.get("choices"):
        parts.append("one of: " + ", ".join(spec.metadata["choices"]))
    low, high = spec.metadata.get("minimum"), spec.metadata.get("maximum")
    if low is not None:
        parts.append("from {}{}".format(low, " to {}".format(high) if high is not None else ""))
    return "{} (default: {})".format("; ".join(parts), "''" if default == "" else default)


def check_types(kind, value, key="", where=""):
    """Refuse plain data that does not fit the type `kind`; `where` (file or flag) stands in front of the message.

    Text with ${...} in it is left to OmegaConf.

    Raises:
      InputError: unknown key (the nearest is named), or a value of the wrong type.
    """
    if isinstance(value, str) and "${" in value or kind is typing.Any:
        return
    if not _fits(kind, value):
        raise InputError("{}{}: expected {}, got {}".format(where, key, _expected(kind), show(value)))
    if dataclasses.is_dataclass(kind):
        for name, below in value.items():
            dotted = "{}.{}".format(key, name) if key else str(name)
            if name not in types(kind):
                raise InputError("{}{}: unknown key{}".format(where, dotted, _advice(str(name), dotted)))
            if not (key == "" and name == "provenance" and below is None):
                check_types(types(kind)[name], below, dotted, where)
    elif is_list(kind):
        for i, item in enumerate(value):
            check_types(kind.__args__[0], item, "{}.{}".format(key, i), where)


def check_ranges(config, cls=Config, prefix=""):
    """Refuse numbers out of range or not finite, unknown choices, and lists of sections left empty without leave."""
    for f in dataclasses.fields(cls):
        value, key = config[f.name], prefix + f.name
        if dataclasses.is_dataclass(f.type):
            check_ranges(value, f.type, key + ".")
        elif item_class(f.type):
            if not value and f.default_factory():  # a list that may be empty is so by default
                raise InputError("{}: expected at least one item, got {}".format(key, value))
            for i, item in enumerate(value):
                check_ranges(item, item_class(f.type), "{}.{}.".format(key, i))
        else:
            _check_value(f, key, value)


def _check_value(spec, key, value):
    choices = spec.metadata.get("choices")
    low, high = spec.metadata.get("minimum"), spec.metadata.get("maximum")
    if choices and value not in choices:
        raise InputError("{}: {!r} is not one of {}{}".format(key, value, ", ".join(choices), nearest(value, choices)))
    for number in (value if is_list(spec.type) else [value]):
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            continue
        if isinstance(number, float) and not math.isfinite(number):
            raise InputError("{}: {} is not a finite number".format(key, number))
        if (low is not None and number < low) or (high is not None and number > high):
            raise InputError("{}: {} is out of range; it must be {}".format(
                key, number, "from {} to {}".format(low, high) if high is not None else "at least {}".format(low)))


def item_class(kind):
    """Return the dataclass of a list's items, or None."""
    arguments = getattr(kind, "__args__", None) or ()
    return next((a for a in arguments if dataclasses.is_dataclass(a)), None)


def _advice(name, dotted):
    if "." in name and find(dotted):
        return "; dotted names are for flags, in a file nest them: {}: ...{}".format(
            ": {".join(name.split(".")), "}" * name.count("."))
    return nearest(dotted, known_keys(dotted)) or "; --help all lists all"


def _fits(kind, value):
    if dataclasses.is_dataclass(kind) or is_dict(kind):
        return isinstance(value, dict)
    if is_list(kind):
        return isinstance(value, list)
    if kind is bool:
        return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
    if kind is str:
        return isinstance(value, str) and value != "???"  # OmegaConf would take ??? for "no value" and drop it
    return not isinstance(value, bool) and isinstance(value, (int, float) if kind is float else int)


def _expected(kind):
    item = item_class(kind)
    if dataclasses.is_dataclass(kind) or item:
        first = dataclasses.fields(item or kind)[0]
        example = "{{{}: ...}}".format(first.name)
        return "a list such as [{}]".format(example) if item else "a section such as {}".format(example)
    if is_list(kind):
        return "a list such as {}".format({str: "[a, b]", int: "[1, 2]"}.get(kind.__args__[0], "[0.1, 0.2]"))
    return "a section such as {name: value}" if is_dict(kind) else _EXPECTED[kind]


def show(value):
    """Return a value as an error message shows it: not longer than a line."""
    text = repr(value)
    return "nothing" if value is None else text if len(text) <= 60 else text[:57] + "..."

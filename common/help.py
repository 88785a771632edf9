"""What --help prints: a script's own flags and the sections of the configuration; the fields of a section by its name.

    --help                    the script's own flags, a line for each section, examples
    --help training cfa       every field of these sections, with what it may be and its default; all: of all sections
"""
import argparse
import dataclasses

from slim_retrieval.common import fields
from slim_retrieval.common.errors import lookup


class Help(argparse.Action):
    """Print the help that is asked for, and exit."""

    def __call__(self, parser, namespace, values, option_string=None):
        print(of_sections(values) if values else parser.format_help(), end="")
        parser.exit()


@dataclasses.dataclass
class _Nothing:
    """The items of what is no list."""


def overview():
    """Return a line for each section, and how to read and to set its fields."""
    lines = ["  {:<20}{}".format(name, text) for name, (_, text) in fields.sections().items()]
    return "\n".join(["configuration (--config FILE, and any field as a flag: --training.steps 500):"] + lines + [
        "--help SECTION explains the fields of a section, --help all those of all"])


def of_sections(names):
    """Return the help of every field of the sections named, as argparse sets it.

    Raises:
      InputError: there is no such section; the message lists them.
    """
    known = fields.sections()
    texts = []
    for name in known if "all" in names else names:
        cls, text = lookup(known, name, "section")
        parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
        group = parser.add_argument_group(name, text)
        for key, spec in fields.leaves(cls, name + ".").items():
            _add(group, key, spec)
            for item in dataclasses.fields(fields.item_class(spec.type) or _Nothing):
                _add(group, "{}.0.{}".format(key, item.name), item)
        texts.append(parser.format_help())
    return "\n".join(texts)


def _add(group, key, spec):
    group.add_argument("--" + key, metavar="VALUE", help=fields.describe(spec).replace("%", "%%"))

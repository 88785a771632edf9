"""Read YAML as people write it: 1e-3 is a number, text stays text, and no key stands twice."""
import dataclasses
import os
import re

import yaml

from slim_retrieval.common import fields
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.schema import Config

# What YAML reads as something else when nothing is quoted: `name: 2020`, `name: no`, `name: 2020-01-31`.
_NOT_TEXT = {"tag:yaml.org,2002:" + name for name in ("int", "float", "bool", "timestamp")}


def read(path):
    """Return the nested dicts and lists in a YAML file; an empty file is {}.

    Raises:
      InputError: missing, unreadable, not YAML, a key that stands twice, or no sections.
    """
    if not os.path.isfile(path):
        raise InputError("no config file {}; give an existing YAML file with --config".format(path))
    try:
        with open(path, encoding="utf-8") as stream:
            value = loads(stream, Config)
    except OSError as error:
        raise InputError("cannot read {}: {}".format(path, error.strerror)) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: not UTF-8, or a date such as 2020-99-99
        raise InputError("{} is not valid YAML: {}".format(path, error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError("{}: expected sections such as 'training:', got {}".format(path, fields.show(value)))
    return value


def loads(source, kind):
    """Return the plain value of YAML text (or of a text stream) that is to become a value of the type `kind`."""
    loader = _Loader(source)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _keep_text(node, kind)
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """YAML's safe loader that also reads 1e-3 and -.5 as numbers (YAML 1.1 does not); no key may stand twice."""

    def compose_mapping_node(self, anchor):
        node = super().compose_mapping_node(anchor)
        seen = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.composer.ComposerError(problem="the key {!r} stands twice, first in line {}".format(
                    key.value, seen[key.value].line + 1), problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen[key.value] = key.start_mark
        return node


_NUMBER = re.compile(r"^[-+]?(\d+(\.\d*)?[eE][-+]?\d+|\.\d+([eE][-+]?\d+)?)$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def _keep_text(node, kind):
    """Mark scalars as text where the schema wants text, all the way down."""
    if isinstance(node, yaml.ScalarNode) and kind is str and node.tag in _NOT_TEXT:
        node.tag = "tag:yaml.org,2002:str"
    elif isinstance(node, yaml.SequenceNode) and fields.is_list(kind):
        for item in node.value:
            _keep_text(item, kind.__args__[0])
    elif isinstance(node, yaml.MappingNode) and dataclasses.is_dataclass(kind):
        types = fields.types(kind)
        for key, value in node.value:
            _keep_text(value, types.get(key.value) if isinstance(key, yaml.ScalarNode) else None)

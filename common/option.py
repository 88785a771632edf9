"""How a field of the schema is written down: its default, its help text and the values that it may take."""
from dataclasses import field


def option(default, text, minimum=None, maximum=None, choices=None):
    """Return a dataclass field with its help text and the values it may take."""
    metadata = {"help": text, "minimum": minimum, "maximum": maximum, "choices": choices}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def section(cls, text):
    """Return a dataclass field that holds a nested section."""
    return field(default_factory=cls, metadata={"help": text})

"""The list `losses:` of a configuration: what each entry may hold, checked without building any graph."""
import math
import re

from slim_retrieval.common.errors import InputError, lookup, nearest
from slim_retrieval.losses import distances, registry
from slim_retrieval.losses.reducers import REDUCERS
from slim_retrieval.losses.registry import LOSSES

# What an option may be, beyond the type of its default.
ANY, ABOVE = (-math.inf, math.inf), (1e-6, math.inf)
RANGES = {"margin": (0.0, math.inf), "label_smoothing": (0.0, 1.0), "omega": (0.0, 1.0), "temperature": ABOVE,
          "scale": ABOVE, "gamma": ABOVE, "beta": ABOVE, "epsilon": ANY, "base": ANY, "cutoff": (0.0, 1.99),
          "nonzero_loss_cutoff": (0.0, 2.0), "nu": (0.0, math.inf), "tau": (0.0, math.inf), "bins": (1, math.inf),
          "centers": (1, math.inf)}
LOSS_RANGES = {("arcface", "margin"): (0.0, math.pi), ("margin", "alpha"): (0.0, math.inf), ("*", "alpha"): ABOVE}
CHOICES = {"distance": distances.DISTANCES}


def check_specs(specs):
    """Check names, options, labels and weights of a list of losses, without building any graph.

    Args:
      specs: list of plain dicts (schema's LossConfig); all but the name may be left out, as in a config.
    Raises:
      InputError: an unknown loss, miner, reducer or option, a value of the wrong type or out of range, something that
        the loss does not take, or two losses that cannot share their head.
    """
    if not specs:
        raise InputError("no loss is given; list at least one, such as losses: [{name: softmax}]")
    for i, spec in enumerate(specs):
        where = "losses.{}".format(i)
        if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
            raise InputError("{}: expected a loss such as {{name: softmax}}, got {!r}".format(where, spec))
        function = lookup(LOSSES, spec["name"], "loss")
        if not isinstance(label_of(spec), str) or not label_of(spec):
            raise InputError("{}.label: expected the name of a label column, got {!r}".format(where, label_of(spec)))
        weight = spec.get("weight", 1.0)
        if not _is_number(weight) or weight < 0:
            raise InputError("{}.weight: expected a finite number of at least 0, got {!r}".format(where, weight))
        _check_hooks(where, spec, function)
        _check_options("{}.options".format(where), spec, function)
    _check_heads(specs)


def label_of(spec):
    """Return a loss's label column."""
    return spec.get("label", "label")


def head_of(spec):
    """Return the name of a loss's head: '' is the embedding itself; for logits, the label column's own layer."""
    own = label_of(spec) if "logits" in registry.inputs(LOSSES[spec["name"]]) else ""
    return spec.get("head") or own


def label_columns(specs):
    """Return the columns that the losses use, each once: labels in order, then categories."""
    return list(dict.fromkeys([label_of(spec) for spec in specs]
                              + [spec["category"] for spec in specs if spec.get("category")]))


def tag_columns(specs):
    """Return the label columns whose cells may name several tags, each once, in order."""
    return list(dict.fromkeys(label_of(spec) for spec in specs if _needs(spec, "tags")))


def pair_losses(specs):
    """Return those specs whose loss compares images of a batch with each other."""
    return [spec for spec in specs if "embeddings" in registry.inputs(LOSSES[spec["name"]]) and (
        "num_classes" not in registry.inputs(LOSSES[spec["name"]]) or registry.miners_of(LOSSES[spec["name"]]))]


def watched_label(specs):
    """Return the label column by which a batch is looked at: that of the first loss that compares images."""
    return label_of((pair_losses(specs) or specs)[0])


def logits_heads(specs, num_classes, tags=None):
    """Return {head: width} of the logits layers.

    Args:
      num_classes: {label column: number of classes}.
      tags: {label column: [V, T] table} of `tag_columns(specs)`.
    """
    return {head_of(spec): tags[label_of(spec)].shape[1] if _needs(spec, "tags") else num_classes[label_of(spec)]
            for spec in specs if _needs(spec, "logits")}


def keys(specs):
    """Return a distinct key for each spec: name; name_<label> if the name occurs twice; name_<label>_2 if both do."""
    names = [spec["name"] for spec in specs]
    found = []
    for spec in specs:
        key = spec["name"]
        if names.count(key) > 1:
            key += "_" + scope_name(label_of(spec))
        base, number = key, 1
        while key in found:
            number += 1
            key = "{}_{}".format(base, number)
        found.append(key)
    return found


def scope_name(text):
    """Return text as TensorFlow allows it in a scope."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text)


def split_options(spec):
    """Return (options of the loss, {"miner" or "reducer" hook: its options}) of a checked spec."""
    given = spec.get("options") or {}
    function = LOSSES[spec["name"]]
    own = {key: value for key, value in given.items() if key in registry.options(function)}
    return own, {hook: {key: value for key, value in given.items() if key in registry.options(f)}
                 for hook, f in registry.chosen(function, spec).items()}


def _needs(spec, what):
    return what in registry.inputs(LOSSES[spec["name"]])


def _check_hooks(where, spec, function):
    name, hooks = spec["name"], registry.hooks(function)
    if spec.get("miner"):
        known = registry.miners_of(function)
        if not known:
            raise InputError("{}.miner: {} takes no miner; leave it out".format(where, name))
        lookup(known, spec["miner"], "miner of {}".format(name))
    if spec.get("reducer"):
        if "reducer" not in hooks:
            raise InputError("{}.reducer: {} takes no reducer; leave it out".format(where, name))
        lookup(REDUCERS, spec["reducer"], "reducer")
    for field, hook in (("memory", "memory"), ("category", "categories")):
        if spec.get(field) and hook not in hooks:
            raise InputError("{}.{}: {} takes none; those that do: {}".format(where, field, name, ", ".join(
                sorted(n for n, f in LOSSES.items() if hook in registry.hooks(f)))))
    for field in ("memory", "memory_start"):
        value = spec.get(field, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise InputError("{}.{}: expected a whole number of at least 0, got {!r}".format(where, field, value))
    if spec.get("memory") and spec.get("category"):
        raise InputError("{}: memory {} and category {!r} do not go together, the memory keeps no categories; leave "
                         "one of them out".format(where, spec["memory"], spec["category"]))


def _check_heads(specs):
    """Refuse losses that name one head but need layers of different kinds."""
    seen = {}
    for i, spec in enumerate(specs):
        kind = "tags" if _needs(spec, "tags") else "logits" if _needs(spec, "logits") else "embedding"
        use = (kind, label_of(spec) if kind != "embedding" else "")
        head = head_of(spec)
        before, first = seen.setdefault(head, (use, i))
        if before != use:
            raise InputError("losses.{} and losses.{} share the head {!r} but need different layers ({} and {}); give "
                             "one of them another head".format(first, i, head, " of ".join(filter(None, before)),
                                                               " of ".join(filter(None, use))))


def _check_options(where, spec, function):
    name, options = spec["name"], spec.get("options") or {}
    if not isinstance(options, dict):
        raise InputError("{}: expected options such as {{margin: 0.2}}, got {!r}".format(where, options))
    known = registry.options(function)
    for part in registry.chosen(function, spec).values():
        known = dict(registry.options(part), **known)
    for key, value in options.items():
        if key not in known:
            raise InputError("{}: {} has no option {!r}{}; known: {}".format(
                where, name, key, nearest(key, known), ", ".join(sorted(known)) or "none"))
        _check_value("{}.{}".format(where, key), name, key, value, known[key])


def _check_value(where, name, key, value, default):
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError("{}: expected true or false, got {!r}".format(where, value))
    elif isinstance(default, (int, float)):
        low, high = LOSS_RANGES.get((name, key)) or LOSS_RANGES.get(("*", key)) or RANGES[key]
        whole = isinstance(default, int)
        if not _is_number(value) or not low <= value <= high or whole and not isinstance(value, int):
            raise InputError("{}: expected a {}number{}, got {!r}".format(
                where, "whole " if whole else "", _range(low, high), value))
    elif value not in list(CHOICES[key]):  # a list, so that a value that cannot be hashed is refused too
        raise InputError("{}: expected one of {}, got {!r}{}".format(
            where, ", ".join(sorted(CHOICES[key])), value, nearest(value, CHOICES[key])))


def _range(low, high):
    if math.isinf(low):
        return ""
    return " of at least {:g}".format(low) if math.isinf(high) else " from {:g} to {:g}".format(low, high)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

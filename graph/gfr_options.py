"""Settings of GFR: checked against the schema, and 0 or "auto" replaced by what the kind of layer takes."""
import dataclasses

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.method_schema import GFRConfig

# What 0 or "auto" stands for. `sage` is the published baseline, with its training as published; the layers of edge are
# chosen where they are learned.
AUTOMATIC = {
    "edge": {"neighbors": 40, "metric": "trained", "loss": "batch", "epochs": 20},
    "sage": {"layers": 1, "neighbors": 10, "metric": "none", "loss": "class", "epochs": 70},
    "gat": {"layers": 2, "neighbors": 10, "metric": "lda", "loss": "batch", "epochs": 4},
    "appnp": {"layers": 8, "neighbors": 10, "metric": "lda", "loss": "batch", "epochs": 4},
    "gcnii": {"layers": 8, "neighbors": 10, "metric": "lda", "loss": "batch", "epochs": 4},
}

OF_NETWORKS = ["restart", "heads", "aggregate", "weighted", "activate", "residue", "concate", "combine", "jump",
               "pair_norm", "drop_edge", "sample"]


def resolve(fields):
    """Return a GFRConfig of the dict `fields` with nothing left to choose.

    Raises:
      InputError: unknown field, value out of range, fields that exclude each other.
    """
    known = {f.name: f for f in dataclasses.fields(GFRConfig)}
    for name, value in fields.items():
        _check(name, value, lookup(known, name, "option of GFR").metadata)
    options = GFRConfig(**fields)
    for name, value in lookup(AUTOMATIC, options.layer, "layer of GFR").items():
        if getattr(options, name) in (0, "auto"):
            setattr(options, name, value)
    options.milestones = [float(share) for share in options.milestones]
    if len(options.milestones) > 2:
        raise InputError("gfr.milestones: {} given, at most 2 are used (rate x 0.5, then x 0.1); drop {}".format(
            len(options.milestones), options.milestones[2:]))
    if options.combine and options.jump != "last":
        raise InputError("gfr.combine and gfr.jump {} both say what is searched; drop one (combine is jump "
                         "concat)".format(options.jump))
    if options.layer == "edge":
        _refuse_of_networks(options, known)
    elif options.metric == "trained":
        raise InputError("gfr.metric trained is for the layer edge, not {}; use lda or none: the layers themselves are "
                         "trained".format(options.layer))
    return options


def _refuse_of_networks(options, known):
    for name in OF_NETWORKS:
        if getattr(options, name) != known[name].default:
            raise InputError("gfr.{}: {} is of no use to the layer edge; drop it, or name another gfr.layer (sage has "
                             "aggregate, weighted, residue and concate)".format(name, getattr(options, name)))


def jump(options):
    """Return what becomes of the layers' outputs: last, concat or max. `combine` is the published name of concat."""
    return "concat" if options.combine else options.jump


def _check(name, value, spec):
    if spec.get("choices") and value not in spec["choices"]:
        raise InputError("gfr.{}: {!r} is not one of {}".format(name, value, ", ".join(spec["choices"])))
    numbers = value if name == "milestones" else [value]
    if spec.get("minimum") is not None and min(numbers, default=0) < spec["minimum"]:
        raise InputError("gfr.{}: {} is below {}".format(name, value, spec["minimum"]))
    if spec.get("maximum") is not None and max(numbers, default=0) > spec["maximum"]:
        raise InputError("gfr.{}: {} is above {}".format(name, value, spec["maximum"]))

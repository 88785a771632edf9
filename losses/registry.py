"""The losses by name. A loss is a function, and the names of its parameters say what it is given.

Parameters without a default are tensors and counts of the loss's label column: `embeddings` [B, d], `logits` [B, C],
`labels` [B], `num_classes` (a loss with variables of its own), `tags` (the table of a column with several tags a cell).
Those of HOOKS are what a spec sets beside the options; a loss without `memory` takes no memory. All others are options.
"""
import inspect

from slim_retrieval.losses import (
    arcface,
    circle,
    contrastive,
    cosface,
    fast_ap,
    lifted_structure,
    margin,
    miners,
    multi_similarity,
    n_pairs,
    normalized_softmax,
    nt_xent,
    proxy_anchor,
    proxy_nca,
    reducers,
    sigmoid,
    smooth_ap,
    soft_triple,
    softmax,
    supervised_contrastive,
    triplet,
    triplet_batch_all,
    triplet_batch_hard,
    triplet_semi_hard,
    triplet_softmax,
)

LOSSES = {
    "softmax": softmax.softmax,
    "sigmoid": sigmoid.sigmoid,
    "contrastive": contrastive.contrastive,
    "triplet": triplet.triplet,
    "triplet_batch_all": triplet_batch_all.triplet_batch_all,
    "triplet_batch_hard": triplet_batch_hard.triplet_batch_hard,
    "triplet_semi_hard": triplet_semi_hard.triplet_semi_hard,
    "triplet_softmax": triplet_softmax.triplet_softmax,
    "n_pairs": n_pairs.n_pairs,
    "lifted_structure": lifted_structure.lifted_structure,
    "margin": margin.margin,
    "multi_similarity": multi_similarity.multi_similarity,
    "circle": circle.circle,
    "nt_xent": nt_xent.nt_xent,
    "supervised_contrastive": supervised_contrastive.supervised_contrastive,
    "fast_ap": fast_ap.fast_ap,
    "smooth_ap": smooth_ap.smooth_ap,
    "proxy_nca": proxy_nca.proxy_nca,
    "proxy_anchor": proxy_anchor.proxy_anchor,
    "normalized_softmax": normalized_softmax.normalized_softmax,
    "cosface": cosface.cosface,
    "arcface": arcface.arcface,
    "soft_triple": soft_triple.soft_triple,
}

HOOKS = ("pair_miner", "triplet_miner", "reducer", "memory", "categories")
_MINERS = {"pair_miner": miners.PAIR_MINERS, "triplet_miner": miners.TRIPLET_MINERS}


def inputs(function):
    """Return the names of what a loss is given by the network and the data."""
    return [name for name, default in _parameters(function) if default is inspect.Parameter.empty]


def hooks(function):
    """Return which of HOOKS a loss has."""
    return [name for name, _ in _parameters(function) if name in HOOKS]


def options(function):
    """Return {option: default} of a loss, a miner or a reducer."""
    required = inputs(function)
    return {name: default for name, default in _parameters(function) if name not in required and name not in HOOKS}


def miners_of(function):
    """Return {name: miner} of the kind that a loss takes; empty: it takes none."""
    return next((_MINERS[name] for name in hooks(function) if name in _MINERS), {})


def chosen(function, spec):
    """Return {hook: function} of the miner and the reducer: those of the spec, or the loss's own."""
    defaults = dict(_parameters(function))
    found = {}
    for name in hooks(function):
        if name in _MINERS:
            found[name] = _MINERS[name][spec["miner"]] if spec.get("miner") else defaults[name]
        elif name == "reducer":
            found[name] = reducers.REDUCERS[spec["reducer"]] if spec.get("reducer") else defaults[name]
    return found


def _parameters(function):
    return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

"""The methods by name. Each is made from its section of the configuration and the seed.

An estimator has fit(gallery, neighbors=None, labels=None) -> self with gallery_, transform(queries) and report_.
A method that learns also has learn(train_features, train_labels, neighbors=None) and save(path).
"""
import dataclasses

from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import cfa as cfa_module
from slim_retrieval.graph.plain import Plain
from slim_retrieval.graph.query_expansion import AlphaQE


def none(section, seed):
    """Plain nearest neighbours."""
    return Plain()


def alpha_qe(section, seed):
    """Alpha query expansion."""
    return AlphaQE(**section)


def cfa(section, seed):
    """Cascaded feature augmentation."""
    return cfa_module.CFA(seed=seed, **section)


def gfr(section, seed):
    """Graph neural re-representation: trained weights from section["checkpoint"], or an untrained estimator."""
    from slim_retrieval.graph.gfr import GFR  # here: the other methods need none of it
    if section.get("checkpoint"):
        return GFR.load(section["checkpoint"])
    return GFR(seed=seed, **section)


METHODS = {"none": none, "alpha_qe": alpha_qe, "cfa": cfa, "gfr": gfr}

# Methods that use the gallery's k-NN graph: how many neighbours each of n images needs.
NEIGHBORS = {"cfa": lambda estimator, n: cfa_module.needed_neighbors(estimator.levels, n),
             "gfr": lambda estimator, n: estimator.options.neighbors}

# Methods that are trained on labelled features unless a checkpoint is given.
LEARNED = {"gfr"}


def needs_training(name, section):
    """Return whether the method has to learn before it can be used."""
    return name in LEARNED and not section.get("checkpoint")


def check_training(name, section, train, labels):
    """Raise InputError when a method that has to learn has nothing to learn from."""
    if needs_training(name, section) and (train is None or labels is None):
        raise InputError("{0} must be trained on labelled features and there are {1}; give --train F.npy and "
                         "--train_labels L.csv, a run with a train split, or --{0}.checkpoint FILE.npz".format(
                             name, "none" if train is None else "no labels"))


def parameters(estimator, section):
    """Return the parameters to record: those of a loaded checkpoint where there is one, else the section."""
    if dataclasses.is_dataclass(getattr(estimator, "options", None)):
        return dict(dataclasses.asdict(estimator.options), checkpoint=section["checkpoint"])
    return section

"""The methods by name. Each is made from its section of the configuration and the seed.

An estimator has fit(gallery, neighbors=None, labels=None) -> self, needed_neighbors(n) (0: it takes no graph), report_,
and one of two ways to answer queries:
  features: gallery_ and transform(queries); search is then plain nearest neighbours;
  ranking: rank(queries, k) and rank_gallery(k), for methods that only re-order.
A method that learns also has learn(train_features, train_labels, neighbors=None, resume=None), where labels may be
None, save(path), and a version.
"""
import dataclasses

from slim_retrieval.graph.aqe import AQE
from slim_retrieval.graph.cas import CAS
from slim_retrieval.graph.cfa import CFA
from slim_retrieval.graph.cfa_joint import JointCFA
from slim_retrieval.graph.dba import DBA
from slim_retrieval.graph.gcr import GCR
from slim_retrieval.graph.gnn_rerank import GNNRerank
from slim_retrieval.graph.gss import GSS
from slim_retrieval.graph.joint_diffusion import JointDiffusion
from slim_retrieval.graph.k_reciprocal import KReciprocal
from slim_retrieval.graph.offline_diffusion import OfflineDiffusion
from slim_retrieval.graph.plain import Plain
from slim_retrieval.graph.query_expansion import AlphaQE
from slim_retrieval.graph.spectral_diffusion import SpectralDiffusion
from slim_retrieval.graph.superglobal import SuperGlobal


def _cfa(section, seed):
    """CFA; solved for each set of queries where they are to be joint."""
    if section.get("queries") == "joint":
        return JointCFA(seed=seed, **{name: value for name, value in section.items() if name != "queries"})
    return CFA(seed=seed, **section)


def _gfr(section, seed):
    """Trained weights from section["checkpoint"], with its say about queries, or an untrained estimator."""
    from slim_retrieval.graph.gfr import GFR  # here: the other methods need none of it
    if section.get("checkpoint"):
        model = GFR.load(section["checkpoint"])
        model.options.queries = section.get("queries", model.options.queries)
        return model
    return GFR(seed=seed, **section)


METHODS = {
    "none": lambda section, seed: Plain(),
    "alpha_qe": lambda section, seed: AlphaQE(**section),
    "aqe": lambda section, seed: AQE(**section),
    "cas": lambda section, seed: CAS(**section),
    "cfa": _cfa,
    "dba": lambda section, seed: DBA(**section),
    "gcr": lambda section, seed: GCR(**section),
    "gfr": _gfr,
    "gnn_rerank": lambda section, seed: GNNRerank(**section),
    "gss": lambda section, seed: GSS(seed=seed, **section),
    "joint_diffusion": lambda section, seed: JointDiffusion(**section),
    "k_reciprocal": lambda section, seed: KReciprocal(**section),
    "offline_diffusion": lambda section, seed: OfflineDiffusion(**section),
    "spectral_diffusion": lambda section, seed: SpectralDiffusion(seed=seed, **section),
    "superglobal": lambda section, seed: SuperGlobal(**section),
}

# Methods that learn unless a checkpoint is given: from labelled train features, or from the gallery.
LEARNED = {"gfr"}


def needs_training(name, section):
    """Return whether the method has to learn before it can be used."""
    return name in LEARNED and not section.get("checkpoint")


def parameters(estimator, section):
    """Return the parameters to record: those of a loaded checkpoint where there is one, else the section."""
    if dataclasses.is_dataclass(getattr(estimator, "options", None)):
        return dict(dataclasses.asdict(estimator.options), checkpoint=section["checkpoint"])
    return section

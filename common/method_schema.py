"""The settings of each graph method, one dataclass a method; part of the schema in `schema.py`."""
from dataclasses import dataclass, field
from typing import List

from slim_retrieval.common.option import option


@dataclass
class CFALevel:
    k: List[int] = option([30], "neighbours of each scale of this level", minimum=1)
    weights: List[float] = option([], "weight of each scale; empty: all equal", minimum=0)
    alpha: float = option(0.95, "strength of the diffusion", minimum=0, maximum=0.999)
    cells: int = option(1, "cells that the gallery is cut into; 1: the whole graph", minimum=1)


@dataclass
class CFAConfig:
    levels: List[CFALevel] = field(default_factory=lambda: [CFALevel()],
                                   metadata={"help": "levels of the cascade, e.g. [{k: [30], alpha: 0.95}]"})
    gamma: float = option(3.0, "exponent of the similarity in the affinity and in the query's weights", minimum=0)
    edges: str = option("mutual", "which neighbours are joined", choices=["knn", "mutual", "k_reciprocal", "shared"])
    graph_from: str = option("original", "features that give each level's graph", choices=["original", "previous"])
    query_neighbors: int = option(10, "gallery neighbours that augment a query", minimum=1)
    tolerance: float = option(1e-4, "largest relative residual of the solver", minimum=1e-7, maximum=1)
    max_iterations: int = option(100, "most products with the matrix per solve", minimum=1)


@dataclass
class GFRConfig:
    checkpoint: str = option("", "trained GFR to apply (.npz); empty: train one on the train features")
    layers: int = option(1, "sage layers", minimum=1)
    neighbors: int = option(10, "k: neighbours that a layer aggregates", minimum=1)
    aggregate: str = option("max", "how neighbours are aggregated", choices=["max", "mean"])
    weighted: bool = option(False, "weight neighbours by the softmax of their similarity")
    activate: bool = option(False, "ReLU between layers")
    residue: bool = option(False, "h = normalise(x + h)")
    concate: bool = option(False, "h = normalise([x ; z] W) with z over the neighbours only")
    combine: bool = option(False, "the feature is the input and every layer's output side by side")
    loss: str = option("class", "training loss", choices=["class", "classRank", "classBatch"])
    omega: float = option(0.1, "weight of the ranking loss beside cross entropy", minimum=0, maximum=1)
    margin: float = option(0.1, "margin of the ranking loss", minimum=0)
    epochs: int = option(70, "passes over the train features", minimum=1)
    batch_size: int = option(64, "anchors in a batch", minimum=1)
    learning_rate: float = option(1e-3, "Adam's rate at the start", minimum=0)
    weight_decay: float = option(5e-6, "L2 penalty in the gradient, as in the published training", minimum=0)
    milestones: List[float] = option([39 / 70, 59 / 70], "shares of the epochs after which the rate becomes "
                                                         "0.5 and then 0.1 of the start", minimum=0, maximum=1)


@dataclass
class AlphaQEConfig:
    k: int = option(10, "neighbours that expand the query", minimum=1)
    alpha: float = option(3.0, "exponent of their similarity", minimum=0)

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
    levels: List[CFALevel] = field(default_factory=list, metadata={
        "help": "levels of the cascade, e.g. [{k: [30], alpha: 0.95}]; empty: chosen from the data"})
    residual: float = option(1.0, "levels chosen from the data: weight of the feature beside the diffused one; raise "
                                  "it where a query has only one or two matches", minimum=0)
    gamma: float = option(3.0, "exponent of the similarity in the affinity and in the query's weights", minimum=0)
    edges: str = option("mutual", "which neighbours are joined", choices=["knn", "mutual", "k_reciprocal", "shared"])
    graph_from: str = option("original", "features that give each level's graph", choices=["original", "previous"])
    queries: str = option("auto", "treatment of queries: appended (to the solved graph as a node), augmented (moved "
                                  "towards neighbours), raw, joint (solved with the gallery); auto: augmented where "
                                  "levels are given, else appended",
                          choices=["auto", "appended", "augmented", "raw", "joint"])
    query_neighbors: int = option(10, "gallery neighbours that augment a query", minimum=1)
    tolerance: float = option(1e-4, "largest relative residual of the solver", minimum=1e-7, maximum=1)
    max_iterations: int = option(100, "most products with the matrix per solve", minimum=1)
    storage: str = option("float32", "what the solver keeps its columns in; float16 halves their memory and reaches a "
                                     "tolerance of about 1e-3 / (1 - alpha)", choices=["float32", "float16"])


@dataclass
class GFRConfig:
    checkpoint: str = option("", "trained GFR to apply (.npz); empty: train one, on labelled train features if there "
                                 "are any, else on the gallery without labels")
    layer: str = option("edge", "kind of layer: edge (learned metric and edges), sage (as published), gat, appnp, "
                                "gcnii", choices=["edge", "sage", "gat", "appnp", "gcnii"])
    layers: int = option(0, "depth; 0: the layer's own (sage 1, gat 2, appnp and gcnii 8; edge: 4 to 32, chosen on "
                            "held-out classes, 48 without labels)", minimum=0)
    neighbors: int = option(0, "k: neighbours that a layer sees; 0: the layer's own (edge 40, others 10)", minimum=0)
    metric: str = option("auto", "linear map before the first layer: none, lda (from labels), trained (lda, then a "
                                 "ranking loss; edge only), auto (sage none, edge trained, others lda)",
                         choices=["auto", "none", "lda", "trained"])
    queries: str = option("neighbors", "a query sees its nearest gallery images (neighbors), or passes through the "
                                       "same weights alone; also of a checkpoint", choices=["neighbors", "alone"])
    restart: float = option(0.1, "appnp, gcnii: share of its own input that a node keeps in each layer", minimum=0,
                            maximum=1)
    heads: int = option(1, "gat: attention heads", minimum=1)
    aggregate: str = option("max", "sage: how neighbours are aggregated", choices=["max", "mean"])
    weighted: bool = option(False, "sage: weight neighbours by the softmax of their similarity")
    activate: bool = option(False, "ReLU between layers")
    residue: bool = option(False, "sage, gat: h = normalise(x + h)")
    concate: bool = option(False, "sage: h = normalise([x ; z] W) with z over the neighbours only")
    combine: bool = option(False, "the feature is the input and every layer's output side by side (jump concat)")
    jump: str = option("last", "jumping knowledge: what is made of the layers' outputs",
                       choices=["last", "concat", "max"])
    pair_norm: bool = option(False, "subtract the mean over the nodes after each layer, against over-smoothing")
    drop_edge: float = option(0.0, "share of the neighbours left out at random in each training step", minimum=0,
                              maximum=0.99)
    sample: int = option(0, "neighbours drawn for each node and layer in a training step; 0: all", minimum=0)
    loss: str = option("auto", "training loss; auto: class for sage, batch for others; without labels unsupervised",
                       choices=["auto", "class", "rank", "batch", "classRank", "classBatch", "unsupervised"])
    omega: float = option(0.1, "weight of the ranking loss beside cross entropy", minimum=0, maximum=1)
    margin: float = option(0.1, "margin of the ranking loss", minimum=0)
    epochs: int = option(0, "passes over the train features; 0: the layer's own (sage 70, gat, appnp, gcnii 4; edge at "
                            "most 20, how many is chosen on held-out classes)", minimum=0)
    batch_size: int = option(64, "anchors in a batch; as many as there are images: the whole graph in one step",
                             minimum=1)
    learning_rate: float = option(1e-3, "Adam's rate at the start", minimum=0)
    weight_decay: float = option(5e-6, "L2 penalty in the gradient, as in the published training", minimum=0)
    milestones: List[float] = option([39 / 70, 59 / 70], "shares of the epochs after which the rate becomes "
                                                         "0.5 and then 0.1 of the start", minimum=0, maximum=1)


@dataclass
class AlphaQEConfig:
    k: int = option(10, "neighbours that expand the query", minimum=1)
    alpha: float = option(3.0, "exponent of their similarity", minimum=0)


@dataclass
class AQEConfig:
    k: int = option(10, "neighbours that expand the query", minimum=1)


@dataclass
class DBAConfig:
    k: int = option(20, "neighbours that augment a gallery image or a query", minimum=0)
    alpha: float = option(3.0, "exponent of their similarity", minimum=0)
    expand_queries: bool = option(True, "expand queries too, by the gallery as it was given")


@dataclass
class GCRConfig:
    k: int = option(14, "neighbours that a round averages, besides the image itself (the published 15 counts it)",
                    minimum=1)
    beta: float = option(0.2, "temperature of the similarities", minimum=1e-3)
    rounds: int = option(3, "rounds of propagation; each searches the neighbours again", minimum=0)
    queries: str = option("joint", "joint: one graph of gallery and queries, as published; inductive: the gallery's "
                                   "alone", choices=["joint", "inductive"])


@dataclass
class SuperGlobalConfig:
    shortlist: int = option(400, "images of each ranking that are re-ordered", minimum=0)
    k: int = option(9, "neighbours within the shortlist that refine an image", minimum=0)
    beta: float = option(0.15, "weight of the neighbours", minimum=0)


@dataclass
class GSSConfig:
    k: int = option(4, "neighbours that are joined, besides the image itself (the published 5 counts it)", minimum=0)
    query_neighbors: int = option(5, "gallery images that a query is joined to", minimum=1)
    layers: int = option(2, "graph convolutional layers", minimum=1)
    decay: float = option(0.3, "weight of a layer beside the one before", minimum=0)
    beta_percentile: float = option(98.0, "percentile of the similarities above which pairs are drawn together",
                                    minimum=0, maximum=100)
    steps: int = option(200, "steps of Adam; 0: the weights as they start, without TensorFlow", minimum=0)
    batch_size: int = option(1024, "images in a step; the loss is over their pairs", minimum=2)
    learning_rate: float = option(1e-4, "Adam's rate", minimum=0)
    weight_decay: float = option(1e-5, "L2 penalty in the gradient", minimum=0)
    epsilon: float = option(1e-5, "standard deviation of the noise that the weights start with, beside the identity",
                            minimum=0)


@dataclass
class KReciprocalConfig:
    k1: int = option(20, "neighbours that k-reciprocal sets are made of", minimum=1)
    k2: int = option(6, "nodes that an encoding is averaged over, itself included", minimum=1)
    lambda_value: float = option(0.3, "weight of the original distance beside the Jaccard distance", minimum=0,
                                 maximum=1)


@dataclass
class GNNRerankConfig:
    k1: int = option(26, "nodes of a neighbourhood, the image itself included", minimum=1)
    k2: int = option(7, "nodes that a layer sums over, the image itself included", minimum=2)
    layers: int = option(2, "layers of propagation", minimum=1)
    alpha: float = option(2.0, "exponent of the similarities that weight a layer's sums", minimum=0)


@dataclass
class OfflineDiffusionConfig:
    truncation: int = option(1000, "images that an image's diffusion is solved on, itself included", minimum=1)
    k: int = option(50, "neighbours that must be mutual to be joined", minimum=1)
    query_neighbors: int = option(10, "gallery images that a query's mass lies on", minimum=1)
    gamma: float = option(3.0, "exponent of similarities", minimum=0)
    alpha: float = option(0.99, "strength of the diffusion", minimum=0, maximum=0.999)
    tolerance: float = option(1e-6, "residual at which an image's system is solved", minimum=1e-7, maximum=1)
    max_iterations: int = option(20, "most conjugate gradient steps for an image", minimum=1)


@dataclass
class JointDiffusionConfig:
    k: int = option(50, "neighbours that must be mutual to be joined", minimum=1)
    query_neighbors: int = option(10, "gallery images that a query's mass lies on", minimum=1)
    gamma: float = option(3.0, "exponent of similarities", minimum=0)
    alpha: float = option(0.99, "strength of the diffusion", minimum=0, maximum=0.999)
    tolerance: float = option(1e-4, "largest relative residual of the solver", minimum=1e-7, maximum=1)
    max_iterations: int = option(100, "most products with the matrix per solve", minimum=1)


@dataclass
class SpectralDiffusionConfig:
    eigenvectors: int = option(500, "rank: eigenvectors beside those of the graph's connected parts", minimum=0)
    k: int = option(50, "neighbours that must be mutual to be joined", minimum=1)
    query_neighbors: int = option(10, "gallery images that a query's mass lies on", minimum=1)
    gamma: float = option(3.0, "exponent of similarities", minimum=0)
    alpha: float = option(0.99, "strength of the diffusion", minimum=0, maximum=0.999)
    remainder: bool = option(False, "count what is orthogonal to the eigenvectors, as if of eigenvalue 0; for small "
                                    "classes")


@dataclass
class CASConfig:
    k1: int = option(5, "nodes of a neighbourhood that is diffused over, the image itself included", minimum=1)
    k2: int = option(20, "neighbours that k-reciprocal sets, the local clusters, are made of", minimum=1)
    k3: int = option(25, "nodes of the transitions that smooth, the image itself included", minimum=1)
    k4: int = option(6, "nodes that are averaged, the image itself included", minimum=1)
    k5: int = option(25, "values that are kept of an average", minimum=1)
    sigma: float = option(0.3, "width of the kernel of distances", minimum=1e-3)
    mu: float = option(0.23, "weight of the fit to the identity; the diffusion's strength is 1 / (1 + mu)",
                       minimum=1e-3)
    lambda_value: float = option(0.3, "weight of the original distance beside the new one", minimum=0, maximum=1)
    path_neighbors: int = option(100, "nodes whose divergences are steps of shortest paths, the image itself included; "
                                      "0: the divergence itself", minimum=0)
    width: int = option(200, "values kept in a row of the diffused similarities", minimum=1)


@dataclass
class SideConfig:
    labels: str = option("", "column of the gallery's index.csv or of --side_columns with labels, where empty text "
                             "is unknown; never the evaluated column; empty: none")
    modes: List[str] = option(["veto", "add"], "what labels do, any of: veto (drop edges between different labels), "
                                               "reweight (multiply edges by agree or disagree), add (join each image "
                                               "to its nearest of the same label)")
    trust: str = option("auto", "share of the known labels to believe, 0 to 1; those that their neighbourhood "
                                "contradicts most count as unknown; auto: estimated from neighbours' labels")
    add_neighbors: int = option(10, "mode add: images of the same label that each image is joined to", minimum=1)
    agree: float = option(2.0, "mode reweight: factor of edges between equal labels", minimum=0)
    disagree: float = option(0.5, "mode reweight: factor of edges between different labels", minimum=0)
    text: str = option("", "column with texts, compared by TF-IDF; empty: none")
    text_vectors: str = option("", "vectors of the gallery's texts instead (.npy, row by row, zeros: unknown)")
    text_weight: float = option(0.3, "share of the texts' similarity in that of an edge", minimum=0, maximum=1)
    text_neighbors: int = option(5, "nearest texts that each image is joined to; 0: none", minimum=0)
    pair_scores: str = option("", "scores of pairs of gallery images: CSV (a,b,score; row numbers or paths) or .npz "
                                  "(rows, cols, scores); empty: none")
    pair_mode: str = option("add", "add (pairs become edges), replace (pairs get their score as similarity, 0: no "
                                   "edge), multiply (edges among the pairs)", choices=["add", "replace", "multiply"])
    pair_scale: float = option(1.0, "score that counts as similarity 1; larger ones count no more", minimum=1e-9)
    denoise: str = option("none", "edge values made comparable without labels: rank, hubs, local_scaling, none",
                          choices=["none", "rank", "hubs", "local_scaling"])
    edge_features: str = option("", "run whose query and gallery features make the edges, by name or path; empty: the "
                                    "features that are ranked")

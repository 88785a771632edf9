"""Every field of the YAML, as plain dataclasses: type, default, range and help. `config.py` reads and checks them.

One schema serves the four scripts; its larger sections have files of their own (`*_schema.py`). A field's dotted name
(`training.steps`) is also its command-line flag.
"""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from slim_retrieval.common import method_schema as methods
from slim_retrieval.common.data_schema import DataConfig
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.option import option, section
from slim_retrieval.common.training_schema import ClusterConfig, LossConfig, TrainingConfig, WeightingConfig


@dataclass
class RunConfig:
    name: str = option("", "name of the run; empty: the name of the config file")
    directory: str = option("runs", "folder that holds all runs")
    seed: int = option(0, "seed of everything random; recorded with every result", minimum=0, maximum=2**31 - 1)


@dataclass
class MemberConfig:
    run: str = option("", "its run, folder or name")
    weight: float = option(1.0, "factor of its normalised feature", minimum=1e-6)
    end_point: str = option("", "what is taken of it; empty: extraction.end_point")
    whitening: str = option("", "whitening of its run to apply; empty: none")


@dataclass
class ExtractionConfig:
    end_point: str = option("embedding", "what is taken: embedding (what was trained), an end point's name, or a full "
                                         "tensor name; feature maps are pooled by model.pooling")
    more_end_points: List[str] = option([], "further end points, taken in the same pass; each has a folder of its own, "
                                            "such as features/query.layer_16_output")
    scales: List[float] = option([1.0], "sides of the image to look at it in, as shares of model.image_size, such as "
                                        "[0.7071, 1, 1.4142]", minimum=0.05, maximum=8)
    flip: bool = option(False, "look at the mirrored image, too")
    aggregate: str = option("mean", "how the normalised features of several scales and of the mirrored image become "
                                    "one", choices=["mean", "max", "concatenate"])
    checkpoint: str = option("latest", "which of the run's: latest, best (of the highest mAP in validation) or a step")
    weights: str = option("auto", "which of its weights: raw, ema (moving averages, of a run with training.ema_decay), "
                                  "auto (ema where there are some)", choices=["auto", "ema", "raw"])
    whitening: str = option("", "whitening to apply, fitted by python -m slim_retrieval.nets.whiten (end_point alone); "
                                "empty: none")
    resize: str = option("square", "square: every image becomes model.image_size wide and high; aspect: its longer "
                                   "side does, and the shorter one the multiple below that keeps the ratio best",
                         choices=["square", "aspect"])
    multiple: int = option(32, "aspect: shorter sides are multiples of this; the smaller it is, the less images are "
                               "stretched, and the more sizes of batches there are", minimum=1)
    draft: float = option(0.0, "JPEG files are decoded at 1/2, 1/4 or 1/8 of their size as long as that is at least "
                               "this many times the size that the network gets (2 is hardly to be told from exact, and "
                               "much faster for large photos); 0: at their whole size, exactly", minimum=0)
    precision: str = option("float32", "numbers that the network computes in: float32, bfloat16 (CPUs with AVX512-BF16 "
                                       "or AMX, TensorFlow 2), float16 (GPUs)",
                            choices=["float32", "bfloat16", "float16"])
    devices: List[str] = option([], "each computes batches of its own, such as ['/gpu:0', '/gpu:1']; empty: all GPUs, "
                                    "or the CPU")
    batch_size: int = option(64, "images at a time on each device", minimum=1)
    splits: List[str] = option(["train", "validation", "query", "gallery"], "splits to extract, where they exist")
    models: List[MemberConfig] = field(default_factory=list, metadata={
        "help": "runs whose features are written side by side, e.g. [{run: A}, {run: B, weight: 0.5}]; empty: of one"})
    skip_unreadable: bool = option(False, "leave out images that cannot be read rather than stop")


@dataclass
class GraphConfig:
    neighbors: int = option(0, "neighbours stored for each gallery image, at least; 0: 100 up to 100,000 images, "
                               "beyond as many as the method takes", minimum=0)
    index: str = option("auto", "how they are found: exact; lists, which misses some; auto, exact as long as that "
                                "takes minutes; or an index in faiss's own words, such as HNSW32")
    recall: float = option(0.97, "not exact: least share of the true neighbours, as measured on a sample", minimum=0,
                           maximum=1)


@dataclass
class JobsConfig:
    backend: str = option("serial", "who does the long steps (extraction, k-NN graph, solver, many queries): serial "
                                    "(this process), threading, loky (processes), dask (a cluster)",
                          choices=["serial", "threading", "loky", "dask"])
    workers: int = option(0, "threads or processes; 0: one for each processor (dask: the cluster's own)", minimum=0)
    scheduler: str = option("", "address of Dask's scheduler, such as tcp://10.0.0.1:8786")


@dataclass
class RetrievalConfig:
    k: int = option(0, "depth of the rankings; 0: the whole gallery up to 10,000 images, 1,000 beyond", minimum=0)
    block: int = option(1024, "queries scored at a time", minimum=1)
    search: str = option("auto", "--image: auto looks, where the gallery is large, into the lists of images nearest to "
                                 "the photo and misses some; exact at all images (rankings always are)",
                         choices=["auto", "exact"])
    recall: float = option(0.99, "auto: share of the nearest images that is to be found, as measured on a sample of "
                                 "the gallery", minimum=0, maximum=1)
    max_memory: float = option(0.0, "GiB that the process may keep in memory; what is larger lies in scratch files "
                                    "beside the rankings; 0: no limit", minimum=0)


@dataclass
class EvaluationConfig:
    protocol: str = option("classes", "what is right, and how a benchmark counts it: classes (same label), oxford5k, "
                                      "roxford5k, market1501, ... (docs/evaluation.md)")
    ground_truth: str = option("", "the benchmark's ground truth, matched by name with the run's images; empty: the "
                                   "protocol's rule on the run's own labels")
    allow_missing: bool = option(False, "let gallery images be missing that the ground truth names; a missing match "
                                        "counts as one that was never returned")
    ap: str = option("protocol", "definition of average precision: step (sum of precisions at the positives), "
                                 "trapezoid (Oxford, Holidays, revisited) or the protocol's own",
                     choices=["protocol", "step", "trapezoid"])
    metrics: List[str] = option([], "metrics to print and to store beside those always stored, such as [mAP, recall@1, "
                                    "CMC@20, MAP@R, NDCG@10]; empty: those that the protocol is reported by")
    recall_at: List[int] = option([1, 5, 10], "depths of the Recall@k, precision@k, mAP@k and NDCG@k that are always "
                                              "stored", minimum=1)
    validation_queries: float = option(0.2, "--validation: share of the validation split used as queries",
                                       minimum=0.01, maximum=0.99)
    note: str = option("", "a remark for the table's caption, such as how the parameters were chosen")
    report_queries: int = option(40, "queries that the report shows with their ranked lists", minimum=0)


@dataclass
class Config:
    run: RunConfig = section(RunConfig, "where results go")
    data: DataConfig = section(DataConfig, "images")
    model: ModelConfig = section(ModelConfig, "network and head")
    losses: List[LossConfig] = field(default_factory=lambda: [LossConfig()],
                                     metadata={"help": "losses that are summed, e.g. [{name: softmax}]"})
    weighting: WeightingConfig = section(WeightingConfig, "what the losses weigh in the sum")
    training: TrainingConfig = section(TrainingConfig, "optimisation")
    cluster: ClusterConfig = section(ClusterConfig, "several machines")
    extraction: ExtractionConfig = section(ExtractionConfig, "feature extraction")
    retrieval: RetrievalConfig = section(RetrievalConfig, "search")
    jobs: JobsConfig = section(JobsConfig, "long steps as tasks for other processes and machines")
    graph: GraphConfig = section(GraphConfig, "k-nearest-neighbour graph")
    alpha_qe: methods.AlphaQEConfig = section(methods.AlphaQEConfig, "method alpha_qe: alpha query expansion")
    cfa: methods.CFAConfig = section(methods.CFAConfig, "method cfa: cascaded feature augmentation")
    gfr: methods.GFRConfig = section(methods.GFRConfig, "method gfr: graph neural re-representation")
    aqe: methods.AQEConfig = section(methods.AQEConfig, "method aqe: average query expansion")
    dba: methods.DBAConfig = section(methods.DBAConfig, "method dba: database-side feature augmentation")
    gcr: methods.GCRConfig = section(methods.GCRConfig, "method gcr: graph convolution re-ranking")
    superglobal: methods.SuperGlobalConfig = section(methods.SuperGlobalConfig, "method superglobal: re-ranking of a "
                                                     "shortlist by refined global features")
    gss: methods.GSSConfig = section(methods.GSSConfig, "method gss: guided similarity separation, a GCN trained "
                                     "without labels")
    k_reciprocal: methods.KReciprocalConfig = section(methods.KReciprocalConfig, "method k_reciprocal: re-ranking by "
                                                      "the Jaccard distance of k-reciprocal encodings")
    gnn_rerank: methods.GNNRerankConfig = section(methods.GNNRerankConfig, "method gnn_rerank: re-ranking by "
                                                  "propagated neighbourhoods")
    offline_diffusion: methods.OfflineDiffusionConfig = section(methods.OfflineDiffusionConfig, "method "
                                                                "offline_diffusion: solved for each gallery image "
                                                                "beforehand")
    joint_diffusion: methods.JointDiffusionConfig = section(methods.JointDiffusionConfig, "method joint_diffusion: "
                                                            "solved for each query")
    spectral_diffusion: methods.SpectralDiffusionConfig = section(methods.SpectralDiffusionConfig, "method "
                                                                  "spectral_diffusion: by a few eigenvectors")
    cas: methods.CASConfig = section(methods.CASConfig, "method cas: re-ranking by cluster-aware similarity diffusion")
    side: methods.SideConfig = section(methods.SideConfig, "side information about the gallery, for the edges of cfa")
    evaluation: EvaluationConfig = section(EvaluationConfig, "metrics and report")
    provenance: Optional[Dict[str, Any]] = field(default=None, metadata={
        "help": "versions, command line and seed; written by the scripts into a run's config.yaml"})

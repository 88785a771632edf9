"""Every field of the YAML, as plain dataclasses: type, default, range and help. `config.py` reads and checks them.

One file serves the four scripts. A field's dotted name (`training.steps`) is also its command-line flag.
"""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from slim_retrieval.common import method_schema as methods
from slim_retrieval.common.option import option, section


@dataclass
class RunConfig:
    name: str = option("", "name of the run; empty: the name of the config file")
    directory: str = option("runs", "folder that holds all runs")
    seed: int = option(0, "seed of everything random; recorded with every result", minimum=0, maximum=2**31 - 1)


@dataclass
class SplitConfig:
    source: str = option("", "what to read, relative to data.path: a folder (folder), a CSV file (csv), "
                             "the files' prefix such as train or t10k (idx, cifar), a file pattern (tfrecord); "
                             "empty: this split does not exist")
    part: List[float] = option([0.0, 1.0], "share of the source's images, [from, to) of a seeded shuffle; "
                                           "ranges that do not overlap share no image", minimum=0, maximum=1)


@dataclass
class AugmentationConfig:
    crop_area: List[float] = option([1.0, 1.0], "random resized crop: share of the image's area, [from, to]",
                                    minimum=0, maximum=1)
    crop_aspect: List[float] = option([1.0, 1.0], "random resized crop: width over height of the crop over that of the "
                                                  "image, [from, to]", minimum=0)
    rotation: float = option(0.0, "random rotation by up to so many degrees; edges are mirrored", minimum=0,
                             maximum=180)
    brightness: float = option(0.0, "colour jitter: factor of the brightness in 1 -+ this", minimum=0)
    contrast: float = option(0.0, "colour jitter: factor of the contrast in 1 -+ this", minimum=0)
    saturation: float = option(0.0, "colour jitter: factor of the saturation in 1 -+ this", minimum=0)
    hue: float = option(0.0, "colour jitter: turn of the hue, in parts of the circle, in -+ this", minimum=0,
                        maximum=0.5)
    grayscale: float = option(0.0, "probability that an image loses its colour", minimum=0, maximum=1)
    erasing: float = option(0.0, "random erasing: probability that a rectangle is replaced by noise", minimum=0,
                            maximum=1)
    erasing_area: List[float] = option([0.02, 0.33], "random erasing: share of the image's area, [from, to]",
                                       minimum=0, maximum=1)
    erasing_aspect: List[float] = option([0.3, 3.3], "random erasing: height over width, [from, to]", minimum=0)


@dataclass
class DataConfig:
    reader: str = option("folder", "layout of the data: folder (one folder per class), csv, idx (MNIST family), "
                                   "cifar, tfrecord (slim's schema)")
    path: str = option("", "where the data lies; ~ is expanded")
    train: SplitConfig = section(SplitConfig, "images to train on")
    validation: SplitConfig = section(SplitConfig, "images to choose parameters on; never query or gallery")
    query: SplitConfig = section(SplitConfig, "images to search with")
    gallery: SplitConfig = section(SplitConfig, "images to search in")
    crop_padding: int = option(0, "training: pixels of padding before a random crop back to the size", minimum=0)
    flip: bool = option(False, "training: random horizontal flip")
    augmentation: AugmentationConfig = section(AugmentationConfig, "training: what else is random in an image")
    workers: int = option(2, "parallel calls that load images", minimum=1)
    prefetch: int = option(4, "batches loaded ahead", minimum=1)


@dataclass
class LayerConfig:
    type: str = option("conv", "kind of layer", choices=["conv", "max_pool", "average_pool"])
    name: str = option("", "its scope under model.layers_scope, and its end point; empty: type and place, such as "
                           "conv_1")
    filters: int = option(256, "conv: channels", minimum=1)
    kernel: int = option(3, "side of the square kernel", minimum=1)
    stride: int = option(1, "step of the kernel", minimum=1)
    dilation: int = option(1, "conv: distance between the points that the kernel reads", minimum=1)
    padding: str = option("same", "same: zeros all round; valid: none", choices=["same", "valid"])
    activation: str = option("relu", "conv: what follows", choices=["relu", "relu6", "none"])
    batch_norm: bool = option(False, "conv: batch norm rather than biases")
    initializer: str = option("", "conv: how its weights start; empty: model.initializer")
    stddev: float = option(0.0, "conv: as model.initializer_stddev; 0: that", minimum=0)


@dataclass
class ModelConfig:
    network: str = option("resnet_v1_50", "backbone: resnet_v1_50 (101, 152), resnet_v2_50 (101, 152), mobilenet_v2, "
                                          "inception_v1 (v2, v3), vgg_16 (a, 19), alexnet_v2, overfeat, small_cnn")
    depth_multiplier: float = option(1.0, "width of the network's layers (mobilenet_v2, inception_v2, inception_v3, "
                                          "small_cnn)", minimum=0.01)
    layout: str = option("slim", "whose strides, padding and input range the network has: slim, or (resnet_v1_*, "
                                 "mobilenet_v2) torchvision or keras, for weights from there")
    image_size: int = option(0, "side of the square input in pixels; 0: the network's own (224; inception_v3 and "
                                "resnet_v2_* 299, overfeat 231, small_cnn 32)", minimum=0)
    end_point: str = option("", "end point or tensor that new layers are put on and that is pooled into the feature; "
                                "empty: the network's last feature map")
    layers: List[LayerConfig] = field(default_factory=list, metadata={
        "help": "new layers on that tensor, e.g. [{type: conv, filters: 256, kernel: 3}]"})
    layers_scope: str = option("finetune_layers", "scope of their variables")
    pooling: str = option("average", "how the feature map becomes a vector: average (SPoC), max (MAC), "
                                     "gem, gem_learned (its power is trained), rmac, crow, none (flatten)")
    gem_p: float = option(3.0, "power of gem, and where that of gem_learned starts", minimum=0.1)
    embedding_size: int = option(0, "width of the embedding layer after pooling; 0: none", minimum=0)
    initializer: str = option("xavier", "how the weights of new layers and of the embedding layer start: xavier, he, "
                                        "truncated_normal, normal, zeros")
    initializer_stddev: float = option(0.01, "standard deviation of truncated_normal and normal", minimum=0)
    checkpoint_path: str = option("", "pretrained slim checkpoint, or a run's folder, to start from; empty: random "
                                     "weights")
    checkpoint_weights: str = option("auto", "which of its weights: raw, ema (moving averages, of a run with "
                                             "training.ema_decay), auto (ema where there are some)",
                                     choices=["auto", "ema", "raw"])
    checkpoint_exclude_scopes: List[str] = option([], "scopes not restored from it, such as [MobilenetV2/Logits]")
    ignore_missing_vars: bool = option(False, "allow variables of the network itself that the pretrained checkpoint "
                                              "lacks; those that the configuration adds may always be missing")
    trainable_scopes: List[str] = option([], "train only variables under these scopes; empty: all")
    freeze_up_to: str = option("", "end point or tensor: every variable that it depends on stays as it is, batch "
                                   "norm's averages included; empty: none")


@dataclass
class LossConfig:
    name: str = option("softmax", "softmax, sigmoid, contrastive, triplet, triplet_batch_all, triplet_batch_hard, "
                                  "triplet_semi_hard, triplet_softmax, n_pairs, lifted_structure, margin, "
                                  "multi_similarity, circle, nt_xent, supervised_contrastive, fast_ap, smooth_ap, "
                                  "proxy_nca, proxy_anchor, normalized_softmax, cosface, arcface, soft_triple")
    weight: float = option(1.0, "factor of this loss in the sum", minimum=0)
    label: str = option("label", "label column that it uses; an empty cell leaves the image out of this loss")
    head: str = option("", "layer that it reads: losses that name one head share it; empty: the label column's logits, "
                           "or the embedding that is extracted")
    category: str = option("", "column within whose values negatives are taken; empty: from the whole batch")
    miner: str = option("", "which pairs or triplets count, such as batch_hard; empty: the loss's own choice")
    reducer: str = option("", "mean, mean_active, sum, mean_per_anchor; empty: the loss's own choice")
    memory: int = option(0, "embeddings of earlier batches that are candidates too (cross-batch memory)", minimum=0)
    memory_start: int = option(0, "step at which the memory begins to be filled", minimum=0)
    options: Dict[str, Any] = option({}, "the parameters of the loss and its miner, such as {margin: 0.2}")


@dataclass
class WeightingConfig:
    name: str = option("fixed", "fixed (each loss's weight alone), uncertainty (learned, Kendall et al. 2018), "
                                "gradnorm (learned, Chen et al. 2018)", choices=["fixed", "uncertainty", "gradnorm"])
    alpha: float = option(1.5, "gradnorm: how strongly a loss that lags behind is favoured", minimum=0)


@dataclass
class ScheduleConfig:
    name: str = option("fixed", "fixed, exponential, natural_exp, inverse_time, polynomial, piecewise, cosine, "
                                "cosine_restarts, linear_cosine, noisy_linear_cosine, one_cycle")
    learning_rate: float = option(0.01, "rate at step 0 (one_cycle: the highest)", minimum=0)
    decay_steps: int = option(1000, "length of the decay (cosine_restarts: of its first period) in steps of the global "
                                    "batch", minimum=1)
    decay_epochs: float = option(0.0, "the same in epochs: images / global batch steps; 0: decay_steps", minimum=0)
    decay_rate: float = option(0.5, "per decay_steps: the factor (exponential), the exponent (natural_exp: "
                                     "e^-rate), the slope (inverse_time: 1 / (1 + rate))", minimum=0)
    staircase: bool = option(False, "decay in steps rather than smoothly (exponential, natural_exp, inverse_time)")
    end_learning_rate: float = option(0.0, "rate at the end (polynomial, one_cycle)", minimum=0)
    power: float = option(1.0, "power of the polynomial", minimum=0)
    cycle: bool = option(False, "start the polynomial again beyond decay_steps")
    boundaries: List[int] = option([], "piecewise: steps after which the next value holds")
    boundary_epochs: List[float] = option([], "piecewise: the boundaries in epochs; empty: boundaries", minimum=0)
    values: List[float] = option([], "piecewise: one rate more than boundaries; learning_rate is not used", minimum=0)
    alpha: float = option(0.0, "lowest rate as a share of learning_rate (cosine, cosine_restarts); added to the linear "
                               "part (linear_cosine, also noisy)", minimum=0)
    beta: float = option(0.001, "lowest rate as a share of learning_rate (linear_cosine, also noisy)", minimum=0)
    num_periods: float = option(0.5, "periods of the cosine within decay_steps (linear_cosine, also noisy)", minimum=0)
    initial_variance: float = option(1.0, "noisy_linear_cosine: variance of the noise at step 0", minimum=0)
    variance_decay: float = option(0.55, "noisy_linear_cosine: the variance at step t is initial_variance / "
                                         "(1 + t)^variance_decay", minimum=0)
    t_mul: float = option(2.0, "each restart's period over the one before (cosine_restarts)", minimum=1)
    m_mul: float = option(1.0, "each restart's peak over the one before (cosine_restarts)", minimum=0)
    rise: float = option(0.3, "one_cycle: share of decay_steps in which the rate rises", minimum=0.01, maximum=0.99)
    start_factor: float = option(0.04, "one_cycle: rate at step 0 as a share of learning_rate", minimum=0, maximum=1)
    cycle_momentum: float = option(0.0, "one_cycle: momentum at the highest rate, such as 0.85; it falls and rises "
                                        "against the rate (momentum, rmsprop); 0: momentum stays", minimum=0, maximum=1)
    warmup_steps: int = option(0, "steps before the schedule, whose own steps count from there", minimum=0)
    warmup_epochs: float = option(0.0, "the same in epochs; 0: warmup_steps", minimum=0)
    warmup: str = option("linear", "linear: from warmup_start to where the schedule begins; constant: warmup_start",
                         choices=["linear", "constant"])
    warmup_start: float = option(0.0, "rate at step 0 of the warm-up", minimum=0)


@dataclass
class MiningConfig:
    every_steps: int = option(0, "sampler hard: steps from one mining of the training set to the next; 0: an epoch",
                              minimum=0)
    start_step: int = option(0, "sampler hard: step at which mining begins; before, hard classes are random ones",
                             minimum=0)
    neighbors: int = option(100, "sampler hard: nearest images looked at for each image; those of its own class do not "
                                 "count", minimum=1)
    negatives: int = option(1, "sampler hard: hard classes beside each anchor's class in a batch", minimum=1)


@dataclass
class TrainingConfig:
    steps: int = option(10000, "steps of the global batch", minimum=1)
    epochs: float = option(0.0, "the same in epochs: images / global batch steps; 0: steps", minimum=0)
    sampler: str = option("pk", "what a batch holds: pk (P classes x K images), pk_category (the P classes from one "
                                "category or few), hard (each anchor's class with its mined hardest wrong classes), "
                                "pairs (siamese), balanced (each class as often, one image a draw), uniform (each "
                                "image as often)")
    classes_per_batch: int = option(16, "P of the P x K samplers, over all towers", minimum=1)
    images_per_class: int = option(4, "K of the P x K samplers", minimum=1)
    batch_size: int = option(0, "samplers pairs, balanced and uniform: images a batch over all towers; 0: P x K",
                             minimum=0)
    category: str = option("", "samplers pk_category and hard: column of the categories; empty: the first loss's "
                               "category")
    categories_per_batch: int = option(1, "sampler pk_category: categories that a batch's classes come from", minimum=1)
    negative_share: float = option(0.5, "sampler pairs: share of pairs of two classes", minimum=0, maximum=1)
    unlabelled_per_batch: int = option(0, "images without a label in the first loss's column that are added to each "
                                          "batch, for other losses; a multiple of what belongs together (mostly K)",
                                       minimum=0)
    mining: MiningConfig = section(MiningConfig, "mining of hard negatives over the whole training set")
    num_clones: int = option(1, "towers; 0: one for each visible GPU (one on the CPU without)", minimum=0)
    devices: List[str] = option([], "a device for each tower, such as ['/gpu:0', '/gpu:1']; empty: GPUs if there "
                                    "are any, else virtual CPU devices")
    loss_scope: str = option("tower", "tower: each tower mines in its own slice; global: one loss over the "
                                      "embeddings of all towers", choices=["tower", "global"])
    variables: str = option("auto", "where the network's variables are: cpu, or spread over the towers' devices by "
                                    "size; auto: on the GPU where all towers share one, else cpu",
                            choices=["auto", "cpu", "spread"])
    batch_norm: str = option("tower", "what batch norm normalises by: tower (each tower's slice of the batch), sync "
                                      "(the whole batch, whatever the towers), frozen (the stored averages)",
                             choices=["tower", "sync", "frozen"])
    precision: str = option("float32", "what the backbone's layers compute in: float32, bfloat16 (TensorFlow 2), "
                                       "float16 with a loss scale; variables, losses and batch norm's moments are "
                                       "float32", choices=["float32", "bfloat16", "float16"])
    loss_scale: float = option(32768.0, "float16: factor of the loss at first; halved after an overflow, whose step is "
                                        "left out", minimum=1)
    loss_scale_steps: int = option(2000, "float16: steps without overflow after which the factor doubles", minimum=1)
    optimizer: str = option("momentum", "sgd, momentum, adam, rmsprop, adagrad, adadelta, ftrl")
    momentum: float = option(0.9, "momentum: share of the velocity that is kept", minimum=0, maximum=1)
    nesterov: bool = option(False, "momentum: Nesterov's, which looks one step ahead")
    opt_epsilon: float = option(0.0, "adam, rmsprop, adadelta: the constant that keeps them from dividing by zero; 0: "
                                     "the optimizer's own (1e-8, 1e-10, 1e-6)", minimum=0)
    adam_beta1: float = option(0.9, "adam: decay of the mean of gradients", minimum=0, maximum=0.999999)
    adam_beta2: float = option(0.999, "adam: decay of the mean of their squares", minimum=0, maximum=0.999999)
    rmsprop_decay: float = option(0.9, "rmsprop: decay of the mean of squares", minimum=0, maximum=1)
    rmsprop_momentum: float = option(0.9, "rmsprop: momentum", minimum=0, maximum=1)
    adagrad_initial_accumulator_value: float = option(0.1, "adagrad: where the sums of squares start", minimum=1e-12)
    adadelta_rho: float = option(0.95, "adadelta: decay of both means", minimum=0, maximum=1)
    ftrl_learning_rate_power: float = option(-0.5, "ftrl: how the rate falls with the sums of squares; 0: not at all",
                                             minimum=-10, maximum=0)
    ftrl_initial_accumulator_value: float = option(0.1, "ftrl: where the sums of squares start", minimum=1e-12)
    ftrl_l1: float = option(0.0, "ftrl: L1 term", minimum=0)
    ftrl_l2: float = option(0.0, "ftrl: L2 term, beside weight_decay", minimum=0)
    weight_decay: float = option(4e-5, "L2 decay of the weights, added once after averaging (not on biases, "
                                       "batch norm or depthwise filters)", minimum=0)
    rate_multipliers: Dict[str, Any] = option({}, "factor of the learning rate by scope, such as {MobilenetV2: 0.1}; "
                                                  "the longest scope counts, 0 freezes")
    clip_value: float = option(0.0, "clip each number of the gradient to plus or minus this; 0: never", minimum=0)
    clip_variable_norm: float = option(0.0, "then clip the norm of each variable's gradient; 0: never", minimum=0)
    clip_norm: float = option(0.0, "then clip the gradient's global norm; 0: never", minimum=0)
    accumulate: int = option(1, "batches (micro-batches then) whose mean gradient makes one step; steps, schedules and "
                                "epochs count such steps", minimum=1)
    ema_decay: float = option(0.0, "decay of the moving averages of the weights, which features are then taken with; "
                                   "0: none; 0.999 is usual", minimum=0, maximum=0.999999)
    ema_debias: bool = option(False, "let the averages move faster at first: decay min(ema_decay, (1 + t) / (10 + t)) "
                                     "at step t")
    schedule: ScheduleConfig = section(ScheduleConfig, "learning rate")
    log_every_steps: int = option(50, "steps between lines and TensorBoard events", minimum=1)
    pictures_every_steps: int = option(1000, "steps between TensorBoard's pictures of a batch's hardest triplets; "
                                             "0: never", minimum=0)
    validate_every_steps: int = option(1000, "steps between retrieval metrics on the split validation, if there is "
                                             "one, or on validation_classes; a checkpoint is saved, and the best one "
                                             "stays; 0: never", minimum=0)
    validation_classes: float = option(0.0, "share of the training classes that is held out, by run.seed, to validate "
                                            "on", minimum=0, maximum=0.9)
    validation_images: int = option(2000, "images to validate on at most, taken evenly from the classes; 0: all",
                                    minimum=0)
    stop_on_collapse: bool = option(False, "end training, with exit status 3, when all embeddings have become one")
    save_every_steps: int = option(1000, "steps between checkpoints", minimum=1)
    max_to_keep: int = option(3, "newest checkpoints kept; 0: all", minimum=0)
    keep_every_n_hours: float = option(0.0, "older checkpoints kept beside them: the first, and each one saved this "
                                            "long after the last that was kept so; 0: none", minimum=0)
    keep_every_n_steps: int = option(0, "older checkpoints kept beside them: those of multiples of this step; 0: none",
                                     minimum=0)


@dataclass
class MemberConfig:
    run: str = option("", "its run, folder or name")
    weight: float = option(1.0, "factor of its normalised feature", minimum=1e-6)
    end_point: str = option("", "what is taken of it; empty: extraction.end_point")
    whitening: str = option("", "whitening of its run to apply; empty: none")


@dataclass
class ClusterConfig:
    chief: List[str] = option([], "host:port of the machine that holds the variables and writes the run; empty: one "
                                  "machine does everything")
    worker: List[str] = option([], "host:port of each machine that towers run on")
    task: str = option("", "which of them this is: chief:0, worker:0, worker:1, ... (the environment variable "
                           "TF_CONFIG goes before all of this)")
    timeout: int = option(600, "seconds to wait for another machine, and for a step", minimum=1, maximum=2000000)


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

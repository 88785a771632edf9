"""Fields of the sections `losses`, `weighting`, `training` and `cluster`."""
from dataclasses import dataclass
from typing import Any, Dict, List

from slim_retrieval.common.option import option, section


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
class ClusterConfig:
    chief: List[str] = option([], "host:port of the machine that holds the variables and writes the run; empty: one "
                                  "machine does everything")
    worker: List[str] = option([], "host:port of each machine that towers run on")
    task: str = option("", "which of them this is: chief:0, worker:0, worker:1, ... (the environment variable "
                           "TF_CONFIG goes before all of this)")
    timeout: int = option(600, "seconds to wait for another machine, and for a step", minimum=1, maximum=2000000)

"""Fields of the section `model`: network, new layers, pooling, and the weights it starts from."""
from dataclasses import dataclass, field
from typing import List

from slim_retrieval.common.option import option


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

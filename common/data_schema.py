"""Fields of the section `data`: images, their splits, how they are augmented."""
from dataclasses import dataclass
from typing import List

from slim_retrieval.common.option import option, section


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

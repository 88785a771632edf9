"""What each network expects of its input: raw RGB values 0..255 in, the network's own range out.

The name of the preprocessing is stored with every checkpoint; extraction refuses another one.
"""
from slim_retrieval.common.tensorflow import tf

# Means of the ImageNet training images in RGB order, as in slim's vgg_preprocessing.py.
IMAGENET_MEANS = [123.68, 116.779, 103.939]
# Mean and standard deviation for values 0..1, as torchvision's pretrained models expect them.
TORCHVISION_MEANS, TORCHVISION_DEVIATIONS = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def subtract_means(images):
    """Return images - IMAGENET_MEANS. Slim's ResNet v1 and VGG checkpoints. float32 [B, H, W, 3]."""
    return images - tf.constant(IMAGENET_MEANS, tf.float32)


def minus_one_to_one(images):
    """Return images / 127.5 - 1. MobileNet, Inception and ResNet v2 checkpoints. float32 [B, H, W, 3]."""
    return images / 127.5 - 1.0


def imagenet_statistics(images):
    """Return (images / 255 - mean) / deviation. Torchvision's checkpoints. float32 [B, H, W, 3]."""
    return (images / 255.0 - tf.constant(TORCHVISION_MEANS, tf.float32)) / tf.constant(TORCHVISION_DEVIATIONS,
                                                                                      tf.float32)


PREPROCESSING = {"subtract_means": subtract_means, "minus_one_to_one": minus_one_to_one,
                 "imagenet_statistics": imagenet_statistics}

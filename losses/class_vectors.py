"""One trainable vector (or several) for each class, compared with embeddings by cosine.

They are made in the variable scope they are asked for in, so towers that reuse it share them. Vectors named `weights`
take weight decay like any layer's, vectors named `proxies` or `centers` do not (as in their papers' code).
"""
from slim_retrieval.common.tensorflow import tf

NORM_EPSILON = 1e-6


def class_vectors(name, shape, dtype):
    """Return the variable `name` of shape [..., d], drawn from a normal distribution and scaled to length about 1."""
    return tf.get_variable(name, shape, dtype, tf.random_normal_initializer(stddev=int(shape[-1]) ** -0.5))


def unit(vectors):
    """Return vectors divided by their length along the last axis; the epsilon keeps the gradient of 0 finite."""
    return vectors * tf.rsqrt(tf.reduce_sum(tf.square(vectors), -1, keepdims=True) + NORM_EPSILON)


def class_cosines(embeddings, num_classes, name):
    """Return the cosine of each row with each class's vector: float [B, C]."""
    vectors = class_vectors(name, [num_classes, width(embeddings)], embeddings.dtype)
    return tf.matmul(unit(embeddings), unit(vectors), transpose_b=True)


def width(embeddings):
    """Return the number of columns, which must be known when the graph is built."""
    return int(embeddings.shape[-1])

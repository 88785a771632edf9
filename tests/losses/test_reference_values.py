"""Values of pytorch-metric-learning 2.9.0 (torch 2.13.0, double precision) on one batch, written down.

The package itself is not a dependency of the tests: torch alone is larger than everything else together.
"""
import numpy as np
import pytest

from slim_retrieval.losses import miners
from slim_retrieval.losses.registry import LOSSES

RANDOM = np.random.RandomState(20)
ROWS = RANDOM.randn(12, 5)
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)
LABELS = np.repeat([0, 1, 2, 3], 3)
CLASS_VECTORS = np.random.RandomState(21).randn(4, 5)
CENTERS = np.random.RandomState(22).randn(4, 3, 5)


@pytest.mark.parametrize("name, options, expected", [
    ("triplet_batch_all", {}, 0.347612807177),  # TripletMarginLoss(0.2)
    ("triplet_batch_hard", {}, 0.783116579826),  # with BatchHardMiner and MeanReducer
    ("triplet_batch_hard", {"soft": True}, 1.03525259312),  # smooth_loss
    ("margin", {"num_classes": 4, "learn_beta": False, "triplet_miner": miners.every_triplet}, 0.311902388622),
    ("multi_similarity", {}, 1.01536639347),  # with MultiSimilarityMiner(0.1)
    ("multi_similarity", {"pair_miner": miners.every_pair}, 1.02146574437),
    ("circle", {}, 89.35942791),
    ("nt_xent", {}, 5.42297305523),
    ("supervised_contrastive", {}, 5.55071340383),
    ("lifted_structure", {}, 7.26226150863),
    ("fast_ap", {}, 0.66280821132)])
def test_metric_losses(run_loss, name, options, expected):
    assert run_loss(LOSSES[name], ROWS, LABELS, dtype=np.float64, **options)[0] == pytest.approx(expected, rel=1e-9)


# 1e-6: our vectors are divided by sqrt(|v|^2 + 1e-6). Not here: ProxyNCALoss, whose sum takes in the image's own class,
# and SmoothAPLoss, which counts the query among its own positives.
@pytest.mark.parametrize("name, variable, options, expected", [
    ("proxy_anchor", "proxies", {}, 34.9612825478),
    ("arcface", "weights", {}, 55.3852565887),
    ("cosface", "weights", {}, 49.1840154163),
    ("normalized_softmax", "weights", {}, 8.97955123825),
    ("soft_triple", "centers", {"centers": 3, "tau": 0.0}, 6.04915494403)])
def test_class_losses(run_loss, name, variable, options, expected):
    vectors = CENTERS if variable == "centers" else CLASS_VECTORS
    loss, _, _, _ = run_loss(LOSSES[name], ROWS, LABELS, dtype=np.float64, num_classes=4,
                             variables={variable: vectors}, **options)
    assert loss == pytest.approx(expected, rel=1e-6)

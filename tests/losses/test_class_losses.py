"""Losses with a vector for each class: proxies, class weights, centres. Each against loops over images and classes."""
import math

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from slim_retrieval.losses import arcface, cosface, normalized_softmax, proxy_anchor, proxy_nca, soft_triple


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_normalized_softmax(equals_loops_with_vectors, unit, smoothing):
    def loop(rows, labels, weights):
        losses = []
        for row, label in zip(unit(rows), labels):
            logs = log_softmax([row @ w / 0.1 for w in unit(weights)])
            losses.append(-(1 - smoothing) * logs[label] - smoothing * np.mean(logs))
        return np.mean(losses)
    equals_loops_with_vectors(normalized_softmax.normalized_softmax, loop, "weights", (4, 5), temperature=0.1,
                              label_smoothing=smoothing)


def test_cosface(equals_loops_with_vectors, unit):
    def loop(rows, labels, weights):
        return np.mean([-log_softmax([16 * (row @ w - 0.3 * (c == label)) for c, w in enumerate(unit(weights))])[label]
                        for row, label in zip(unit(rows), labels)])
    equals_loops_with_vectors(cosface.cosface, loop, "weights", (4, 5), margin=0.3, scale=16.0)


@pytest.mark.parametrize("margin", [0.5, 1.5])  # at 1.5 many angles pass pi
def test_arcface(equals_loops_with_vectors, unit, margin):
    passed = []

    def loop(rows, labels, weights):
        losses = []
        for row, label in zip(unit(rows), labels):
            logits = []
            for c, w in enumerate(unit(weights)):
                angle = math.acos(row @ w)
                if c == label:
                    passed.append(angle + margin > math.pi)
                    logits.append(16 * (math.cos(angle) - margin * math.sin(margin) if passed[-1] else
                                        math.cos(angle + margin)))
                else:
                    logits.append(16 * math.cos(angle))
            losses.append(-log_softmax(logits)[label])
        return np.mean(losses)
    equals_loops_with_vectors(arcface.arcface, loop, "weights", (4, 5), margin=margin, scale=16.0)
    assert any(passed) or margin < 1


def test_margin_zero_makes_arcface_cosface_and_normalized_softmax_one(run_loss, random_batch):
    rows, labels = random_batch(7)
    weights = {"weights": np.random.RandomState(7).randn(4, 5)}
    found = [run_loss(function, rows, labels, dtype=np.float64, num_classes=4, variables=weights, **options)[0]
             for function, options in ((arcface.arcface, {"margin": 0.0, "scale": 20.0}),
                                       (cosface.cosface, {"margin": 0.0, "scale": 20.0}),
                                       (normalized_softmax.normalized_softmax, {"temperature": 0.05}))]
    np.testing.assert_allclose(found, found[0], rtol=1e-9)


@pytest.mark.parametrize("centers, tau", [(3, 0.2), (1, 0.2), (2, 0.0)])
def test_soft_triple(equals_loops_with_vectors, unit, centers, tau):
    def loop(rows, labels, vectors):
        vectors, losses, spread = unit(vectors), [], 0.0
        for row, label in zip(unit(rows), labels):
            relaxed = []
            for of_class in vectors:
                products = np.array([row @ w for w in of_class])
                choice = np.exp(products / 0.1) / np.exp(products / 0.1).sum()
                relaxed.append(choice @ products)
            losses.append(-log_softmax([20 * (s - 0.05 * (c == label)) for c, s in enumerate(relaxed)])[label])
        for of_class in vectors:
            for t in range(centers):
                for s in range(t):
                    spread += math.sqrt(np.square(of_class[s] - of_class[t]).sum())
        return np.mean(losses) + (tau * spread / (len(vectors) * centers * (centers - 1)) if centers > 1 else 0.0)
    equals_loops_with_vectors(soft_triple.soft_triple, loop, "centers", (4, centers, 5), centers=centers, tau=tau,
                              margin=0.05)


def test_proxy_nca(equals_loops_with_vectors, unit, loop_distance):
    def loop(rows, labels, proxies):
        losses = []
        for row, label in zip(unit(rows), labels):
            far = [-3 * (2 - 2 * row @ proxy) for proxy in unit(proxies)]
            losses.append(logsumexp([d for c, d in enumerate(far) if c != label]) - far[label])
        return np.mean(losses)
    equals_loops_with_vectors(proxy_nca.proxy_nca, loop, "proxies", (4, 5), scale=3.0)


def test_proxy_nca_of_one_class_is_nothing(run_loss, random_batch):
    loss, _, gradient, _ = run_loss(proxy_nca.proxy_nca, random_batch(0)[0], [0] * 12, num_classes=1,
                                    variables={"proxies": np.ones((1, 5))})
    assert loss == 0 and not gradient.any()


@pytest.mark.parametrize("classes", [4, 6])  # at 6 some proxies have no image in the batch
def test_proxy_anchor(equals_loops_with_vectors, unit, classes):
    def loop(rows, labels, proxies):
        rows, attraction, repulsion = unit(rows), [], []
        for c, proxy in enumerate(unit(proxies)):
            near = [math.exp(-8 * (row @ proxy - 0.1)) for row, label in zip(rows, labels) if label == c]
            far = [math.exp(8 * (row @ proxy + 0.1)) for row, label in zip(rows, labels) if label != c]
            attraction += [math.log(1 + sum(near))] if near else []
            repulsion.append(math.log(1 + sum(far)))
        return np.mean(attraction) + np.mean(repulsion)
    equals_loops_with_vectors(proxy_anchor.proxy_anchor, loop, "proxies", (classes, 5), alpha=8.0)


def test_accuracy_is_by_the_closest_vector(run_loss):
    rows, vectors = [[1, 0], [0, 1], [1, 0]], [[2, 0], [0, 3]]
    for function, name in ((proxy_nca.proxy_nca, "proxies"), (proxy_anchor.proxy_anchor, "proxies"),
                           (arcface.arcface, "weights"), (cosface.cosface, "weights")):
        _, scalars, _, _ = run_loss(function, rows, [0, 1, 1], num_classes=2, variables={name: vectors})
        assert scalars["accuracy"] == pytest.approx(2 / 3), function

import re

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import metric_names
from slim_retrieval.evaluation.places import find


@pytest.mark.parametrize("name, key, heading", [
    ("mAP", "mAP", "mAP"), ("map@100", "mAP_at_100", "mAP@100"), ("MAP@R", "MAP_at_R", "MAP@R"),
    ("map@r", "MAP_at_R", "MAP@R"), ("recall@5", "recall_at_5", "Recall@5"), ("CMC@1", "cmc_at_1", "CMC@1"),
    ("NDCG", "ndcg", "NDCG"), ("ndcg@10", "ndcg_at_10", "NDCG@10"), ("n-s", "ns_score", "N-S"),
])
def test_names(name, key, heading):
    metric = metric_names.parse(name)
    assert (metric.key, metric.heading) == (key, heading)


def test_depth_reaches_the_function():
    places = find(np.array([[False, False, True, False]]), [1])
    assert metric_names.parse("recall@2").compute(places) == [0]
    assert metric_names.parse("recall@3").compute(places) == [1]


@pytest.mark.parametrize("name, message", [
    ("recal@5", "unknown metric 'recal@k' (did you mean recall@k?); known:"),
    ("recall", "unknown metric 'recall'"),
    ("recall@", "metric recall@: k must be a whole number of at least 1, such as recall@10"),
    ("precision@0", "metric precision@0: k must be"),
    ("CMC@x", "metric CMC@x: k must be"),
    ("recall@k", "metric recall@k: k must be"),
    ("@5", "unknown metric '@5'"), ("", "unknown metric ''"),
])
def test_unknown_names(name, message):
    with pytest.raises(InputError, match=re.escape(message)):
        metric_names.parse(name)


def test_what_is_stored():
    stored = metric_names.stored([1], ["CMC@20", "mAP", "recall@1"])
    assert {"recall_at_1", "cmc_at_20", "mINP", "mAP_step", "mAP_trapezoid", "ndcg_at_1"} <= set(stored)
    assert "mAP" not in stored  # it is the AP that was chosen, computed once

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import ilias, metrics, ranking_files


def write(folder, images, positives, texts=("bench/T0", "cup/T0")):
    (folder / "image_ids").mkdir(exist_ok=True)
    (folder / "image_ids" / "image_query_ids.txt").write_text("".join(name + ",0.5\n" for name in images))
    (folder / "image_ids" / "text_query_ids.txt").write_text("".join(name + "\n" for name in texts))
    (folder / "image_ids" / "positive_ids.txt").write_text("".join(name + ",0.1,3\n" for name in positives))
    return str(folder)


def test_ids(tmp_path):
    folder = write(tmp_path, ["cup/Q1", "bench/Q0"], ["cup/P1", "bench/P0", "cup/P0"])
    truth = ilias.read_image_queries(folder)
    assert truth.query.paths == ["bench/Q0", "cup/Q1"] and truth.gallery.paths == ["bench/P0", "cup/P0", "cup/P1"]
    assert truth.relevance.num_positives.tolist() == [1, 2]
    assert ilias.read_text_queries(folder + "/image_ids").query.paths == ["bench/T0", "cup/T0"]


def test_similarities_against_the_authors_definition(tmp_path):
    """Their AP@k: scikit-learn's AP of the first k, times the share of min(k, positives) that is among them."""
    rng = np.random.RandomState(0)
    positives = ["cup/P{}".format(i) for i in range(6)]
    truth = ilias.read_image_queries(write(tmp_path, ["cup/Q0"], positives))
    for _ in range(50):
        names = list(rng.permutation(positives + ["flickr/{}".format(i) for i in range(9)]))
        names = names[:rng.randint(7, 15)]
        scores = {name: float(score) for name, score in zip(names, rng.permutation(50) / 9.0)}
        (tmp_path / "s.json").write_text(json.dumps({"cup/Q0": scores}))
        ranks, bound = ranking_files.read(str(tmp_path / "s.json"), truth)
        for k in (3, 5, 1000):
            top = sorted(scores, key=scores.get, reverse=True)[:k]
            right = np.array([name in positives for name in top])
            expected = 0.0
            if right.any():
                expected = average_precision_score(right, -np.arange(len(top))) * right.sum() / min(k, 6)
            result = metrics.evaluate(ranks, bound.relevance, names=["mAP@{}".format(k)])
            assert result["mAP_at_{}".format(k)] == pytest.approx(expected)


def test_no_such_folder(tmp_path):
    with pytest.raises(InputError, match="no .*image_query_ids.txt; give the folder of ILIAS"):
        ilias.read_image_queries(str(tmp_path))

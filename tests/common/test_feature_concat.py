import json

import numpy as np
import pytest

from slim_retrieval.common import feature_concat
from slim_retrieval.common.errors import InputError
from slim_retrieval.common.feature_store import FeatureWriter

RANDOM = np.random.RandomState(0)
FEATURES = [RANDOM.randn(7, 3).astype(np.float32), 50 * RANDOM.randn(7, 2).astype(np.float32)]
PATHS = ["{}.jpg".format(i) for i in range(7)]


def store(folder, features, paths=PATHS, skipped=()):
    writer = FeatureWriter(str(folder), features.shape[1], "key")
    writer.append(features, len(features) + len(skipped), skipped)
    writer.finish({"path": paths, "label": ["x"] * len(paths)}, {"model": folder.name})
    return str(folder)


def test_rows_are_normalised_weighted_and_normalised(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_concat, "BLOCK", 3)
    parts = [store(tmp_path / name, f, skipped=[[9, "bad.jpg"]]) for name, f in zip("ab", FEATURES)]
    assert feature_concat.concatenate(parts, [1.0, 0.5], str(tmp_path / "both"), "k", {"split": "query"}) == 5
    found = np.load(str(tmp_path / "both" / "features.npy"))
    for row in range(7):
        a, b = (f[row].astype(float) / np.sqrt((f[row].astype(float) ** 2).sum()) for f in FEATURES)
        np.testing.assert_allclose(found[row], np.append(a, 0.5 * b) / np.sqrt(1.25), atol=1e-6)
    meta = json.loads((tmp_path / "both" / "meta.json").read_text())
    assert [(part["model"], part["weight"]) for part in meta["parts"]] == [("a", 1.0), ("b", 0.5)]
    assert (meta["rows"], meta["width"], meta["skipped"]) == (7, 5, [[9, "bad.jpg"]])
    assert (tmp_path / "both" / "index.csv").read_text() == (tmp_path / "a" / "index.csv").read_text()


def test_parts_of_other_images_are_refused(tmp_path):
    parts = [store(tmp_path / "a", FEATURES[0]), store(tmp_path / "b", FEATURES[1], PATHS[::-1])]
    with pytest.raises(InputError, match="hold different images"):
        feature_concat.concatenate(parts, [1, 1], str(tmp_path / "both"), "k", {})
    assert not (tmp_path / "both").exists()

import numpy as np
import pytest

from slim_retrieval.common import files
from slim_retrieval.common.errors import InputError
from slim_retrieval.graph import leakage
from slim_retrieval.graph.leakage import Piece

QUERY, GALLERY = ["a", "b", "c"], ["a"] * 4 + ["b"] * 4 + ["c"] * 4 + ["trained"] * 4
TRUTH = np.repeat(np.arange(4), 4)


def piece(codes, column="category", setting="side.labels"):
    return Piece(setting, "index.csv", column, np.asarray(codes))


def test_the_evaluated_column_is_refused_by_its_name():
    with pytest.raises(InputError, match="side.text names the column 'label' of index.csv, by which .*column 'label'"):
        leakage.check_name("side.text", "label", "index.csv", True)
    leakage.check_name("side.text", "label", "other.csv", False)  # another file's column may have that name
    leakage.check_name("side.text", "category", "index.csv", True)


def test_paths_are_refused_wherever_they_are():
    for own_index in (False, True):
        with pytest.raises(InputError, match="side.text names the column 'path' of i.csv, .* .column 'label'. where"):
            leakage.check_name("side.text", "path", "i.csv", own_index)


@pytest.mark.parametrize("codes", [TRUTH, (TRUTH + 2) % 4, np.where(np.arange(16) % 4 < 2, TRUTH, -1)],
                         ids=["equal", "renamed", "half known"])
def test_a_column_of_the_same_content_is_refused(codes):
    with pytest.raises(InputError, match=r"side.labels .column 'category' of index.csv. joins the same gallery images "
                                         r"as the column 'label', .* .100% of the pairs."):
        leakage.check([piece(TRUTH % 2), piece(codes)], QUERY, GALLERY)


def test_a_few_changed_values_do_not_hide_it():
    truth = np.repeat(np.arange(10), 20)
    labels = list(map(str, truth))
    changed = truth.copy()
    changed[::40] = (changed[::40] + 1) % 10  # 5 of 200
    with pytest.raises(InputError, match=r"9\d% of the pairs"):
        leakage.check([piece(changed)], labels[:1] + labels, labels)
    leakage.check([piece(np.where(np.random.RandomState(0).rand(200) < .2, 3, truth))], labels, labels)  # noisy


@pytest.mark.parametrize("codes", [TRUTH // 2, np.arange(16), np.full(16, -1), np.arange(16) // 2,
                                   np.where(TRUTH == 3, 0, -1)],
                         ids=["coarser", "all different", "unknown", "finer", "trained classes only"])
def test_other_columns_pass(codes):
    leakage.check([piece(codes)], QUERY, GALLERY)


def test_what_was_computed_may_come_near_but_not_equal():
    near = TRUTH.copy()
    near[0] = -1
    near[5] = 0
    leakage.check([piece(near, column="", setting="side.pair_scores")], QUERY, GALLERY)
    with pytest.raises(InputError, match=r"side.pair_scores .index.csv. joins the same gallery images"):
        leakage.check([piece(TRUTH, column="", setting="side.pair_scores")], QUERY, GALLERY)


def test_without_a_known_truth_nothing_is_compared():
    leakage.check([piece(TRUTH)])


def test_the_record_beside_a_ranking(tmp_path):
    codes = [np.array([0, 1, -1]), np.array([2, 2, 2])]
    record = leakage.write(str(tmp_path), [piece(codes[0]), piece(codes[1], "", setting="side.text_vectors")], {"a": 1})
    with np.load(str(tmp_path / record["codes"])) as stored:
        np.testing.assert_array_equal(stored["0"], codes[0])
        np.testing.assert_array_equal(stored["1"], codes[1])
    assert record["settings"] == {"a": 1} and [s["known"] for s in record["sources"]] == [2 / 3, 1]
    assert record["sources"][0]["column"] == "category" and record["sources"][0]["path"].endswith("/index.csv")
    assert record["sources"][0]["hash"] == files.digest(codes[0]) != record["sources"][1]["hash"]
    again = leakage.write(str(tmp_path), [piece(codes[1])], {})
    assert again["codes"] != record["codes"] and len(list(tmp_path.iterdir())) == 2  # one does not overwrite the other


def test_without_a_source_there_is_nothing_to_compare(tmp_path):
    assert leakage.write(str(tmp_path), [], {"denoise": "rank"}) == {
        "settings": {"denoise": "rank"}, "sources": [], "codes": None}
    assert not list(tmp_path.iterdir())

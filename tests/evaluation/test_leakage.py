import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import ground_truth, leakage
from slim_retrieval.graph import leakage as recording

QUERY = ground_truth.Index(["q1", "q2"], ["a", "b"])
GALLERY = ground_truth.Index(list("123456"), list("aabbcc"))
TRUTH = ground_truth.classes(QUERY, GALLERY)


def about(folder, *columns):
    pieces = [recording.Piece("side.labels", "side.csv", "kind", np.array(codes)) for codes in columns]
    return {"side_information": recording.write(str(folder), pieces, {})}


@pytest.mark.parametrize("codes", [[0, 0, 1, 1, 2, 2], [5, 5, 0, 0, -1, -1], [0, 0, 1, 1, 2, 1]])
def test_a_ranking_made_with_the_ground_truth_is_refused(tmp_path, codes):
    """Classes a and b are evaluated; what is told about c does not matter."""
    record = about(tmp_path, [0, 0, 0, 0, 0, 0], codes)
    with pytest.raises(InputError, match=r"cfa.npy was ranked with side.labels .column 'kind' of .*side.csv., which "
                                         r"joins the same gallery images as the column 'label' of the ground truth"):
        leakage.check(str(tmp_path / "cfa.npy"), record, TRUTH)


@pytest.mark.parametrize("codes", [[0, 0, 0, 0, 1, 1], [0, 1, 2, 3, 4, 5], [-1] * 6, [0, 1, 0, 1, 2, 2]])
def test_other_side_information_passes(tmp_path, codes):
    leakage.check(str(tmp_path / "cfa.npy"), about(tmp_path, codes), TRUTH)


def test_rankings_without_side_information_pass(tmp_path):
    for record in (None, {}, {"side_information": None}, about(tmp_path)):
        leakage.check(str(tmp_path / "cfa.npy"), record, TRUTH)


def test_what_cannot_be_compared_is_refused(tmp_path):
    record = about(tmp_path, [0, 0, 0, 0, 1, 1])
    with pytest.raises(InputError, match="on 6 gallery images, and the ground truth has 4"):
        other = ground_truth.classes(QUERY, ground_truth.take(GALLERY, range(4)))
        leakage.check(str(tmp_path / "cfa.npy"), record, other)
    path = tmp_path / record["side_information"]["codes"]
    path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cfa.npy was ranked with side information, whose record .* is missing or dam"):
        leakage.check(str(tmp_path / "cfa.npy"), record, TRUTH)
    path.unlink()
    with pytest.raises(InputError, match="is missing or damaged; put it back or rank again"):
        leakage.check(str(tmp_path / "cfa.npy"), record, TRUTH)

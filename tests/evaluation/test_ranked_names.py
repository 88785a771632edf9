import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.ground_truth import Index, classes, listed
from slim_retrieval.evaluation.ranked_names import assemble

WHOLE = classes(Index(["q/1.jpg", "q/2.jpg"], ["a", "b"]), Index(["g/x.jpg", "g/y.jpg", "g/z.jpg"], ["a", "a", "b"]))
PART = listed(["p", "q"], ["x", "y"], [["x"], ["y"]], [[], []], "listed", is_complete=False)


def test_lists_of_any_length_and_spelling():
    ranks, truth = assemble({"2": ["z", "g/x.jpg"], "q/1": ["y.jpg"]}, WHOLE, "R")
    assert ranks.dtype == np.int32 and ranks.tolist() == [[1, -1], [2, 0]] and truth is WHOLE


def test_scores_rank_and_ties_go_to_the_smaller_id():
    ranks, _ = assemble({"1": {"z": 0.5, "x": 0.2, "y": 0.5}, "2": {"z": 1, "y": 2, "x": 1}}, WHOLE, "R")
    assert ranks.tolist() == [[1, 2, 0], [1, 0, 2]]


def test_unknown_names_are_distractors_where_the_gallery_is_not_listed():
    ranks, truth = assemble({"q": ["n1", "y", "n2"], "p": ["n2", "x"]}, PART, "R")
    assert ranks.tolist() == [[3, 0, -1], [2, 1, 3]] and truth.gallery.paths == ["x", "y", "n1", "n2"]
    hits, _ = truth.relevance.judge(np.arange(2), ranks)
    assert hits.tolist() == [[False, True, False], [False, True, False]]


def test_queries_may_return_nothing_unless_all_must():
    assert assemble({"q": ["y"]}, PART, "R")[0].tolist() == [[-1], [1]]
    with pytest.raises(InputError, match="R has 1 rankings, the ground truth 2 queries; 1 have none, the first is p"):
        assemble({"q": ["y"]}, PART, "R", must_have_all=True)


@pytest.mark.parametrize("truth, lists, message", [
    (WHOLE, {"1": ["w"]}, "R, query 1: the image w is not among the 3 of the ground truth's gallery"),
    (WHOLE, {"1": ["x", "g/x.jpg"]}, "R, query 1: the image x is ranked more than once"),
    (PART, {"p": ["x", "n", "n"]}, "R, query p: the image n is ranked more than once"),
    (WHOLE, {"3": ["x"]}, "R has a ranking for 3, which is not among the 2 queries of the ground truth"),
    (WHOLE, {"1": ["x"], "q/1.jpg": ["y"]}, "R has two rankings for the query q/1.jpg: 1 and q/1.jpg"),
    (PART, {"p": ["a.1", "a.2"]}, "R names 2 images, such as a.1, and none of them is among the 2 of the ground truth, "
                                  "such as x"),
])
def test_lists_that_do_not_fit(truth, lists, message):
    with pytest.raises(InputError) as error:
        assemble(lists, truth, "R")
    assert message in str(error.value) and "\n" not in str(error.value)

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.binding import add_distractors, bind, find_query
from slim_retrieval.evaluation.ground_truth import Setting, listed
from slim_retrieval.evaluation.relevance import rearranged


@pytest.fixture
def truth():
    """Queries p and q; p: a is right, b junk; q: c and a are right. A gallery may lack d."""
    found = listed(["p", "q"], ["a", "b", "c", "d"], [["a"], ["c", "a"]], [["b", "d"], ["d"]], "listed",
                   is_complete=False, optional=frozenset([3]), query_names=("image_p", "image_q"))
    rows = np.array([1])
    return found._replace(settings={"all": Setting(found.relevance),
                                    "last": Setting(rearranged(found.relevance, rows, np.arange(4)), rows)})


def judged(relevance, names, rows):
    """{row: (right, junk)} as names, when all gallery images are ranked."""
    ranks = np.array([list(range(len(names))) + [-1]] * len(rows))
    hits, junk = relevance.judge(np.array(rows), ranks)
    assert not hits[:, -1].any() and not junk[:, -1].any()  # the pad
    return {row: ({names[i] for i in np.flatnonzero(hits[place])}, {names[i] for i in np.flatnonzero(junk[place])})
            for place, row in enumerate(rows)}


def test_rows_of_a_run(truth):
    gallery = ["x/c.jpg", "x/new.jpg", "x/a.jpg", "x/b.jpg", "x/other.jpg"]
    bound = bind(truth, ["x/image_q.jpg", "x/image_p.jpg"], gallery, "the run")
    right = {0: ({"x/c.jpg", "x/a.jpg"}, set()), 1: ({"x/a.jpg"}, {"x/b.jpg"})}
    assert judged(bound.relevance, gallery, [0, 1]) == right
    assert judged(bound.settings["all"].relevance, gallery, [1, 0]) == right
    assert bound.settings["last"].rows.tolist() == [0]  # q is the first row now
    assert judged(bound.settings["last"].relevance, gallery, [0]) == {0: right[0]}
    assert bound.relevance.num_positives.tolist() == [2, 1] and bound.relevance.num_gallery == 5
    assert bound.query.labels == ["q", "p"] and bound.gallery.labels == ["q", "", "p", "", ""]
    assert bound.query_names == ("image_q", "image_p") and bound.is_complete


def test_queries_may_have_a_name_beside_their_path(truth):
    bound = bind(truth, ["x/same.jpg", "x/same.jpg"], ["a", "b", "c"], "the run", ["q", "p"])
    assert bound.query.paths == ["x/same.jpg"] * 2 and bound.relevance.num_positives.tolist() == [2, 1]


def test_distractors(truth):
    names = ["a", "b", "c", "d", "e", "f"]
    more = add_distractors(truth, ["e", "f"])
    assert more.gallery.paths == names
    assert judged(more.relevance, names, [0, 1]) == {0: ({"a"}, {"b", "d"}), 1: ({"a", "c"}, {"d"})}


def test_queries_by_either_name(truth):
    find = find_query(truth)
    assert [find(name) for name in ("q", "image_q.jpg", "p", "x")] == [1, 1, 0, None]


def test_a_missing_match_counts_as_never_returned(truth):
    bound = bind(truth, ["p", "q"], ["c", "x"], "the run", allow_missing=True)
    assert judged(bound.relevance, ["c", "x"], [0, 1]) == {0: (set(), set()), 1: ({"c"}, set())}
    assert bound.relevance.num_positives.tolist() == [1, 2]  # a is still one of them
    assert bound.rule == "listed; missing, so never returned: 2 of the 4 gallery images named, such as a"
    assert bind(truth, ["p", "q"], ["a", "b", "c"], "the run", allow_missing=True).rule == "listed"


@pytest.mark.parametrize("queries, gallery, message", [
    (["p", "q"], ["a", "c"], "the ground truth names 4 gallery images, the run has 2; 1 of those named are not there, "
                             "the first is b; --evaluation.allow_missing true counts them as never returned"),
    (["p"], ["a", "b", "c"], "the ground truth names 2 queries, the run has 1; 1 of those named are not there, the "
                             "first is q"),
    (["p", "q", "r"], ["a", "b", "c"], "the run has 3 queries, the ground truth 2; 1 of them are not in the ground "
                                       "truth, the first is r"),
    (["p", "q"], ["a", "b", "c", "x/a.jpg"], "the run: a and x/a.jpg are both the gallery image of one name"),
    (["p", "q", "image_p"], ["a", "b", "c"], "the run: p and image_p are both the query of one name"),
])
def test_what_does_not_fit(truth, queries, gallery, message):
    with pytest.raises(InputError) as error:
        bind(truth, queries, gallery, "the run")
    assert message in str(error.value)

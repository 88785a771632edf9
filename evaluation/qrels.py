"""TREC's judgements (qrels): what is right, as lines of text.

    query iteration image relevance        more than 0 is right, everything else wrong; nothing is junk

Order: queries as they first appear, gallery images as well; images that no line names are wrong.
Source: trec_eval's README. It scores a query without positives as 0, here such queries are left out and counted.
"""
from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation.ground_truth import listed
from slim_retrieval.evaluation.tables import read_lines

METRICS = ("mAP", "NDCG@10", "precision@10", "recall@10", "MRR")


def read_qrels(path):
    """Return the `GroundTruth` of a qrels file."""
    positives, gallery = {}, {}
    for number, line in enumerate(read_lines(path), 1):
        words = line.split()
        if len(words) != 4 or not words[3].lstrip("+-").isdigit():
            raise InputError("{} line {}: {!r} is not query, iteration, image and relevance (a whole number)".format(
                path, number, line))
        gallery[words[2]] = True
        right = positives.setdefault(words[0], {})
        if int(words[3]) > 0:
            right[words[2]] = True
    return listed(list(positives), list(gallery), [list(right) for right in positives.values()],
                  [[] for _ in positives], "judged relevant", metrics=METRICS, is_complete=False)

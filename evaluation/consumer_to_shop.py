"""DeepFashion2, consumer to shop: a photo by a customer searches the shops' photos for the same piece of clothing.

Right is the same pair_id and the same style, a number greater than 0: "style 0" can form no pair. Both are columns, or
else the folders category/pair_id/style/{shop,user}/ that the items are usually sorted into.
Source: Ge et al., CVPR 2019, and the README of their code (github.com/switchablenorms/DeepFashion2), which reports the
share of queries with a right item among the first 1, 5, 10, 15 and 20.
"""
from slim_retrieval.common.errors import InputError
from slim_retrieval.evaluation import relevance as relevances
from slim_retrieval.evaluation.ground_truth import GroundTruth, Index, codes

METRICS = ("recall@1", "recall@5", "recall@10", "recall@15", "recall@20", "mAP")
USER, SHOP = "user", "shop"


def consumer_to_shop(query, gallery):
    """Return the `GroundTruth` of two tables; where both are one, images below user/ search those below shop/."""
    if query is gallery:
        query, gallery = (_of_source(query, source) for source in (USER, SHOP))
    items = [_items(table) for table in (query, gallery)]
    # An item without a style answers nothing and is asked for nothing: each gets a name of its own.
    named = [["{}/{}".format(pair, style) if style != "0" else "{} {}".format(side, row)
              for row, (pair, style) in enumerate(rows)] for side, rows in zip((USER, SHOP), items)]
    labels = codes(named[0], named[1])
    sides = [Index(table.column("path"), ["{}/{}".format(*item) for item in rows])
             for table, rows in zip((query, gallery), items)]
    return GroundTruth(sides[0], sides[1], relevances.from_labels(labels[0], labels[1]),
                       "same pair_id and style, style 0 matching nothing", metrics=METRICS)


def _of_source(table, source):
    rows = [row for row, path in enumerate(table.column("path")) if path.split("/")[-2:-1] == [source]]
    if not rows:
        raise InputError("{} has no image in a folder {}/; both user and shop are needed (or a column split)".format(
            table.where, source))
    return table.take(rows)


def _items(table):
    """Return (pair_id, style) of each row."""
    if "pair_id" in table.columns and "style" in table.columns:
        return list(zip(table.column("pair_id"), table.column("style")))
    parts = [path.split("/") for path in table.column("path")]
    for path, one in zip(table.column("path"), parts):
        if len(one) < 4 or one[-2] not in (USER, SHOP):
            raise InputError("{}: {} is not in a folder pair_id/style/user or pair_id/style/shop; sort the items so, "
                             "or give columns pair_id and style".format(table.where, path))
    return [(one[-4], one[-3]) for one in parts]

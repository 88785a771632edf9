"""The findings of `prepare` in words."""

from slim_retrieval.datasets.splits import SPLITS


def count(number, what):
    """Return "1 image" or "2,000 images"."""
    plural = what[:-1] + "ies" if what.endswith("y") else what + ("es" if what.endswith("s") else "s")
    return "{:,} {}".format(number, what if number == 1 else plural)


def lines_of(report):
    """Return the lines of report.txt for the dict that becomes report.json (datasets/prepare.py)."""
    lines = ["{}: layout {}, {}{}".format(report["path"], report["layout"], count(report["images"], "image"),
                                          _sizes(report))]
    lines += _table(report["splits"], report["how_split"])
    lines += ["note: " + note for note in report["notes"]]
    for part in (_unreadable, _duplicates, _leaks, _classes, _queries):
        lines += part(report)
    return lines


def _sizes(report):
    if not report["side"]:
        return ""
    low, median, high = report["side"]
    return ", longer side {:,} to {:,} pixels (median {:,.0f})".format(low, high, median)


def _table(splits, how):
    lines = ["splits: " + how]
    for split in SPLITS:
        if split in splits:
            images, classes = splits[split]["images"], splits[split]["classes"]
            lines.append("  {:<11}{:>10,} images{}".format(
                split, images, " of " + count(classes, "class") if classes else ""))
    return lines


def _unreadable(report):
    found = report["unreadable"]
    if not found:
        return ["unreadable: none" if report["checked"] else "unreadable: not looked at (--no_checks)"]
    lines = ["warning: left out as unreadable, {}:".format(count(len(found), "image"))]
    lines += ["  {}: {}".format(one["path"], one["reason"]) for one in found[:10]]
    return lines + ["  ... all are in report.json"] * (len(found) > 10)


def _duplicates(report):
    found = report["duplicates"]
    if found is None:
        return []
    if not found["groups"]:
        return ["duplicates: none (equal size and equal decoded pixels)"]
    lines = ["duplicates: {} there several times, in {} (equal size and equal decoded pixels)".format(
        count(found["groups"], "picture"), count(found["images"], "image"))]
    if found["groups_with_several_labels"]:
        lines.append("warning: under different labels, {:,} of these".format(found["groups_with_several_labels"]))
    return lines + ["  " + " = ".join(group[:4]) + (" ..." if len(group) > 4 else "") for group in found["first"][:5]]


def _leaks(report):
    found = report["leaks"]
    if found is None:
        return []
    what = "near-identical: thumbnails of 9 x 9 differ by at most {:g} of 255 levels, root mean square".format(
        found["limit"])
    if not found["pairs"]:
        return ["leakage: none between the splits ({})".format(what)]
    lines = ["warning: the same pictures on both sides ({}):".format(what)]
    for one in found["pairs"]:
        parts = ["{:,} the same file".format(one["same_file"])] if one["same_file"] else []
        parts += ["{:,} identical".format(one["identical"])] if one["identical"] else []
        parts += ["{:,} near-identical ({})".format(one["near_images"], count(one["near_pairs"], "pair"))] \
            if one["near_pairs"] else []
        lines.append("  {} images that are in {} too: {}".format(one["splits"][0], one["splits"][1], ", ".join(parts)))
        lines += ["    {} ~ {}".format(*pair) for pair in one["first"][:3]]
    lines.append("  " + ("left out of the former: " + count(found["left_out"], "image") if found["left_out"] else
                         "--drop_leaks leaves them out of the former"))
    return lines


def _classes(report):
    found = report["tiny_classes"]
    if found is None:
        return []
    lines = ["{}{} of {:,} to {:,} images (median {:g})".format(
        "train: " if report["tiny_classes_of"] == "train" else "", count(found["classes"], "class"),
        found["smallest"], found["largest"], found["median"])]
    if found["tiny"]:
        lines.append("warning: fewer than {} images in {}, one alone in {:,}: {}{}".format(
            found["fewer_than"], count(found["tiny"], "class"), found["single"], ", ".join(found["first"][:5]),
            ", ..." if found["tiny"] > 5 else ""))
    return lines


def _queries(report):
    number = report["queries_without_match"]
    return ["warning: {:,} of {} without an image of the class in the gallery; evaluation leaves these out".format(
        number, count(report["splits"]["query"]["images"], "query"))] if number else []

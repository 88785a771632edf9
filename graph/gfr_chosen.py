"""What GFR chose and why, one sentence each: made from the report of its training and the gallery at hand."""
import numpy as np

from slim_retrieval.graph.gfr_edge_learning import LAYERS


def sentences(options, report, edges, effective, centred):
    """Return {what: why} for a GFR of layers edge, or of a network.

    Args:
      options: GFRConfig, resolved.
      report: dict of the training.
      edges: gfr_edge.Edges, or None for a network.
      centred: norm of the mean that is taken away without labels, or None.
      effective: float [n], the sum of the probabilities of each gallery image's neighbours; None for a network.
    """
    chosen = {"training": _training(report)}
    if "plain" in report:
        chosen["metric"] = _metric(report)
    elif edges is not None and not report.get("labels"):
        chosen["centring"] = _centring(centred)
    if edges is None:
        chosen["layers"] = "{} x {}, {} neighbours each, loss {}: as given or the layer's own".format(
            options.layers, options.layer, options.neighbors, report.get("loss_name", options.loss))
    elif edges.strength == 0:
        chosen["propagation"] = "none: " + _why_none(report)
    else:
        chosen.update(_propagation(options, report, edges))
        chosen["neighbors"] = _neighbors(options, effective)
    return chosen


def _training(report):
    if report.get("labels") and "images" in report:
        text = "from the labels of {:,} images of {:,} classes".format(report["images"], report["classes"])
        if "without_labels" in report:
            text += ": mAP on held-out classes {:.3f}, without labels {:.3f}".format(
                report["propagated"], report["without_labels"])
        return text
    text = "from labels" if report.get("labels") else "without labels"
    if "agreed" in report:
        text += (", from {:,} images: two halves of the dimensions teach each other; they agree on {:.0%} of their "
                 "mutual neighbours, chance gives {:.2%}".format(report["images"], report["agreed"], report["chance"]))
    if "with_labels" in report:
        text += "; what labels taught was no better on held-out classes: mAP {:.3f}, without labels {:.3f}".format(
            report["with_labels"], report["without_labels"])
    return text


def _centring(norm):
    if norm is None:
        return "none: the features have little in common"
    return "the mean, of norm {:.2f}, is taken away: it is in every feature and tells nothing".format(norm)


def _metric(report):
    if not report["held_out"]:
        return "none: fewer than four classes have two images, so none can be held out to judge it on"
    if not report.get("metric_strength"):
        return "none" + (": no strength is ahead of plain features on held-out classes by more than chance explains"
                         if "metric_strength" in report else ", as given")
    epochs = report.get("metric_epochs")
    return "strength {:g}{}: mAP on held-out classes {:.3f}, plain {:.3f}".format(
        report["metric_strength"], "" if epochs is None else ", then {} epochs of the ranking loss".format(epochs),
        report["metric"], report["plain"])


def _why_none(report):
    if "note" in report:
        return report["note"]
    return "no edges are ahead on held-out classes by more than chance explains"


def _propagation(options, report, edges):
    if "propagated" in report:
        before = report.get("metric", report["plain"])
        where = "held-out classes" if report["held_out"] else "the train classes"
        why = "mAP on {} {:.3f}, without propagation {:.3f}".format(where, report["propagated"], before)
        depth = "no other depth is ahead there" if edges.layers == LAYERS else "ahead of {} there".format(LAYERS)
        return {"sharpness": "{:g} and strength {:g}: {}".format(edges.sharpness, edges.strength, why),
                "layers": "{}: {}".format(edges.layers, "as given" if options.layers else depth)}
    return {"sharpness": "{:g} and strength {:g}: fixed, there are no labels to judge by".format(
                edges.sharpness, edges.strength),
            "layers": "{}: {}".format(edges.layers, "as given" if options.layers else
                                      "each starts again from the input, so more change little"),
            "residual": "{:g}: what the graph cannot tell, the feature still tells".format(edges.residual)}


def _neighbors(options, effective):
    low, middle, high = np.percentile(effective, [10, 50, 90]) if len(effective) else (0, 0, 0)
    return ("{} looked at, of which {:.1f} count for the median image ({:.1f} to {:.1f} for eight in ten): the edge "
            "network weighs each".format(min(options.neighbors, len(effective) - 1), middle, low, high))

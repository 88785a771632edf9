"""What a table of results must say about itself: queries, gallery, training data, what is right, AP definition."""
from slim_retrieval.evaluation.average_precision import DESCRIPTIONS


def of_files(ground_truth, ap, skipped=0):
    """Return the caption of rankings that come without a run."""
    return "; ".join([_count(ground_truth.query, "queries") + ", " + _count(ground_truth.gallery, "gallery images")]
                     + _rules(ground_truth, ap, skipped))


def of_run(data, ground_truth, ap, skipped=0, train=None, validation=None, note=""):
    """Return the caption of a run's results.

    Args:
      data: the run's data configuration (schema's DataConfig).
      ground_truth: the `GroundTruth` that was used.
      ap: definition of average precision.
      skipped: queries without positives.
      train: `Index` of the images trained on, or None when it is not known.
      validation: None, or the share of the validation split that became queries.
      note: the experiment's own remark (evaluation.note).
    """
    query, gallery = data.query, data.gallery
    if validation is not None:
        query = gallery = data.validation
    parts = ["{} ({}), {} ({})".format(_count(ground_truth.query, "queries"), _source(query),
                                       _count(ground_truth.gallery, "gallery images"), _source(gallery))]
    if validation is not None:
        parts.append("validation split, a share of {:g} cut off as queries".format(validation))
    if data.train.source:
        parts.append("trained on {}".format(_source(data.train)) + _overlap(ground_truth, train))
    parts += _rules(ground_truth, ap, skipped)
    parts.append("for choosing parameters, not a test result" if validation is not None else note)
    return "; ".join(part for part in parts if part)


def _rules(ground_truth, ap, skipped):
    is_named = ground_truth.protocol != "classes"
    parts = ["protocol " + ground_truth.protocol] if is_named else []
    parts += ["positives: " + ground_truth.rule, "AP: " + DESCRIPTIONS[ap]]
    if ap != ground_truth.ap and is_named:
        parts.append("not the protocol's own AP, which is the {}".format(DESCRIPTIONS[ground_truth.ap]))
    if skipped:
        parts.append("queries without positives, left out: {:,}".format(skipped))
    return parts


def _overlap(ground_truth, train):
    """Return how many query labels and images were trained on, in words."""
    if train is None:
        return ""
    labels, images = set(ground_truth.query.labels), set(train.paths)
    used = set(ground_truth.query.paths) | set(ground_truth.gallery.paths)
    text = "{:,} of {:,} query and gallery images were trained on".format(len(used & images), len(used))
    if ground_truth.is_labelled:
        text = "{:,} of {:,} query labels and {}".format(len(labels & set(train.labels)), len(labels), text)
    return " ({})".format(text)


def _count(index, what):
    return "{:,} {}".format(len(index.paths), what)


def _source(split):
    low, high = split.part
    name = split.source or "no source"
    return name if (low, high) == (0, 1) else "{}, part {:g}-{:g}".format(name, low, high)

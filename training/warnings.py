"""What goes wrong in a training without stopping it: each is said once, in one line, with the likely cause.

A condition is a function (scalars, options) -> its line, or '' when all is well. It must hold for so many logged steps
in a row before it is said: a single batch, or the first steps from random weights, prove little.
"""
import logging

from slim_retrieval.datasets.samplers import WHOLE_CLASSES, batch_size, group_size
from slim_retrieval.losses import watch
from slim_retrieval.losses.specs import pair_losses

log = logging.getLogger(__name__)


class Warner:
    """Looks at the scalars of each logged step."""

    def __init__(self, options):
        """Take the whole configuration as plain dicts."""
        self._options = options
        self._held = dict.fromkeys(CONDITIONS, 0)  # logged steps in a row
        self._said = set()

    def look(self, step, scalars):
        """Log what is new; return {name: line} of all that has held for long enough.

        Args:
          step: the step that was just made.
          scalars: {name: number} of that step.
        """
        found = {}
        for name, (patience, condition) in CONDITIONS.items():
            line = condition(scalars, self._options)
            self._held[name] = self._held[name] + 1 if line else 0
            if self._held[name] >= patience:
                found[name] = line
                if name not in self._said:
                    log.warning("step %d: %s", step, line)
                    self._said.add(name)
        return found


def warn_of_split_groups(options, towers):
    """Log a warning if towers that mine alone get parts of what belongs together; return whether they do."""
    training = options["training"]
    slice_size, group = batch_size(training) // towers, group_size(training)
    split = (towers > 1 and training["loss_scope"] == "tower" and bool(pair_losses(options["losses"]))
             and slice_size % group != 0)
    if split:
        log.warning("each of %d towers sees %d images, which cuts groups of %d that belong together (training.sampler "
                    "%s): some images miss their positives; make training.classes_per_batch (%d) divisible by the "
                    "towers, or set training.loss_scope to global", towers, slice_size, group, training["sampler"],
                    training["classes_per_batch"])
    return split


def _collapse(scalars, options):
    return watch.describe_collapse(scalars, batch_size(options["training"]))


def _no_positives(scalars, options):
    return _without("batch/with_positive", "images_per_class", "no image of a batch has another of its class in it, so "
                    "there is no positive pair", scalars, options)


def _no_negatives(scalars, options):
    return _without("batch/with_negative", "classes_per_batch", "no image of a batch has one of another class in it, "
                    "so nothing is pushed apart", scalars, options)


def _without(scalar, setting, what, scalars, options):
    compared = [spec for spec in pair_losses(options["losses"]) if not spec.get("memory")]
    if not compared or scalars[scalar] > 0:
        return ""
    training = options["training"]
    draws_groups = training["sampler"] in WHOLE_CLASSES
    setting = setting if draws_groups else "sampler"
    cause = "training.{} is {}".format(setting, training[setting])
    cure = "raise it" if draws_groups else "take training.sampler pk or larger batches"
    if training["loss_scope"] == "tower" and training["num_clones"] != 1:
        cause += " and each tower sees its own slice alone"
        cure += ", set training.loss_scope to global"
    return "{}: {}; {}, or look for empty cells of the label".format(what, cause, cure)


def _nothing_active(scalars, options):
    quiet = watch.without_active(scalars)
    if not quiet or _no_positives(scalars, options) or _no_negatives(scalars, options):
        return ""  # the others say why
    return ("no triplet or pair has cost anything for long in {}: the negatives are farther away than the margin asks; "
            "take a harder miner, a larger margin or more classes a batch, or be content".format(", ".join(quiet)))


# {name: (logged steps in a row, condition)}
CONDITIONS = {
    "collapse": (3, _collapse),
    "no_positives": (2, _no_positives),
    "no_negatives": (2, _no_negatives),
    "nothing_active": (10, _nothing_active),
}

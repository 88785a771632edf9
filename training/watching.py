"""What is seen of a training while it runs: TensorBoard events, the progress line, warnings, pictures."""
import os
import time

import numpy as np

from slim_retrieval.common.tensorflow import tf
from slim_retrieval.datasets.samplers import images_per_step
from slim_retrieval.losses import watch
from slim_retrieval.training import projector, summaries
from slim_retrieval.training.warnings import Warner

TRIPLETS_SHOWN = 8
SHOWN = ["mAP", "recall_at_1"]


class Watching:
    """Says what to fetch at a step, and takes what was fetched. A context manager: it holds the file of events.

    Attributes:
      collapsed: the line that says that the embeddings have collapsed, as long as they are; else ''.
    """

    def __init__(self, run, options, first_step, validation=None):
        """Begin to watch a run (its folder) that has made `first_step` steps.

        Args:
          options: the whole configuration.
          validation: validation.Validation, or None.
        """
        self.collapsed = ""
        self._training = options["training"]
        self._batch = images_per_step(self._training)
        self._logs, self._validation = os.path.join(run, "logs"), validation
        self._writer = tf.summary.FileWriter(self._logs)
        # TensorBoard then forgets the steps that a killed run made beyond the checkpoint: they come again.
        self._writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), first_step + 1)
        self._warner = Warner(options)
        self._since, self._clock = first_step, time.time()

    def wanted(self, step):
        """Return what a step is to fetch besides the train op and the loss: names of `scalars` and `batch`."""
        found = []
        # Where weights are saved, the gradient that made them must be known to be finite.
        if any(self._is_due(step, what) for what in ("log_every_steps", "save_every_steps", "validate_every_steps")):
            found.append("scalars")
        if self._is_due(step, "pictures_every_steps"):
            found.append("batch")
        return found

    def look(self, step, values):
        """Take what a step gave; return {name: text} for the progress line, or None where nothing is logged.

        Args:
          values: {"loss": number} and what was `wanted`: "scalars" {name: number}; "batch" {"images": [B, S, S, 3],
            "labels": [B], "embedding": [B, d]}.
        """
        if "batch" in values:
            self._show_triplets(step, **values["batch"])
        if not self._is_due(step, "log_every_steps"):
            return None
        rate = (step - self._since) / max(time.time() - self._clock, 1e-9)
        scalars = dict(values["scalars"], loss=values["loss"], steps_per_second=rate,
                       images_per_second=rate * self._batch)
        summaries.write_scalars(self._writer, step, scalars)
        self.collapsed = self._warner.look(step, scalars).get("collapse", "")
        self._since, self._clock = step, time.time()
        return dict({"loss": "{:.4f}".format(values["loss"]), "rate": "{:.3g}".format(scalars["learning_rate"])},
                    **watch.summary(scalars))

    def validate(self, session, step):
        """Return the validation mAP where it is time for it, else None; write it and the projector's files."""
        if self._validation is None or not self._is_due(step, "validate_every_steps"):
            return None
        start = time.time()
        found, rows, features = self._validation.run(session, step)
        summaries.write_scalars(self._writer, step, {"validation/" + name: found[name] for name in SHOWN})
        if np.isfinite(features).all():
            projector.write(self._logs, self._validation.held.table, rows, self._validation.held.column, features)
        self._clock += time.time() - start  # it is no part of the training's speed
        return found["mAP"]

    def _show_triplets(self, step, images, labels, embedding):
        triplets = summaries.hardest_triplets(embedding, labels, TRIPLETS_SHOWN)
        if len(triplets):
            summaries.write_picture(self._writer, step, "hardest_triplets", summaries.triplet_picture(images, triplets))

    def _is_due(self, step, setting):
        every = self._training[setting]
        return bool(every) and (step % every == 0 or step == self._training["steps"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._writer.close()

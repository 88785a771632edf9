"""Which of a checkpoint's weights are read: as trained last, or their moving averages.

A run with `training.ema_decay` stores both: `scope/weights` and `scope/weights/ExponentialMovingAverage`. Batch norm's
moving averages are averages already: there is one of each, and it goes with both.
"""
from slim_retrieval.common.errors import InputError

AVERAGE = "/ExponentialMovingAverage"  # what tf.train.ExponentialMovingAverage puts behind a variable's name


def choose(names, weights="auto", where="the checkpoint"):
    """Return "ema" or "raw".

    Args:
      names: the names in a checkpoint.
      weights: "raw"; "ema"; or "auto", averages where there are some.

    Raises:
      InputError: averages are asked for and there are none.
    """
    there = any(name.endswith(AVERAGE) for name in names)
    if weights == "ema" and not there:
        raise InputError("{} holds no moving averages of the weights: it was trained without training.ema_decay; read "
                         "the weights themselves (raw)".format(where))
    return "ema" if there and weights != "raw" else "raw"


def stored_names(variables, names, weights):
    """Return {name in the checkpoint: variable}, as a Saver takes it.

    A variable without an average (batch norm's statistics, what was frozen) is read under its own name.

    Args:
      names: the names in the checkpoint; weights: as `choose` takes it.
    """
    chosen = choose(names, weights)
    return {v.op.name + AVERAGE if chosen == "ema" and v.op.name + AVERAGE in names else v.op.name: v
            for v in variables}

"""A learning rate for each scope: training.rate_multipliers, {scope: factor}.

The factor multiplies the learning rate of the variables under the scope. For every optimizer here but ftrl, whose
weights are not a sum of updates, that is the same as multiplying their update. Momenta and sums of squares are as
without it.
"""
import logging
import math

from slim_retrieval.common.errors import InputError, nearest
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training.optimizers import build_optimizer, start_ops
from slim_retrieval.training.towers import in_scope, scopes_of

log = logging.getLogger(__name__)


def factor_of(name, multipliers):
    """Return a variable's factor: that of the longest scope it lies under, or 1. Scopes take whole path components."""
    scopes = [scope for scope in multipliers if in_scope(name, scope)]
    return multipliers[max(scopes, key=len)] if scopes else 1.0


def check_multipliers(variables, multipliers):
    """Refuse a scope that holds none of the trainable `variables`, and a factor that is no number from 0 up."""
    scopes = scopes_of(variables)
    for scope, factor in multipliers.items():
        number = isinstance(factor, (int, float)) and not isinstance(factor, bool) and math.isfinite(factor)
        if not number or factor < 0:
            raise InputError("training.rate_multipliers: the factor of {} is {!r}; give a number from 0 up".format(
                scope, factor))
        if not any(in_scope(v.op.name, scope) for v in variables):
            raise InputError("training.rate_multipliers: no trainable variable lies under {!r}{}; there are {}".format(
                scope, nearest(scope, scopes), ", ".join(sorted(s for s in scopes if "/" not in s))))


class ScopedOptimizer:
    """Optimizers of one kind, one for each factor, as one: a variable's slots are its own in any case."""

    def __init__(self, training, rate, momentum=None):
        """Args: `training`, dict of TrainingConfig; `rate`, `momentum` as of optimizers.build_optimizer.

        Raises:
          InputError: as check_multipliers.
        """
        check_multipliers(tf.trainable_variables(), training["rate_multipliers"])
        self._training, self._rate, self._momentum = training, rate, momentum
        self._optimizers = {}

    def apply_gradients(self, gradients, global_step):
        """Return the op that applies [(gradient, variable)] and then adds one to the step; a factor of 0 applies none.

        Raises:
          InputError: nothing is left to train.
        """
        multipliers = self._training["rate_multipliers"]
        applied = []
        for factor, pairs in sorted(self._groups(gradients).items()):
            applied.append(self._of(factor).apply_gradients(pairs))
            if multipliers:
                log.info("learning rate x %g: %d variables, e.g. %s", factor, len(pairs), pairs[0][1].op.name)
        if not applied:
            raise InputError("training.rate_multipliers {} leaves nothing to train".format(multipliers))
        with tf.control_dependencies(applied):
            return tf.assign_add(global_step, 1).op

    def start_ops(self, variables):
        """Return the ops to run once when training starts (optimizers.start_ops)."""
        return [op for factor, pairs in self._groups([(None, v) for v in variables]).items() for op in start_ops(
            self._of(factor), [v for _, v in pairs], self._training, self._rate * factor)]

    def _groups(self, gradients):
        groups = {}
        for gradient, variable in gradients:
            factor = factor_of(variable.op.name, self._training["rate_multipliers"])
            if factor > 0:
                groups.setdefault(factor, []).append((gradient, variable))
        return groups

    def _of(self, factor):
        if factor not in self._optimizers:
            rate = self._rate if factor == 1 else self._rate * factor
            self._optimizers[factor] = build_optimizer(self._training, rate, self._momentum)
        return self._optimizers[factor]

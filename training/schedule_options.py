"""The options of learning rate schedules: which one uses what, checked without building any graph."""
import dataclasses
import logging

from slim_retrieval.common.errors import InputError, lookup
from slim_retrieval.common.training_schema import ScheduleConfig

log = logging.getLogger(__name__)

_DECAYS = ["decay_steps", "decay_rate", "staircase"]
_LINEAR_COSINE = ["decay_steps", "num_periods", "alpha", "beta"]
# The options of each beside learning_rate and the warm-up's, which all have.
USES = {
    "fixed": [],
    "exponential": _DECAYS,
    "natural_exp": _DECAYS,
    "inverse_time": _DECAYS,
    "polynomial": ["decay_steps", "end_learning_rate", "power", "cycle"],
    "piecewise": ["boundaries", "values"],
    "cosine": ["decay_steps", "alpha"],
    "cosine_restarts": ["decay_steps", "t_mul", "m_mul", "alpha"],
    "linear_cosine": _LINEAR_COSINE,
    "noisy_linear_cosine": _LINEAR_COSINE + ["initial_variance", "variance_decay"],
    "one_cycle": ["decay_steps", "rise", "start_factor", "end_learning_rate", "cycle_momentum"],
}


def check_schedule(options):
    """Return `options` with defaults filled in, checked without building any graph.

    Raises:
      InputError: unknown schedule or option, piecewise values that do not fit the boundaries, a warm-up that does not
        train, or a momentum to cycle without a cycle.
    """
    complete = dataclasses.asdict(ScheduleConfig())
    for key in options:
        lookup(complete, key, "schedule option")
    complete.update(options)
    lookup(USES, complete["name"], "schedule")
    if complete["name"] == "piecewise":
        _check_piecewise(complete["boundaries"], complete["values"])
    if complete["warmup_steps"] and complete["warmup"] == "constant" and not complete["warmup_start"]:
        raise InputError("a constant warm-up of {} steps needs its rate: training.schedule.warmup_start is 0".format(
            complete["warmup_steps"]))
    if complete["cycle_momentum"] and complete["name"] != "one_cycle":
        raise InputError("training.schedule.cycle_momentum is {} but the schedule is {}; it goes with one_cycle".format(
            complete["cycle_momentum"], complete["name"]))
    return complete


def warn_of_unused(options):
    """Warn in a line of each option that is set but that the schedule does not use."""
    name, defaults = options["name"], dataclasses.asdict(ScheduleConfig())
    for key in sorted({key for keys in USES.values() for key in keys} - set(USES[name])):
        if options[key] != defaults[key]:
            log.warning("training.schedule.%s = %s has no effect: %s does not use it (it has %s)", key, options[key],
                        name, ", ".join(USES[name]) or "none")


def _check_piecewise(boundaries, values):
    if len(values) != len(boundaries) + 1:
        raise InputError("piecewise schedule: {} boundaries need {} values, got {}; give one value more than "
                         "boundaries".format(len(boundaries), len(boundaries) + 1, len(values)))
    if any(after <= before for before, after in zip(boundaries, boundaries[1:])):
        raise InputError("piecewise schedule: boundaries must ascend, got {}".format(list(boundaries)))

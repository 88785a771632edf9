import csv
import dataclasses
import os

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.model_schema import ModelConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.common.training_schema import ScheduleConfig, TrainingConfig
from slim_retrieval.training import schedule_options, schedules
from slim_retrieval.training.devices import open_session
from slim_retrieval.training.towers import build_towers
from slim_retrieval.training.update import build_update

BASE = {"learning_rate": 0.1, "decay_steps": 100, "decay_rate": 0.5, "end_learning_rate": 0.01}
# Row of the table -> what it differs in from BASE; the rest are the schema's defaults, which are tf.train's.
ROWS = {
    "fixed": {"name": "fixed"},
    "exponential": {"name": "exponential"},
    "exponential_staircase": {"name": "exponential", "staircase": True},
    "natural_exp": {"name": "natural_exp"},
    "inverse_time": {"name": "inverse_time"},
    "polynomial": {"name": "polynomial"},
    "polynomial_power2": {"name": "polynomial", "power": 2.0},
    "polynomial_cycle": {"name": "polynomial", "cycle": True},
    "piecewise_100_200": {"name": "piecewise", "boundaries": [100, 200], "values": [0.1, 0.01, 0.001]},
    "cosine": {"name": "cosine"},
    "cosine_alpha0.1": {"name": "cosine", "alpha": 0.1},
    "cosine_restarts": {"name": "cosine_restarts"},
    "linear_cosine": {"name": "linear_cosine"},
}


def read_table():
    """Return (steps, {row: rates}) as TensorFlow 1.15 computed them."""
    path = os.path.join(os.path.dirname(__file__), "learning_rates_tf1.15.csv")
    with open(path, newline="") as stream:
        header, *rows = csv.reader(stream)
    return [int(name.split("_")[1]) for name in header[1:]], {row[0]: [float(v) for v in row[1:]] for row in rows}


def rates(options, steps, dtype=tf.int64, seed=0):
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(dtype, [])
        rate = schedules.learning_rate(options, step, seed)
        assert rate.dtype == tf.float32 and rate.shape.as_list() == []
        return [session.run(rate, {step: value}) for value in steps]


def test_table_is_whole():
    steps, table = read_table()
    assert len(steps) == 13 and set(table) == set(ROWS)
    assert {options["name"] for options in ROWS.values()} | {"noisy_linear_cosine", "one_cycle"} == \
        set(schedules.SCHEDULES)


@pytest.mark.parametrize("row", sorted(ROWS))
def test_equals_tensorflow_1_15(row):
    steps, table = read_table()
    # float32: a relative 1e-6; near 0 the cosine's own round-off, 1e-8.
    np.testing.assert_allclose(rates(dict(BASE, **ROWS[row]), steps), table[row], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("towers", [1, 4])
def test_every_schedule_has_the_tables_rates_in_training(towers):
    """Step by step on a network of so many towers: the step counts updates, not towers."""
    steps, table = read_table()
    devices = ["/cpu:{}".format(i) for i in range(towers)]
    model = dict(dataclasses.asdict(ModelConfig()), network="small_cnn", depth_multiplier=0.125, image_size=12)
    with tf.Graph().as_default():
        built = build_towers(tf.zeros([8, 12, 12, 3]), {"label": tf.range(8)}, devices, model,
                             [{"name": "softmax", "label": "label"}], {"label": 8}, "tower")
        train = build_update(built.gradients, built.update_ops, dataclasses.asdict(TrainingConfig())).train
        number = tf.train.get_global_step()
        rate = {row: schedules.learning_rate(dict(BASE, **changes), number) for row, changes in ROWS.items()}
        with open_session(devices) as session:
            session.run(tf.global_variables_initializer())
            found = {row: [] for row in ROWS}
            for step in steps:
                if step:
                    number.load(step - 1, session)
                    session.run(train)
                for row, value in session.run(rate).items():
                    found[row].append(value)
    for row in ROWS:
        np.testing.assert_allclose(found[row], table[row], rtol=1e-6, atol=1e-8, err_msg=row)


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_any_integer_step_and_variables(dtype):
    steps, table = read_table()
    for row in ("piecewise_100_200", "polynomial_cycle"):
        np.testing.assert_allclose(rates(dict(BASE, **ROWS[row]), steps[:4], dtype), table[row][:4], rtol=1e-6)
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        rate = schedules.learning_rate(dict(BASE, **ROWS["piecewise_100_200"]), step)
        session.run(tf.global_variables_initializer())
        assert session.run(rate) == np.float32(0.1)
        session.run(step.assign(101))
        assert session.run(rate) == np.float32(0.01)


def test_defaults_are_the_schemas():
    found = schedules.check_schedule({"name": "cosine"})
    assert found == dict(dataclasses.asdict(ScheduleConfig()), name="cosine")
    assert rates({}, [0, 10**6]) == [np.float32(ScheduleConfig().learning_rate)] * 2


def test_every_option_reaches_its_schedule():
    # By the published formulas, at values that differ from every default.
    cases = [
        ({"name": "cosine_restarts", "t_mul": 1.0, "m_mul": 0.5, "alpha": 0.2}, 150,
         0.1 * (0.8 * 0.5 * (1 + np.cos(np.pi * 0.5)) * 0.5 + 0.2)),
        ({"name": "linear_cosine", "alpha": 0.3, "beta": 0.05, "num_periods": 2.0}, 25,
         0.1 * ((0.3 + 0.75) * 0.5 * (1 + np.cos(2 * np.pi * 2.0 * 0.25)) + 0.05)),
        ({"name": "natural_exp", "staircase": True}, 199, 0.1 * np.exp(-0.5)),
        ({"name": "inverse_time", "staircase": True}, 199, 0.1 / 1.5),
        ({"name": "polynomial", "power": 3.0, "cycle": True}, 150, 0.09 * 0.25 ** 3 + 0.01),
    ]
    for options, step, expected in cases:
        assert rates(dict(BASE, **options), [step])[0] == pytest.approx(expected, rel=1e-5), options


@pytest.mark.parametrize("row", ["fixed", "exponential_staircase", "piecewise_100_200", "cosine"])
def test_warm_up_goes_in_front_of_any(row):
    """Linear from .02 to where the schedule begins, then the table's rates, 40 steps later."""
    steps, table = read_table()
    options = dict(BASE, **ROWS[row], warmup_steps=40, warmup_start=0.02)
    after = [step + 40 for step in steps]
    np.testing.assert_allclose(rates(options, after), table[row], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(rates(options, [0, 10, 39, 40]), [0.02, 0.04, 0.02 + 0.08 * 39 / 40, 0.1], rtol=1e-6)
    np.testing.assert_allclose(rates(dict(options, warmup="constant"), [0, 39] + after), [0.02, 0.02] + table[row],
                               rtol=1e-6, atol=1e-8)


def noise_of(options, steps, seed=0):
    """Return the noise that was added, as a multiple of its standard deviation, from the published formula."""
    found = np.array(rates(options, steps, seed=seed), np.float64)
    t, length = np.minimum(steps, options["decay_steps"]).astype(float), options["decay_steps"]
    cosine = 0.5 * (1 + np.cos(np.pi * 2 * options["num_periods"] * t / length))
    linear = options["alpha"] + (length - t) / length
    deviation = np.sqrt(options["initial_variance"] / (1 + t) ** options["variance_decay"])
    return ((found / options["learning_rate"] - options["beta"]) / cosine - linear) / deviation


NOISY = {"name": "noisy_linear_cosine", "learning_rate": 0.1, "decay_steps": 1000, "num_periods": 0.3, "alpha": 3.0,
         "beta": 0.05, "initial_variance": 0.4, "variance_decay": 0.2}  # alpha 3: far from 0, so never cut there


def test_noisy_linear_cosine_is_the_formula_with_noise_of_its_own_seed():
    without = dict(NOISY, initial_variance=0.0)
    np.testing.assert_allclose(rates(without, [0, 70, 999, 2000]), rates(
        dict(without, name="linear_cosine"), [0, 70, 999, 2000]), rtol=1e-6)
    steps = list(range(600))
    noise = noise_of(NOISY, steps)
    # Standard normal: mean and variance within four standard errors, neighbours uncorrelated, next seed another.
    assert abs(noise.mean()) < 4 / np.sqrt(600) and abs(noise.var() - 1) < 4 * np.sqrt(2 / 600)
    assert abs(np.mean(noise[1:] * noise[:-1])) < 4 / np.sqrt(600)
    assert abs(np.mean(noise * noise_of(NOISY, steps, seed=1))) < 4 / np.sqrt(600)
    assert rates(NOISY, [300, 5]) == [rates(NOISY, [300])[0], rates(NOISY, [5])[0]]  # of the step, not of what was read


def test_noise_is_the_same_on_both_stacks():
    # As TensorFlow 1.15 computes them.
    np.testing.assert_allclose(rates(NOISY, [0, 1, 1000], seed=7), [0.37630445, 0.44331717, 0.12397736], rtol=1e-5)


def test_noise_does_not_take_the_rate_below_0():
    found = rates(dict(NOISY, alpha=0.0, initial_variance=9.0), list(range(50)))
    assert min(found) == 0 and max(found) > 0.1


def test_one_cycle():
    # Peak .1 after 30 of 100 steps, from .004, down to .001: by hand at the quarters of the cosines.
    options = {"name": "one_cycle", "learning_rate": 0.1, "decay_steps": 100, "end_learning_rate": 0.001}
    quarter = (1 - np.cos(np.pi / 4)) / 2
    cases = {0: 0.004, 15: 0.052, 30: 0.1, 65: 0.0505, 100: 0.001, 5000: 0.001,
             10: 0.004 + 0.096 * 0.25, 20: 0.004 + 0.096 * 0.75}  # a third of half a cosine is a quarter of the way
    np.testing.assert_allclose(rates(options, list(cases)), list(cases.values()), rtol=1e-5)
    other = dict(options, rise=0.4, start_factor=0.5)
    np.testing.assert_allclose(rates(other, [0, 10, 40]), [0.05, 0.05 + 0.05 * quarter, 0.1], rtol=1e-5)


def test_one_cycle_takes_momentum_the_other_way():
    options = {"name": "one_cycle", "learning_rate": 0.1, "decay_steps": 100, "cycle_momentum": 0.85,
               "warmup_steps": 10}
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        momentum = schedules.momentum(options, step, 0.95)
        found = [session.run(momentum, {step: s}) for s in (0, 10, 25, 40, 75, 110, 500)]
        assert schedules.momentum(dict(options, cycle_momentum=0.0), step, 0.95) is None
    np.testing.assert_allclose(found, [0.95, 0.95, 0.9, 0.85, 0.9, 0.95, 0.95], rtol=1e-6)


def test_what_a_schedule_uses_is_what_it_reads():
    class Reading(dict):
        read = set()

        def __getitem__(self, key):
            self.read.add(key)
            return dict.__getitem__(self, key)

    assert set(schedule_options.USES) == set(schedules.SCHEDULES)
    for name, build in schedules.SCHEDULES.items():
        options = Reading(schedules.check_schedule({"name": name, "boundaries": [1], "values": [2.0, 1.0]}), seed=0)
        options.read = set()
        with tf.Graph().as_default():
            build(options, tf.constant(0, tf.int64))
        # The momentum is read apart from the rate.
        assert options.read - {"learning_rate", "seed"} == set(schedule_options.USES[name]) - {"cycle_momentum"}, name


def test_options_that_a_schedule_does_not_use_are_said(caplog):
    options = schedules.check_schedule({"name": "cosine", "end_learning_rate": 0.1, "alpha": 0.2})
    schedule_options.warn_of_unused(options)
    assert caplog.messages == ["training.schedule.end_learning_rate = 0.1 has no effect: cosine does not use it (it "
                               "has decay_steps, alpha)"]


def test_piecewise_without_boundaries_is_constant():
    assert rates({"name": "piecewise", "values": [0.3]}, [0, 999]) == [np.float32(0.3)] * 2


@pytest.mark.parametrize("options, message", [
    ({"name": "cosin"}, r"unknown schedule 'cosin' \(did you mean cosine\?\); known: cosine, cosine_restarts"),
    ({"decay_step": 5}, r"unknown schedule option 'decay_step' \(did you mean decay_steps\?\)"),
    ({"name": "piecewise", "boundaries": [10], "values": [0.1]}, "1 boundaries need 2 values, got 1"),
    ({"name": "piecewise"}, "0 boundaries need 1 values, got 0"),
    ({"name": "piecewise", "boundaries": [10, 10], "values": [3, 2, 1]}, r"boundaries must ascend, got \[10, 10\]"),
    ({"name": "cosine", "warmup_steps": 5, "warmup": "constant"}, "warm-up of 5 steps needs its rate: .*warmup_start"),
    ({"name": "cosine", "cycle_momentum": 0.8}, "cycle_momentum is 0.8 but the schedule is cosine"),
])
def test_bad_options(options, message):
    with tf.Graph().as_default() as graph:
        with pytest.raises(InputError, match=message) as caught:
            schedules.check_schedule(options)
        assert "\n" not in str(caught.value) and not graph.get_operations()
        with pytest.raises(InputError, match=message):
            schedules.learning_rate(options, tf.constant(0))

import csv
import dataclasses
import os

import numpy as np
import pytest

from slim_retrieval.common.errors import InputError
from slim_retrieval.common.schema import ScheduleConfig
from slim_retrieval.common.tensorflow import tf
from slim_retrieval.training import schedules

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


def rates(options, steps, dtype=tf.int64):
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(dtype, [])
        rate = schedules.learning_rate(options, step)
        assert rate.dtype == tf.float32 and rate.shape.as_list() == []
        return [session.run(rate, {step: value}) for value in steps]


def test_table_is_whole():
    steps, table = read_table()
    assert len(steps) == 13 and set(table) == set(ROWS)
    assert {options["name"] for options in ROWS.values()} == set(schedules.SCHEDULES)


@pytest.mark.parametrize("row", sorted(ROWS))
def test_equals_tensorflow_1_15(row):
    steps, table = read_table()
    # float32: a relative 1e-6; near 0 the cosine's own round-off, 1e-8.
    np.testing.assert_allclose(rates(dict(BASE, **ROWS[row]), steps), table[row], rtol=1e-6, atol=1e-8)


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


def test_piecewise_without_boundaries_is_constant():
    assert rates({"name": "piecewise", "values": [0.3]}, [0, 999]) == [np.float32(0.3)] * 2


@pytest.mark.parametrize("options, message", [
    ({"name": "cosin"}, r"unknown schedule 'cosin' \(did you mean cosine\?\); known: cosine, cosine_restarts"),
    ({"decay_step": 5}, r"unknown schedule option 'decay_step' \(did you mean decay_steps\?\)"),
    ({"name": "piecewise", "boundaries": [10], "values": [0.1]}, "1 boundaries need 2 values, got 1"),
    ({"name": "piecewise"}, "0 boundaries need 1 values, got 0"),
    ({"name": "piecewise", "boundaries": [10, 10], "values": [3, 2, 1]}, r"boundaries must ascend, got \[10, 10\]"),
])
def test_bad_options(options, message):
    with tf.Graph().as_default() as graph:
        with pytest.raises(InputError, match=message) as caught:
            schedules.check_schedule(options)
        assert "\n" not in str(caught.value) and not graph.get_operations()
        with pytest.raises(InputError, match=message):
            schedules.learning_rate(options, tf.constant(0))

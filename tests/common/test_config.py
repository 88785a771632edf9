import argparse
import dataclasses
import os
import re
import subprocess
import sys
import textwrap

import pytest

from slim_retrieval.common import config as configuration
from slim_retrieval.common import files
from slim_retrieval.common.errors import command
from slim_retrieval.common.schema import Config
from slim_retrieval.common.training_schema import LossConfig


@command
def script(argv):
    """Stand for any of the scripts: one flag of its own, then the schema's."""
    parser = configuration.build_parser("A script.\n\n  more about it\n")
    parser.add_argument("--method", default="none")
    parser.add_argument("--depth", type=int, default=0)
    flags, overrides = configuration.parse(parser, argv)
    return flags, configuration.resolve(flags.config, overrides)


def config_of(argv):
    return script(argv)[1]


@pytest.fixture
def yaml_file(tmp_path):
    """Write YAML; return the flags that name it."""
    def write(text):
        path = tmp_path / "experiment.yaml"
        path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
        return ["--config", str(path)]
    return write


@pytest.fixture
def refused(capsys):
    """Run the script on bad input; return its one line on stderr."""
    def run(argv):
        with pytest.raises(SystemExit) as caught:
            script(argv)
        out, err = capsys.readouterr()
        assert caught.value.code == 2 and out == ""
        assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
        assert len(err) < 500
        return err[len("error: "):-1]
    return run


# What is accepted.

def test_defaults_are_the_schema():
    assert configuration.to_plain(configuration.resolve()) == dataclasses.asdict(Config())


def test_file_over_defaults_and_flags_over_file(yaml_file):
    argv = yaml_file("""
        training:
          steps: 7
          schedule: {name: cosine, learning_rate: 1e-3}
        losses:
          - {name: softmax, weight: 0.5}
          - name: triplet_batch_hard
            options: {margin: 2e-1, soft: true}
        cfa:
          levels: [{k: [5, 10], weights: [.5, 1]}, {alpha: 0.5}]
        """)
    config = config_of(argv + ["--training.steps", "8", "--losses.1.weight", "3", "--method", "cfa"])
    expected = dataclasses.asdict(Config())
    expected["training"].update(steps=8)
    expected["training"]["schedule"].update(name="cosine", learning_rate=0.001)
    loss = expected["losses"][0]
    expected["losses"] = [dict(loss, weight=0.5), dict(loss, name="triplet_batch_hard", weight=3.0,
                                                       options={"margin": 0.2, "soft": True})]
    expected["cfa"]["levels"] = [{"k": [5, 10], "weights": [0.5, 1.0], "alpha": 0.95, "cells": 1},
                                 {"k": [30], "weights": [], "alpha": 0.5, "cells": 1}]
    assert configuration.to_plain(config) == expected


def test_the_scripts_own_flags():
    flags, config = script(["--depth", "3", "--training.steps=5", "--method=gfr"])
    assert flags == argparse.Namespace(config=None, method="gfr", depth=3) and config.training.steps == 5


@pytest.mark.parametrize("flags, read, value", [
    (["--training.steps", "9"], lambda c: c.training.steps, 9),
    (["--training.steps=9"], lambda c: c.training.steps, 9),
    (["--training.steps", "9", "--training.steps", "10"], lambda c: c.training.steps, 10),
    (["--training.schedule.learning_rate", "1e-3"], lambda c: c.training.schedule.learning_rate, 0.001),
    (["--training.schedule.learning_rate", "2E2"], lambda c: c.training.schedule.learning_rate, 200.0),
    (["--training.schedule.learning_rate", ".5"], lambda c: c.training.schedule.learning_rate, 0.5),
    (["--training.schedule.learning_rate", "3"], lambda c: c.training.schedule.learning_rate, 3.0),
    (["--losses.0.weight", "0.25"], lambda c: c.losses[0].weight, 0.25),
    (["--losses.0.weight=0.25"], lambda c: c.losses[0].weight, 0.25),
    (["--losses.0.options", "{margin: 1e-1}"], lambda c: c.losses[0].options, {"margin": 0.1}),
    (["--losses.0.options.margin", "-0.2"], lambda c: c.losses[0].options, {"margin": -0.2}),
    (["--losses", "[{name: a}, {name: b}]", "--losses.1.weight", "2"],
     lambda c: [(loss.name, loss.weight) for loss in c.losses], [("a", 1.0), ("b", 2.0)]),
    (["--cfa.levels", "[{k: [3]}]"], lambda c: (list(c.cfa.levels[0].k), c.cfa.levels[0].alpha), ([3], 0.95)),
    (["--cfa.levels", "[{}]", "--cfa.levels.0.k", "[3, 4]"], lambda c: list(c.cfa.levels[0].k), [3, 4]),
    (["--cfa.levels", "[{k: [3]}]", "--cfa.levels.0.k.0", "5"], lambda c: list(c.cfa.levels[0].k), [5]),
    (["--extraction.splits", "[query]"], lambda c: list(c.extraction.splits), ["query"]),
    (["--extraction.splits", "[]"], lambda c: list(c.extraction.splits), []),
    (["--data.query.part", "[0, .5]"], lambda c: list(c.data.query.part), [0.0, 0.5])])
def test_flags(flags, read, value):
    assert read(config_of(flags)) == value


@pytest.mark.parametrize("text", ["2020", "1e5", "007", "1.50", "no", "true", "null", "2020-01-31", "[a]", "a: b", "",
                                  "-x", "-1", "#1", " x ", "a=b", "\u00e9"])
def test_text_given_by_flag_stays_text(text):
    assert config_of(["--run.name", text]).run.name == text
    assert config_of(["--losses.0.name=" + text]).losses[0].name == text


@pytest.mark.parametrize("text", ["2020", "1e5", "007", "1.50", "no", "true", "2020-01-31", "1:30"])
def test_text_in_a_file_stays_text(yaml_file, text):
    config = config_of(yaml_file("""
        run: {{name: {0}}}
        losses: [{{label: {0}}}]
        extraction: {{splits: [{0}, query]}}
        """.format(text)) + ["--model.trainable_scopes", "[{}]".format(text)])
    assert config.run.name == config.losses[0].label == text
    assert list(config.extraction.splits) == [text, "query"] and list(config.model.trainable_scopes) == [text]


@pytest.mark.parametrize("text, value", [
    ("False", False), ("false", False), ("no", False), ("off", False), ("0", False),
    ("True", True), ("true", True), ("yes", True), ("on", True), ("1", True)])
def test_false_is_false(yaml_file, text, value):
    opposite = "data: {{flip: {}}}".format(not value)
    assert config_of(yaml_file(opposite) + ["--data.flip", text]).data.flip is value
    assert config_of(yaml_file("data: {{flip: {}}}".format(text))).data.flip is value


def test_an_empty_file_gives_the_defaults(yaml_file):
    assert config_of(yaml_file("# nothing\n")) == configuration.resolve()


def test_an_anchor_with_merge_is_no_double_key(yaml_file):
    config = config_of(yaml_file("""
        losses:
          - &first {name: contrastive, options: {margin: 1}}
          - {<<: *first, weight: 2.0}
        """))
    assert [(loss.name, loss.weight) for loss in config.losses] == [("contrastive", 1.0), ("contrastive", 2.0)]


def test_interpolation(yaml_file, monkeypatch):
    monkeypatch.setenv("SLIM_RETRIEVAL_CACHE", "/somewhere")
    config = config_of(yaml_file("""
        data: {path: "${cache:photos}"}
        training: {schedule: {decay_steps: "${training.steps}"}}
        """) + ["--training.steps", "77"])
    assert config.data.path == "/somewhere/photos" and config.training.schedule.decay_steps == 77


def test_what_a_run_saves_reads_back_equal(yaml_file, tmp_path):
    config = config_of(yaml_file("""
        run: {name: 2020, seed: 5}
        losses: [{name: "no", weight: 1e-3, options: {margin: 2, deep: {list: [1, a]}}}]
        training: {devices: ["/gpu:0"], schedule: {learning_rate: 1e-7, values: [1, .5]}}
        cfa: {levels: [{k: [3], alpha: 0}, {k: [4, 5]}]}
        """))
    plain = configuration.to_plain(config)
    path = str(tmp_path / "saved.yaml")
    files.write_yaml(path, dict(plain, provenance={
        "command_line": "train --data.path '${oc.env:NOT_SET}'", "seed": 5, "versions": {"numpy": "1.18"}}))
    again = configuration.resolve(path)
    assert configuration.to_plain(again) == plain and again == config
    assert plain["losses"][0]["options"] == {"margin": 2, "deep": {"list": [1, "a"]}} and plain["run"]["name"] == "2020"


# What is refused: in a file.

@pytest.mark.parametrize("text, message", [
    ("training: {stepz: 3}", "training.stepz: unknown key (did you mean training.steps?)"),
    ("trainin: {steps: 3}", "trainin: unknown key (did you mean training?)"),
    ("zzzzzz: 3", "zzzzzz: unknown key; --help all lists all"),
    ("3: 4", "3: unknown key; --help all lists all"),
    ("losses: [{nam: x}]", "losses.0.nam: unknown key (did you mean losses.0.name?)"),
    ("losses: [{name: x}, {wieght: 2}]", "losses.1.wieght: unknown key (did you mean losses.1.weight?)"),
    ("training.steps: 3", "training.steps: unknown key; dotted names are for flags, in a file nest them: "
                          "training: {steps: ...}"),
    ("training: {schedule.power: 3}", "training.schedule.power: unknown key; dotted names are for flags, in a file "
                                      "nest them: schedule: {power: ...}"),
    ("training: 3", "training: expected a section such as {steps: ...}, got 3"),
    ("training: [1]", "training: expected a section such as {steps: ...}, got [1]"),
    ("training:", "training: expected a section such as {steps: ...}, got nothing"),
    ("training: {schedule: }", "training.schedule: expected a section such as {name: ...}, got nothing"),
    ("data: {query: photos}", "data.query: expected a section such as {source: ...}, got 'photos'"),
    ("losses:", "losses: expected a list such as [{name: ...}], got nothing"),
    ("losses: {name: x}", "losses: expected a list such as [{name: ...}], got {'name': 'x'}"),
    ("losses: {0: {name: x}}", "losses: expected a list such as [{name: ...}], got {0: {'name': 'x'}}"),
    ("losses: [softmax]", "losses.0: expected a section such as {name: ...}, got 'softmax'"),
    ("losses: [{options: 3}]", "losses.0.options: expected a section such as {name: value}, got 3"),
    ("training: {steps: }", "training.steps: expected a whole number, got nothing"),
    ("training: {steps: 1.5}", "training.steps: expected a whole number, got 1.5"),
    ("training: {steps: 1e5}", "training.steps: expected a whole number, got 100000.0"),
    ("training: {steps: true}", "training.steps: expected a whole number, got True"),
    ("training: {steps: [1]}", "training.steps: expected a whole number, got [1]"),
    ("training: {steps: {a: 1}}", "training.steps: expected a whole number, got {'a': 1}"),
    ("training: {momentum: '0.5'}", "training.momentum: expected a number, got '0.5'"),
    ("data: {flip: maybe}", "data.flip: expected true or false, got 'maybe'"),
    ("data: {flip: 2}", "data.flip: expected true or false, got 2"),
    ("run: {name: }", "run.name: expected text, got nothing"),
    ("run: {name: [a]}", "run.name: expected text, got ['a']"),
    ("run: {name: '???'}", "run.name: expected text, got '???'"),
    ("extraction: {splits: query}", "extraction.splits: expected a list such as [a, b], got 'query'"),
    ("extraction: {splits: }", "extraction.splits: expected a list such as [a, b], got nothing"),
    ("cfa: {levels: [{k: 3}]}", "cfa.levels.0.k: expected a list such as [1, 2], got 3"),
    ("cfa: {levels: [{k: [3, x]}]}", "cfa.levels.0.k.1: expected a whole number, got 'x'"),
    ("data: {query: {part: [0, null]}}", "data.query.part.1: expected a number, got nothing"),
    ("provenance: 3", "provenance: expected a section such as {name: value}, got 3"),
    ("- a\n- b", "expected sections such as 'training:', got ['a', 'b']"),
    ("hello", "expected sections such as 'training:', got 'hello'"),
    ("x" * 999, "expected sections such as 'training:', got '" + "x" * 56 + "...")])
def test_files_that_do_not_fit(yaml_file, refused, text, message):
    argv = yaml_file(text)
    assert refused(argv) == argv[1] + ": " + message


@pytest.mark.parametrize("text, message", [
    ("training: [\n  steps: 3\n", "expected ',' or ']'"),
    ("training:\n\tsteps: 3\n", "cannot start any token"),
    ("run: {seed: 1}\n---\nrun: {seed: 2}\n", "expected a single document"),
    ("run: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
    ("? [a, b]\n: 3\n", "unhashable key"),
    ("data: {path: *nowhere}\n", "undefined alias"),
    ("losses: [{options: {day: 2020-99-99}}]\n", "month must be in 1..12"),
    (b"run: {name: \xe9}\n", "can't decode byte 0xe9"),
    (b"run: {name: \x00}\n", "special characters are not allowed"),
    ("training:\n  steps: 3\nrun:\n  seed: 1\ntraining:\n  momentum: 0.1\n",
     "the key 'training' stands twice, first in line 1 in"),
    ("training:\n  steps: 3\n  momentum: 0.1\n  steps: 4\n", "the key 'steps' stands twice, first in line 2 in"),
    ("losses: [{name: a, name: b}]\n", "the key 'name' stands twice, first in line 1 in")])
def test_files_that_are_no_yaml(yaml_file, refused, text, message):
    argv = yaml_file(text)
    line = refused(argv)
    assert line.startswith(argv[1] + " is not valid YAML: ") and message in line


def test_the_second_of_two_sections_is_located(yaml_file, refused):
    line = refused(yaml_file("training:\n  steps: 3\nrun:\n  seed: 1\ntraining:\n  momentum: 0.1\n"))
    assert "first in line 1" in line and 'experiment.yaml", line 5, column 1' in line


@pytest.mark.parametrize("path", ["nope.yaml", "", os.sep])
def test_missing_file(refused, path):
    assert refused(["--config", path]) == "no config file {}; give an existing YAML file with --config".format(path)


# What is refused: values, from a file and by flag alike.

@pytest.mark.parametrize("key, value, message", [
    ("training.momentum", "1.5", "1.5 is out of range; it must be from 0 to 1"),
    ("training.momentum", ".nan", "nan is not a finite number"),
    ("training.schedule.learning_rate", ".inf", "inf is not a finite number"),
    ("training.schedule.alpha", "-1", "-1.0 is out of range; it must be at least 0"),
    ("training.schedule.alpha", "-1e-3", "-0.001 is out of range; it must be at least 0"),
    ("training.schedule.alpha", "-.5", "-0.5 is out of range; it must be at least 0"),
    ("training.steps", "0", "0 is out of range; it must be at least 1"),
    ("training.steps", "-3", "-3 is out of range; it must be at least 1"),
    ("run.seed", "99999999999", "99999999999 is out of range; it must be from 0 to 2147483647"),
    ("data.query.part", "[0, 1.5]", "1.5 is out of range; it must be from 0 to 1"),
    ("data.query.part", "[.nan, 1]", "nan is not a finite number"),
    ("evaluation.recall_at", "[1, 0]", "0 is out of range; it must be at least 1"),
    ("losses", "[]", "expected at least one item, got []"),
    ("cfa.edges", "mutul", "'mutul' is not one of knn, mutual, k_reciprocal, shared (did you mean mutual?)"),
    ("data.path", "${nope}", "Interpolation key 'nope' not found"),
    ("training.schedule.decay_steps", "${run.directory}",
     "While dereferencing interpolation '${run.directory}': Value 'runs' of type 'str' could not be converted to "
     "Integer")])
def test_values_out_of_range(yaml_file, refused, key, value, message):
    assert refused(["--" + key, value]) == "{}: {}".format(key, message)
    assert refused(["--{}={}".format(key, value)]) == "{}: {}".format(key, message)
    nested = value if "$" not in value else "'{}'".format(value)
    for part in reversed(key.split(".")):
        nested = "{{{}: {}}}".format(part, nested)
    assert refused(yaml_file(nested)) == "{}: {}".format(key, message)


@pytest.mark.parametrize("argv, message", [
    (["--losses.0.weight", "-1"], "losses.0.weight: -1.0 is out of range; it must be at least 0"),
    (["--losses.0.weight=-1e-3"], "losses.0.weight: -0.001 is out of range; it must be at least 0"),
    (["--cfa.levels", "[{k: [0]}]"], "cfa.levels.0.k: 0 is out of range; it must be at least 1"),
    (["--cfa.levels", "[{}]", "--cfa.levels.0.alpha", "1"],
     "cfa.levels.0.alpha: 1.0 is out of range; it must be from 0 to 0.999"),
    (["--cfa.levels", "[{alpha: .nan}]"], "cfa.levels.0.alpha: nan is not a finite number"),
    (["--training.momentum", "nan"], "--training.momentum: expected a number, got 'nan'"),
    (["--training.steps", "abc"], "--training.steps: expected a whole number, got 'abc'"),
    (["--training.steps", ""], "--training.steps: expected a whole number, got nothing"),
    (["--training.steps="], "--training.steps: expected a whole number, got nothing"),
    (["--data.flip", "flase"], "--data.flip: expected true or false, got 'flase'"),
    (["--losses.0.weight", "[1]"], "--losses.0.weight: expected a number, got [1]"),
    (["--losses", "3"], "--losses: expected a list such as [{name: ...}], got 3"),
    (["--losses", "[{nam: x}]"], "--losses.0.nam: unknown key (did you mean losses.0.name?)"),
    (["--cfa.levels", "[{k: [3]"], "--cfa.levels: '[{k: [3]' is not a valid value: expected ',' or '}', but got "
                                   "'<stream end>'"),
    (["--cfa.levels", "[{k: [3], k: [4]}]"],
     "--cfa.levels: '[{k: [3], k: [4]}]' is not a valid value: the key 'k' stands twice, first in line 1"),
    (["--losses.1.weight", "2"], "--losses.1.weight: losses has 1 item(s), the first is losses.0"),
    (["--cfa.levels", "[{}]", "--cfa.levels.0.k.3", "2"],
     "--cfa.levels.0.k.3: cfa.levels.0.k has 1 item(s), the first is cfa.levels.0.k.0"),
    (["--cfa.levels.0.k", "[2]"], "--cfa.levels.0.k: cfa.levels has no items yet; give the whole list first"),
    (["--training.stpes", "3"], "unknown flag --training.stpes (did you mean --training.steps?)"),
    (["--training.stpes=3"], "unknown flag --training.stpes (did you mean --training.steps?)"),
    (["--losses.0.wieght", "3"], "unknown flag --losses.0.wieght (did you mean --losses.0.weight?)"),
    (["--losses.-1.weight", "3"], "unknown flag --losses.-1.weight (did you mean --losses.0.weight?)"),
    (["--training.step", "3"], "unknown flag --training.step (did you mean --training.steps?)"),
    (["--meth", "cfa"], "unknown flag --meth (did you mean --method?)"),
    (["--zzzzqqqq", "3"], "unknown flag --zzzzqqqq; --help all lists all"),
    (["--training", "{steps: 3}"], "--training is a section; set its fields one by one, such as --training.steps"),
    (["--losses.0", "{name: x}"], "--losses.0 is a section; set its fields one by one, such as --losses.0.name"),
    (["photos"], "unexpected argument 'photos'; --help explains the flags"),
    (["--training.steps"], "--training.steps needs a value"),
    (["--training.steps", "--data.flip", "true"], "--training.steps needs a value"),
    (["--losses.0.weight"], "--losses.0.weight needs a value"),
    (["--method"], "argument --method: expected one argument; --help explains the flags"),
    (["--depth", "x"], "argument --depth: invalid int value: 'x'; --help explains the flags")])
def test_flags_that_do_not_fit(refused, argv, message):
    assert refused(argv) == message


def test_provenance_is_no_flag(refused):
    assert refused(["--provenance", "{a: 1}"]).startswith("unknown flag --provenance")


def test_a_long_value_is_cut(refused):
    line = refused(["--training.steps", "x" * 10000])
    assert line.startswith("--training.steps: expected a whole number, got 'xxx") and line.endswith("xxx...")


def test_exit_status_of_a_process(tmp_path):
    script_path = tmp_path / "script.py"
    script_path.write_text(textwrap.dedent("""
        from slim_retrieval.common import config
        from slim_retrieval.common.errors import command
        @command
        def main():
            flags, overrides = config.parse(config.build_parser("d"))
            print(config.resolve(flags.config, overrides).training.schedule.alpha)
        main()
        """))
    def run(*argv):
        done = subprocess.run([sys.executable, str(script_path)] + list(argv), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        return done.returncode, done.stdout, done.stderr
    assert run("--training.schedule.alpha", "1e-3") == (0, "0.001\n", "")
    assert run("--training.schedule.alpha", "-1e-3") == (
        2, "", "error: training.schedule.alpha: -0.001 is out of range; it must be at least 0\n")


# Help.

def walk(cls, prefix=""):
    """Yield (dotted name, field) of all that is no section, another way than the code does."""
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.type):
            yield from walk(field.type, prefix + field.name + ".")
        elif field.name != "provenance":
            yield prefix + field.name, field


def help_of(capsys, *words):
    with pytest.raises(SystemExit) as caught:
        script(["--help", *words])
    out, err = capsys.readouterr()
    assert caught.value.code == 0 and err == ""
    return out


def test_help_all_has_every_leaf_with_its_default(capsys):
    words = "".join(help_of(capsys, "all").split())  # argparse breaks lines, even within words at a hyphen
    plain = dataclasses.asdict(Config())
    entries = re.split(r"--(?=[a-z0-9_.]+VALUE)", words)
    count = 0
    for name, _ in walk(Config):
        default = plain
        for part in name.split("."):
            default = default[part]
        own = [e for e in entries if e.startswith(name + "VALUE")]
        assert len(own) == 1, name
        shown = "''" if default == "" else "".join(str(default).split())
        assert "(default:{})".format(shown) in own[0], name
        count += 1
    assert count > 80


def test_help_is_the_scripts_own_flags_and_the_sections(capsys):
    out = help_of(capsys)
    assert "--method METHOD" in out and "--config FILE" in out and "A script." in out and "more about it" in out
    for field in dataclasses.fields(Config):
        assert ("\n  " + field.name + " " in out) == (field.name != "provenance")
    assert "--training.momentum" not in out and len(out.split("\n")) < 60


def test_help_of_a_section_has_its_fields_alone(capsys, refused):
    out = help_of(capsys, "aqe", "dba")
    assert set(re.findall(r"--([a-z_.]+)", out)) == {"aqe.k", "dba.k", "dba.alpha", "dba.expand_queries"}
    out = "".join(help_of(capsys, "losses").split())
    for field in dataclasses.fields(LossConfig):  # of a list, those of its items
        assert "--losses.0.{}VALUE{}".format(field.name, "".join(field.metadata["help"].split())) in out
    assert refused(["--help", "dbaa"]).startswith("unknown section 'dbaa' (did you mean dba?); known: alpha_qe, aqe")


# first_difference, for "this run was trained with other settings".

@pytest.mark.parametrize("old, new, ignored, expected", [
    ({"a": 1}, {"a": 1}, (), (None, None, None)),
    ({"a": 1, "b": 2}, {"a": 1, "b": 3}, (), ("x.b", 2, 3)),
    ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, (), ("x.a.b", [1, 2], [1, 3])),
    ({"a": 1}, {"a": 1, "b": 2}, (), ("x.b", None, 2)),
    ({"a": 1, "b": 2}, {"a": 1}, (), ("x.b", 2, None)),
    ({"a": 1, "b": 2}, {"a": 3, "b": 4}, ["x.a"], ("x.b", 2, 4)),
    ({"a": 1, "ab": 2}, {"a": 1, "ab": 4}, ["x.a"], ("x.ab", 2, 4)),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, ["x.a"], (None, None, None)),
    ({"a": {"b": 1}}, {"a": {"b": 2}}, ["x"], (None, None, None)),
    ({"a": {"b": 1}}, {"a": 3}, (), ("x.a", {"b": 1}, 3)),
    (1, 2, (), ("x", 1, 2))])
def test_first_difference(old, new, ignored, expected):
    assert configuration.first_difference(old, new, "x", ignored) == expected

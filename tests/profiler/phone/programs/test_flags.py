"""Flags are read as TensorFlow's tools read them."""

from __future__ import annotations

import pytest

from profiler.phone.programs._flags import Flag, Value, parse_flags, usage

FLAGS = (Flag("runs", 50, "Runs"), Flag("secs", 1.0), Flag("on", False), Flag("path", "", help="a path"))


@pytest.mark.parametrize(
    ("argument", "name", "value"),
    [
        ("--runs=7", "runs", 7),
        ("--runs=-7", "runs", -7),
        ("--runs=7.9", "runs", 7),
        ("--runs=", "runs", 0),
        ("--secs=1e-1", "secs", 0.1),
        ("--secs=0", "secs", 0.0),
        ("--on=1", "on", True),
        ("--on=false", "on", False),
        ("--path=a=b c", "path", "a=b c"),
        ("--path=", "path", ""),
    ],
)
def test_values(argument: str, name: str, value: Value) -> None:
    flags = parse_flags(FLAGS, [argument])
    assert (flags.values[name], flags.positions[name], flags.left_over, flags.problems) == (value, 1, (), ())
    assert type(flags.values[name]) is type(value)


@pytest.mark.parametrize("argument", ["--runs=x", "--runs=3000000000", "--secs=.", "--on=yes", "--on="])
def test_values_that_cannot_be_read(argument: str) -> None:
    flags = parse_flags(FLAGS, [argument])
    assert flags.problems == (f"Failed to parse flag '{argument[2:].split('=')[0]}' against argv '{argument}'",)


def test_the_first_counts_and_the_rest_is_left_over() -> None:
    flags = parse_flags(FLAGS, ["--on=1", "--runs=1", "--runs=2", "--runs", "-runs=3", "x", "--none=1"])
    assert flags.count("runs") == 1
    assert flags.left_over == ("--runs=2", "--runs", "-runs=3", "x", "--none=1")
    assert (flags.positions["on"], flags.positions["runs"]) == (1, 2)


def test_usage_shows_defaults() -> None:
    assert usage("./tool", FLAGS).splitlines() == [
        "usage: ./tool <flags>",
        "Flags:",
        "\t--runs=50 \tint32\toptional\t",
        "\t--secs=1  \tfloat\toptional\t",
        "\t--on=false\tbool\toptional\t",
        "\t--path=   \tstring\toptional\ta path",
    ]

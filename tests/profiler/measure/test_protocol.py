"""Protocols: what they allow, what their key stands for, the published tiers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from profiler.errors import ConfigError
from profiler.measure import PROTOCOLS, Protocol


@pytest.mark.parametrize(
    ("settings", "both"),
    [
        ({"rounds": 9, "max_rounds": 4}, ("9", "4")),
        ({"least_seconds": 30.0, "most_seconds": 10.0}, ("30.0", "10.0")),
    ],
)
def test_least_above_most_names_both_values(settings: dict[str, Any], both: tuple[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Protocol(**settings)
    assert all(value in str(caught.value) for value in both)
    assert all(name in str(caught.value) for name in settings)


@pytest.mark.parametrize("value", [math.nan, -1.0, 0.0])
@pytest.mark.parametrize("field", ["target_relative_half_width", "time_budget_s", "most_seconds"])
def test_numbers_that_make_no_sense_are_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError) as caught:
        Protocol(**{field: value})  # type: ignore[arg-type]
    assert caught.value.key == field


@pytest.mark.parametrize("field", ["rounds", "max_rounds", "runs_per_block"])
def test_counts_are_at_least_one(field: str) -> None:
    with pytest.raises(ConfigError):
        Protocol(**{field: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_least_values_are_finite(value: float) -> None:
    with pytest.raises(ConfigError):
        Protocol(least_seconds=value)


def test_key_tells_apart_what_bears_on_the_rows() -> None:
    protocol = Protocol()
    assert protocol.key == Protocol().key
    assert protocol.key == replace(protocol, seed=5, time_budget_s=9.0, suppress=("LOAD",)).key
    assert protocol.key != replace(protocol, runs_per_block=7).key
    assert protocol.key.startswith("kernels-")


@pytest.mark.parametrize("protocol", [*PROTOCOLS.values(), Protocol(suppress=("LOAD", "NOT-PINNED"), seed=3)])
def test_json_gives_the_same_protocol(protocol: Protocol) -> None:
    assert Protocol.from_json(protocol.to_json()) == protocol


def test_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="cooling"):
        Protocol.from_json('{"cooling": 3}')


@pytest.mark.parametrize(
    ("name", "runs", "seconds", "most"), [("rapid", 64, 6, 60), ("quick", 128, 10, 60), ("normal", 1024, 60, 600)]
)
def test_tiers_have_the_published_numbers(name: str, runs: int, seconds: float, most: float) -> None:
    tier = PROTOCOLS[name]
    assert (tier.least_runs, tier.least_seconds, tier.most_seconds) == (runs, seconds, most)
    assert tier.rounds * tier.runs_per_block >= runs

"""The state is a value: it survives JSON exactly, random numbers included."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.assessment import UNKNOWN_LATENCY, Assessment, LatencyInterval
from search.errors import GenotypeError
from search.state import Evaluation, GenerationRecord, State, rng_state, state_from_json, state_to_json
from tests.search._toy import ToyGenotype, ToySpace, toy_assessment

NUMBERS = st.floats(0, 1e9)
LATENCIES = st.just(UNKNOWN_LATENCY) | st.builds(LatencyInterval, NUMBERS, NUMBERS, NUMBERS)
EVALUATIONS = st.builds(
    Evaluation,
    genotype=st.tuples(*[st.integers(0, 7)] * 5).map(ToyGenotype),
    assessment=st.builds(
        Assessment,
        latencies=st.dictionaries(st.text("pixel4-é ", max_size=4), LATENCIES, max_size=2),
        macs=st.integers(0, 10**12),
        parameters=st.integers(0, 10**9),
        memory_bytes=st.none() | st.integers(0, 10**9),
        energy_uj=st.none() | NUMBERS,
    ),
    violation=NUMBERS | st.just(math.inf),
    accuracy=st.none() | st.floats(0, 1),
    growth=st.none() | st.floats(-1, 1),
)


def state(seed: int, population: tuple[Evaluation[ToyGenotype], ...] = ()) -> State[ToyGenotype]:
    rng = np.random.default_rng(seed)
    rng.integers(10, size=seed % 7)  # also leaves half a draw in the bit generator's buffer
    record = GenerationRecord(1, evaluated=4, feasible=3, front_size=2, hypervolume=0.1, best_accuracy=1 / 3)
    measured = tuple((individual.genotype,) for individual in population)
    return State(3, population, rng_state(rng), (1.5, 2e9), (record,), measured, dropped=seed % 3)


@given(st.integers(0, 2**31), st.lists(EVALUATIONS, max_size=4).map(tuple))
@settings(deadline=None, max_examples=60)
def test_json_returns_the_same_state(seed: int, population: tuple[Evaluation[ToyGenotype], ...]) -> None:
    written = state(seed, population)
    text = state_to_json(written, ToySpace())
    assert "Infinity" not in text and "NaN" not in text
    assert state_from_json(text, ToySpace()) == written


def test_the_generator_goes_on_where_it_stood() -> None:
    rng = np.random.default_rng(5)
    rng.random(3)
    before = replace(state(0), rng=rng_state(rng))
    after = state_from_json(state_to_json(before, ToySpace()), ToySpace())
    assert before.generator().random(4).tolist() == after.generator().random(4).tolist() == rng.random(4).tolist()


def test_taking_a_generator_leaves_the_state_alone() -> None:
    value = state(1)
    assert value.generator().random() == value.generator().random()


def test_a_state_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        state(0).step = 4


def test_a_genotype_of_another_space_is_refused() -> None:
    individual = Evaluation(ToyGenotype((1,) * 5), toy_assessment(1.0), 0.0)
    document = json.loads(state_to_json(state(0, (individual,)), ToySpace()))
    document["population"][0]["genotype"] = {"widths": [1]}
    with pytest.raises(GenotypeError):
        state_from_json(json.dumps(document), ToySpace())

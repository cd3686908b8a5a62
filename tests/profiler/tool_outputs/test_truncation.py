"""A part of an output never says a number that the whole does not say, wherever it is cut."""

from __future__ import annotations

from typing import Any

import pytest

from profiler.errors import ToolOutputError
from profiler.tool_outputs import parse_tool_output
from tests.device_corpus import Sample, samples
from tests.profiler.tool_outputs._numbers import new_numbers

# Cuts in the default suite: every byte of the short outputs, and as many spread over the long ones.
CUTS = 100
CORPUS = [pytest.param(sample, id=str(sample)) for sample in samples()] or [None]


def outcome(data: bytes, kind: str) -> dict[str, Any]:
    try:
        return parse_tool_output(data, kind)
    except ToolOutputError:
        return {}


def failures(sample: Sample, step: int) -> list[str]:
    data = sample.data
    whole = outcome(data, sample.kind)
    # A prime step visits every place in a line of any width.
    cuts = {*range(0, len(data), step), *range(max(0, len(data) - 40), len(data))}
    return [
        f"cut at {at}: {found}"
        for at in sorted(cuts)
        for found in new_numbers(outcome(data[:at], sample.kind), whole)[:3]
    ]


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", CORPUS)
def test_no_cut_makes_a_number(sample: Sample) -> None:
    size = len(sample.data)
    step = next(
        prime for prime in (1, 2, 3, 5, 7, 11, 17, 29, 53, 97, 193, 389) if size <= prime * CUTS or prime == 389
    )
    assert failures(sample, step) == []


@pytest.mark.slow
@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", CORPUS)
def test_no_cut_at_any_byte_makes_a_number(sample: Sample) -> None:
    assert failures(sample, 1) == []

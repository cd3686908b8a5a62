"""Lists of blocks become jobs, and outcomes of jobs become results; nothing is lost or mixed up on the way."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.agent import BlockRecord, FailedBlock, Frame, Outcome, read_record
from profiler.backends import BlockRequest, agent_blocks
from profiler.backends.agent_blocks import AgentBatches, block_result
from profiler.runtimes import AGENT_RUNTIMES
from profiler.workload import Workload
from tests.conformance.networks import opaque, tiny
from tests.profiler.agent import record_bytes

NCNN, LITERT = AGENT_RUNTIMES["agent-ncnn"], AGENT_RUNTIMES["agent-litert"]
REQUEST = BlockRequest(Workload(tiny()), 1, 3)
PROFILED = BlockRequest(Workload(tiny()), 1, 4, profiled=True)


def record(position: int, samples_ns: Sequence[int], **more: object) -> BlockRecord:
    found = read_record(Frame(0, 17, record_bytes.block(position, samples_ns, **more)))  # type: ignore[arg-type]
    assert isinstance(found, BlockRecord)
    return found


def test_the_same_model_is_sent_once() -> None:
    requests = [BlockRequest(Workload(tiny(channels)), 1, runs) for runs, channels in enumerate((4, 5, 4, 4), 1)]
    (batch,) = AgentBatches(NCNN, 2**20).of(requests)
    assert len(batch.models) == 2
    assert [block.model for block in batch.blocks] == [0, 1, 0, 0]
    assert [block.runs for block in batch.blocks] == [1, 2, 3, 4]


def test_models_that_are_large_together_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_blocks, "_JOB_BYTES", 1)
    requests = [BlockRequest(Workload(tiny(channels)), 1, 2) for channels in (4, 4, 5, 4)]
    batches = list(AgentBatches(LITERT, 2**20).of(requests))
    assert [batch.requests for batch in batches] == [requests[:2], requests[2:3], requests[3:]]
    assert all(len(batch.models) == 1 for batch in batches)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["fine", "unknown", "crashes"]), max_size=8), st.integers(0, 8))
def test_each_request_has_its_own_result(kinds: list[str], told: int) -> None:
    requests = [
        BlockRequest(Workload(opaque() if kind == "unknown" else tiny()), 1, index + 1)
        for index, kind in enumerate(kinds)
    ]
    batches = list(AgentBatches(NCNN, 2**20).of(requests))
    assert len(batches) == bool(kinds)
    for batch in batches:
        planned = [kind for kind in kinds if kind != "unknown"]
        outcomes: list[Outcome] = [
            record(position, [10**6] * block.runs) if kind == "fine" else FailedBlock(position, "CRASHED", "died", 11)
            for position, (kind, block) in enumerate(zip(planned, batch.blocks, strict=True))
        ]
        results = list(batch.results(iter(outcomes[:told])))
        assert [result.request for result in results] == requests[: len(results)]
        for kind, result in zip(kinds, results, strict=False):
            wanted = {"fine": None, "unknown": "UNSUPPORTED", "crashes": "CRASHED"}[kind]
            assert (result.failure.reason if result.failure else None) == wanted
            assert len(result.samples_ms) == (result.request.runs if kind == "fine" else 0)
        if told >= len(outcomes):
            assert len(results) == len(requests)


def test_latencies_are_in_ms() -> None:
    result = block_result(REQUEST, record(0, [1_500_000, 2_000_000, 1_000_001]), NCNN)
    assert result.samples_ms == (1.5, 2.0, 1.000001) and result.runs_per_sample == 1
    assert result.started_unix_s == 10**9 and result.checks == ()


def test_what_was_cooled_down_for_is_said() -> None:
    (check,) = block_result(REQUEST, record(0, [1] * 3, cooled_ns=2_400_000_000), NCNN).checks
    assert check.id == "THERMAL-STATUS" and "3 s" in check.detail


def test_a_run_of_days_is_no_latency() -> None:
    result = block_result(REQUEST, record(0, [1, 10**15, 1]), NCNN)
    assert result.failure and result.failure.reason == "INVALID_OUTPUT" and result.samples_ms == ()


def test_a_profile_is_of_the_calm_runs_and_knows_what_xnnpack_cuts() -> None:
    operators = [
        ("0:Convolution (NHWC, F32)", "Convolution (NHWC, F32)", [4000, 4000, 90_000, 50_000]),
        ("1:SOFTMAX", "SOFTMAX", [1000, 3000, 9000, 9000]),
        ("2:Copy", "Copy", [0, 0, 0, 0]),
    ]
    told = record(0, [8000, 9000, 900_000, 800_000], operators=operators)
    result = block_result(PROFILED, told, LITERT)
    assert [one.mean_ms for one in result.operators] == [pytest.approx(0.0045), pytest.approx(0.002), None]
    assert result.samples_ms == (pytest.approx(0.0085),) and result.runs_per_sample == 4
    assert block_result(PROFILED, told, NCNN).operators[0].mean_ms == pytest.approx(0.004)


@pytest.mark.parametrize(
    "operators",
    [[], [("a", "Conv", [1, 2, 3])], [("a", "Conv", [1, 2, 3, 10**9])]],
    ids=["none", "too few", "longer than the whole"],
)
def test_a_profile_that_does_not_add_up_is_no_profile(operators: list[tuple[str, str, list[int]]]) -> None:
    result = block_result(PROFILED, record(0, [5000] * 4, operators=operators), NCNN)
    assert result.failure and result.failure.reason == "INVALID_OUTPUT"


def test_reasons_that_nobody_knows_are_of_outputs_that_nobody_understands() -> None:
    result = block_result(REQUEST, FailedBlock(0, "NEWER_REASON", "what is this"), NCNN)
    assert result.failure and result.failure.reason == "INVALID_OUTPUT"
    assert time.time() - 60 < result.started_unix_s <= time.time()

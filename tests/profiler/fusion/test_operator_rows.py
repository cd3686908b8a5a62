from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import pytest

from profiler.backends import Backend, BlockRequest, BlockResult, Check, DeviceFacts, Failure
from profiler.errors import MergedProfileError
from profiler.fusion import profile_chains, verdict_of_rows
from profiler.runtimes.operator_profile import OperatorTime
from profiler.workload import Source

REORDERED = ["ReorderInput", "Conv", "ReorderOutput"]


@pytest.mark.parametrize(
    ("before", "last", "whole", "verdict"),
    [
        (["Conv"], ["Relu"], ["Conv"], "fused"),
        (["Conv"], ["Relu"], ["Conv", "Relu"], "apart"),
        (["Gemm"], ["Relu"], ["FusedGemm"], "fused"),
        (REORDERED, ["Relu"], REORDERED, "fused"),
        (REORDERED, ["PRelu"], [*REORDERED, "PRelu", "Transpose"], "apart"),
        (["Pad"], ["Conv"], ["Conv"], "fused"),
        (["Add (ND)"], ["Add (ND)"], ["Add (ND)"] * 2, "apart"),
        (["Add (ND)"], ["Add (ND)"], ["Add (ND)"], "fused"),
        (["Conv"], ["HardSigmoid", "Mul"], ["Conv"], "fused"),
        (["Conv"], ["HardSigmoid", "Mul"], ["Conv", "HardSigmoid", "Mul"], "apart"),
        (["Conv"], ["HardSigmoid", "Mul"], ["Conv", "Mul"], "unclear"),
        (["Conv"], ["Relu"], ["Something"], "unclear"),
    ],
)
def test_a_row_less_is_fused(before: list[str], last: list[str], whole: list[str], verdict: str) -> None:
    assert verdict_of_rows(before, last, whole) == verdict


class Profiler(Backend):
    """A device that fuses nothing or, as delegates do, shows one row for all."""

    name = "profiler"
    source: Source = "measured"

    def __init__(self, *, merged: bool = False, fails: str = "", mean_ms: float | None = 0.5) -> None:
        self._merged, self._fails, self._mean_ms = merged, fails, mean_ms
        self.profiled = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def facts(self) -> DeviceFacts:
        return DeviceFacts("none", 1, 1, "none", "litert", "1", 1, "none")

    def checks(self) -> tuple[Check, ...]:
        return ()

    def run_blocks(self, requests: Sequence[BlockRequest]) -> Iterator[BlockResult]:
        for request in requests:
            self.profiled += 1
            kinds = [operator.kind for operator in request.workload.network.operators]
            if self._fails and self._fails in kinds:
                yield BlockResult(request, (), Failure("UNSUPPORTED", "no such operator"), 0.0)
                continue
            rows = ["delegate"] if self._merged else kinds
            times = tuple(OperatorTime(kind, kind, self._mean_ms, request.runs) for kind in rows)
            yield BlockResult(request, (1.0,), None, 0.0, operators=times)


def test_each_network_is_profiled_once() -> None:
    device = Profiler()
    found = profile_chains(device, [("add", "relu"), ("mul", "relu"), ("add", "relu6")])
    assert [evidence.verdict for evidence in found] == ["apart"] * 3
    assert (found[0].a_ms, found[0].b_ms, found[0].ab_ms, found[0].saved) == (0.5, 0.5, 1.0, None)
    # What nothing fuses; add, mul, relu, relu6; and the three chains.
    assert device.profiled == 1 + 4 + 3


def test_a_profile_of_one_row_is_no_evidence() -> None:
    with pytest.raises(MergedProfileError, match="does not show"):
        profile_chains(Profiler(merged=True), [("add", "relu")])


def test_a_chain_that_fails_is_unclear_and_the_others_go_on() -> None:
    first, second = profile_chains(Profiler(fails="prelu"), [("add", "prelu"), ("add", "relu")])
    assert (first.verdict, second.verdict) == ("unclear", "apart")
    assert "UNSUPPORTED" in first.detail


def test_operators_shorter_than_the_profilers_clock_still_have_rows() -> None:
    (found,) = profile_chains(Profiler(mean_ms=None), [("add", "relu")])
    assert (found.verdict, found.a_ms, found.b_ms, found.ab_ms) == ("apart", None, None, None)

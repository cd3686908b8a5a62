"""What holds for every way to a phone, beside the promises of a backend; the phones here are emulated."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from profiler.backends import AdbBackend, Backend, BlockRequest
from profiler.phone import Fault, Phone
from profiler.workload import Workload
from tests.conformance.backend_suite import LONG_BLOCK_RUNS, BackendConformance
from tests.conformance.networks import inverted_residuals, tiny

_LONG_BLOCK: Mapping[str, str] = {
    "benchmark_model": f"--num_runs={LONG_BLOCK_RUNS}",
    "onnxruntime_perf_test": f"-r {LONG_BLOCK_RUNS}",
}
"""What stands in the program's command line of a long block and of no other."""


class PhoneConformance(BackendConformance):
    """Subclass it with a device and the phone behind it."""

    runtime_name: ClassVar[str] = "benchmark_model"

    @abstractmethod
    def phone_of(self, backend: Backend) -> Phone:
        """Return the emulated phone that a backend reaches."""

    @contextmanager
    def crashing(self, backend: Backend) -> Iterator[None]:
        fault = Fault("kill", match=_LONG_BLOCK[self.runtime_name], signal=11, at_run=3, times=1)
        self.phone_of(backend).faults.add(fault)
        yield

    @contextmanager
    def hanging(self, backend: Backend) -> Iterator[None]:
        self.phone_of(backend).faults.add(Fault("hang", match=_LONG_BLOCK[self.runtime_name], at_run=3, times=1))
        yield

    def test_it_is_an_emulated_phone_and_says_so(self, backend: Backend) -> None:
        assert backend.source == "emulated"
        (check,) = [check for check in backend.checks() if check.id == "EMULATED"]
        assert not check.suppressible

    def test_one_sample_stands_for_all_runs(self, backend: Backend) -> None:
        (result,) = backend.run_blocks([BlockRequest(Workload(tiny()), 0, 40)])
        assert len(result.samples_ms) == 1 and result.runs_per_sample == 40

    def test_the_same_occasion_gives_the_same_latency(self, backend: Backend) -> None:
        workload = Workload(inverted_residuals())
        occasions = ("c/0/1", "c/0/2", "c/0/1")
        first, other, again = backend.run_blocks([BlockRequest(workload, 1, 5, occasion=name) for name in occasions])
        assert first.samples_ms == again.samples_ms != other.samples_ms

    def test_it_is_bound_to_the_fastest_core(self, backend: Backend) -> None:
        assert isinstance(backend, AdbBackend)
        assert backend.facts().cpus == "7"
        assert backend.phone_facts().clusters[0].cores == (7,)

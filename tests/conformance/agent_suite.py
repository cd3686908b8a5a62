"""What our agent promises beyond other runtimes, wherever it runs."""

from __future__ import annotations

from profiler.backends import Backend, BlockRequest
from profiler.workload import Workload
from tests.conformance.backend_suite import PROFILED_RUNS, BackendConformance
from tests.conformance.networks import inverted_residuals, tiny


class UnderTheAgent(BackendConformance):
    """What holds for every engine on every device."""

    runs_in_means = PROFILED_RUNS // 2  # the calm half

    def test_every_sample_is_a_run(self, backend: Backend) -> None:
        (result,) = backend.run_blocks([BlockRequest(Workload(tiny()), 2, 40)])
        assert len(result.samples_ms) == 40 and result.runs_per_sample == 1

    def test_int8_runs(self, backend: Backend) -> None:
        (result,) = backend.run_blocks([BlockRequest(Workload(inverted_residuals(), "int8"), 1, 3)])
        assert result.failure is None

    def test_many_blocks_are_sent_at_once(self, backend: Backend) -> None:
        assert backend.blocks_at_once >= 256 and backend.kernels_per_process == 1

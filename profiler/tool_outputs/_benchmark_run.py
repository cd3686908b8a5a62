"""Owns the result of one run of `benchmark_model`, and how it is put together from what the log says of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from profiler.tool_outputs._delegate import DelegateUse
from profiler.tool_outputs._operator_table import NodeType, Operator
from profiler.tool_outputs._timings import Stage, Summary


@dataclass(frozen=True)
class BenchmarkRun:
    """One run of the benchmark: its warm-up, its runs and its operator profile.  None is unknown.

    Attributes:
        inference_avg_us: Mean latency of an inference, warm-up left out.
        count: Inferences that the mean is over: what was made, not what was asked for.
        init_us: Initialisation of the interpreter and the delegates.
        first_us: First inference of all.
        warmup_avg_us: Mean latency of a warm-up inference.
        operators: Run order of the regular runs; empty when not profiled.  They need not sum to the inference.
        inference_std_us: Standard deviation.
        inference_min_us: Shortest.
        inference_max_us: Longest.
        inference_p5_us: 5th percentile; tools since 2026 have it.
        inference_median_us: Median; tools since 2026 have it.
        inference_p95_us: 95th percentile; tools since 2026 have it.
        delegate_operators: Run order inside the delegate, where the tool has it in a table of its own.
        node_types: "Summary by node type" of the regular runs.
        graph: Model file, as the tool was told.
        threads: CPU threads.
        delegate: What became of the delegate.
        footprint_init_mb: Memory that initialisation took.
        footprint_overall_mb: Memory at the end.
        footprint_peak_mb: Peak of memory, where it was watched.
    """

    inference_avg_us: float | None
    count: int | None
    init_us: float | None
    first_us: float | None
    warmup_avg_us: float | None
    operators: tuple[Operator, ...]
    inference_std_us: float | None = None
    inference_min_us: float | None = None
    inference_max_us: float | None = None
    inference_p5_us: float | None = None
    inference_median_us: float | None = None
    inference_p95_us: float | None = None
    delegate_operators: tuple[Operator, ...] = ()
    node_types: tuple[NodeType, ...] = ()
    graph: str | None = None
    threads: int | None = None
    delegate: DelegateUse | None = None
    footprint_init_mb: float | None = None
    footprint_overall_mb: float | None = None
    footprint_peak_mb: float | None = None


@dataclass(frozen=True)
class BenchmarkOutput:
    """What a log of `benchmark_model` says.

    Attributes:
        complete: Whether every run of the log reached its result and nothing that began is cut off.
        failed: Why the log is one of a failure, in its own words: the tool says so, flags that it did not know,
            a delegate that was asked for and is not used, an operator table with columns that we do not know;
            None otherwise.
        runs: The runs that have any figure, in order.
    """

    complete: bool
    failed: str | None
    runs: tuple[BenchmarkRun, ...]


@dataclass
class RunReading:
    """What has been read of one run so far.

    Attributes:
        stages: Statistics lines in order; a line that is printed twice counts once.
        summary: The summary line.
        started: Whether the run's first line was seen.
        begun: Whether any line from before the stages was seen.
        elided: Whether somebody marked lines as left out.
        profiled: Whether the tool was told to profile operators.
        profiled_to_file: Whether it was told to write the profile to a file.
        detailed: Whether a stage with the profiler on follows the one that counts, as TensorFlow of 2017 did.
        open_tables: Operator tables that began and did not end.
        damaged: Whether a table has a line that is no whole row.
        has_profile: Whether the operator table of the regular runs, or a summary by type, was seen.
        operators: Rows of the operator table.
        delegate_operators: Rows of the delegate's own table.
        node_types: Rows of the summary by type.
        delegate: What became of the delegate.
        facts: Other fields of BenchmarkRun, by name.
    """

    stages: list[Stage] = field(default_factory=list)
    summary: Summary | None = None
    started: bool = False
    begun: bool = False
    elided: bool = False
    profiled: bool = False
    profiled_to_file: bool = False
    detailed: bool = False
    open_tables: int = 0
    damaged: bool = False
    has_profile: bool = False
    operators: list[Operator] = field(default_factory=list)
    delegate_operators: list[Operator] = field(default_factory=list)
    node_types: list[NodeType] = field(default_factory=list)
    delegate: DelegateUse | None = None
    facts: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def inference_avg_us(self) -> float | None:
        """The summary's mean; without one, that of the second stage of two."""
        if self.summary is not None:
            return self.summary.get("inference_avg")
        return self._runs_without_summary().get("avg") if self._has_both_stages() else None

    @property
    def complete(self) -> bool:
        """Whether the run reached its result and nothing that began is cut off."""
        if self.damaged or self.open_tables or (self.profiled and not self.profiled_to_file and not self.has_profile):
            return False
        if self.summary is None:
            # A table by itself is all there when it is closed.
            return self.has_profile and not self.stages and not self.begun
        return self.summary.get("inference_avg") is not None and self._stages_are_all_there()

    def result(self) -> BenchmarkRun | None:
        """Return the run; None when nothing is known of it that is worth a row."""
        runs = self._runs_stage()
        summary = self.summary
        warmup_us = summary.get("warmup_avg") if summary else self._warmup_without_summary()
        run = BenchmarkRun(
            inference_avg_us=self.inference_avg_us,
            count=runs.count if runs else None,
            init_us=summary.get("init") if summary else None,
            first_us=summary.get("first") if summary else None,
            warmup_avg_us=warmup_us,
            operators=tuple(self.operators),
            inference_std_us=runs.get("std") if runs else None,
            inference_min_us=runs.get("min") if runs else None,
            inference_max_us=runs.get("max") if runs else None,
            inference_p5_us=runs.get("p5") if runs else None,
            inference_median_us=runs.get("median") if runs else None,
            inference_p95_us=runs.get("p95") if runs else None,
            delegate_operators=tuple(self.delegate_operators),
            node_types=tuple(self.node_types),
            delegate=self.delegate,
            **self.facts,  # type: ignore[arg-type]  # the reader writes fields of these types only
        )
        return run if summary or self._has_both_stages() or self.has_profile else None

    def _runs_stage(self) -> Stage | None:
        """The stage that the mean is of: the last that has the same mean, for warm-up comes first."""
        if self.summary is None:
            return self._runs_without_summary() if self._has_both_stages() else None
        mean_us = self.summary.get("inference_avg")
        return next((stage for stage in reversed(self.stages) if stage.averages(mean_us)), None)

    def _has_both_stages(self) -> bool:
        # Of a single stage without a summary nobody knows which one it is.  TensorFlow of 2017 runs a stage with
        # its profiler on after the one that counts.
        return len(self.stages) == 2 and not self.detailed

    def _runs_without_summary(self) -> Stage:
        return self.stages[1]

    def _warmup_without_summary(self) -> float | None:
        return self.stages[0].get("avg") if self._has_both_stages() else None

    def _stages_are_all_there(self) -> bool:
        """Whether the log does not begin in the middle of the run: then its first stages, or both, are missing."""
        summary = self.summary
        if summary is None or self.elided or self.detailed:
            return True
        if not self.stages:
            # A summary line that is quoted alone is whole.
            return self.started or not self.begun
        warmup_us = summary.get("warmup_avg")
        warmed_up = warmup_us is None or self.started or len(self.stages) > 1
        return self._runs_stage() is not None and warmed_up

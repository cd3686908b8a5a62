"""Error types of the search; each carries fields, and its text says what to do next."""

from __future__ import annotations

from pathlib import Path

from profiler.errors import PocketnasError


class SearchError(PocketnasError):
    """A search cannot start or go on."""


class GenotypeError(SearchError):
    """An encoded genotype is not one of this space.

    Args:
        problem: What is wrong and what is allowed.
        place: Where in the encoding, such as "normal[2].inputs"; empty for the whole.
    """

    def __init__(self, problem: str, *, place: str = "") -> None:
        self.problem, self.place = problem, place
        super().__init__(f"genotype: {place}: {problem}" if place else f"genotype: {problem}")


class InfeasibleError(SearchError):
    """No architecture was found that keeps to a constraint.

    Args:
        constraint: The constraint in words with its limit and unit, such as "latency_ms <= 0.2 on host".
        closest: The architecture that came closest, in words or as JSON.
        gap: By how much that one misses the limit, in `unit`, > 0.
        unit: Unit of the gap.
        tries: How many different architectures were looked at.
        limit: Which limit that one misses, where the constraint has several.
    """

    exit_code = 4

    def __init__(
        self, constraint: str, *, closest: str, gap: float, unit: str = "ms", tries: int, limit: str | None = None
    ) -> None:
        self.constraint, self.closest, self.gap, self.unit, self.tries = constraint, closest, gap, unit, tries
        self.limit = limit or constraint
        missed = "it" if self.limit == constraint else self.limit
        super().__init__(
            f"none of {tries} architectures satisfies {constraint}; the closest misses {missed} by {gap:.4g} {unit}: "
            f"{closest}; relax the limit or search another space"
        )


class ObjectiveError(SearchError):
    """Objectives or violations of candidates cannot be compared.

    Args:
        problem: What is wrong with them.
        candidate: Row of the candidate at fault; None when it is all of them.
    """

    def __init__(self, problem: str, *, candidate: int | None = None) -> None:
        self.problem, self.candidate = problem, candidate
        super().__init__(problem)


class CheckpointError(SearchError):
    """A run folder cannot be resumed, or is in use.

    Args:
        path: The folder or file.
        problem: What is wrong and what to do.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{str(path)!r}: {problem}")


class DataError(SearchError):
    """Images cannot be loaded, or are not fit to train on.

    Args:
        problem: What is wrong and what would be right.
        source: The file, folder or name of the data set; None when the images came from memory.
    """

    def __init__(self, problem: str, *, source: str | Path | None = None) -> None:
        self.problem, self.source = problem, source
        super().__init__(f"{str(source)!r}: {problem}" if source is not None else problem)


class SupernetError(SearchError):
    """Shared weights do not fit the supernet, or it was asked for what it cannot do."""


class TrainingError(SearchError):
    """Training of one network cannot start, or went astray.

    Args:
        problem: What happened and what to change.
        epoch: The epoch in which it happened, counted from 0; None when training had not begun.
    """

    def __init__(self, problem: str, *, epoch: int | None = None) -> None:
        self.problem, self.epoch = problem, epoch
        super().__init__(problem if epoch is None else f"epoch {epoch}: {problem}")


class EngineError(SearchError):
    """Networks cannot be scored or trained in worker processes."""

    exit_code = 75


class JobLostError(EngineError):
    """Workers were lost with the same job again and again.

    Args:
        job: The job in words.
        times: How many workers were lost with it.
        reason: How the last one was lost.
    """

    def __init__(self, job: str, *, times: int, reason: str) -> None:
        self.job, self.times, self.reason = job, times, reason
        super().__init__(f"{job}: {times} workers were lost with it, the last one {reason}")

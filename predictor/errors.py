"""Error types of the predictor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from profiler.errors import PocketnasError


class PredictorError(PocketnasError):
    """Something is wrong with a predictor, its training rows, or what it is asked."""


class NotFittedError(PredictorError):
    """A predictor was used before it learned anything."""

    def __init__(self) -> None:
        super().__init__("the predictor is not fitted; call fit(table) or load a predictor file first")


class TrainingRowsError(PredictorError):
    """Rows of a latency table cannot be learned from.

    Args:
        problem: What is wrong and what would do.
        column: The column at fault, when it is one.
        row: Number of the row at fault, counted from 1 as the table counts, when it is one.
    """

    def __init__(self, problem: str, *, column: str | None = None, row: int | None = None) -> None:
        self.problem, self.column, self.row = problem, column, row
        place = [f"row {row}"] if row is not None else []
        place += [f"column {column!r}"] if column else []
        super().__init__(": ".join([", ".join(place), problem] if place else [problem]))


class TooFewRowsError(TrainingRowsError):
    """There are not enough usable rows to learn from.

    Args:
        found: Usable kernel rows with different configurations.
        needed: The least that will do.
        networks: Usable rows of different whole networks.
        networks_needed: The least that will do without kernels; None when kernels are needed in any case.
    """

    def __init__(self, found: int, needed: int, networks: int = 0, networks_needed: int | None = None) -> None:
        self.found, self.needed, self.networks, self.networks_needed = found, needed, networks, networks_needed
        rows = f"{found} usable kernel rows" + (f" and {networks} whole networks" if networks_needed else "")
        instead = f", or {networks_needed} different whole networks" if networks_needed else ""
        super().__init__(f"{rows} are too few to learn from; measure at least {needed} different kernels{instead}")


class ContradictoryRowsError(TrainingRowsError):
    """Two rows of one configuration cannot both be true.

    Args:
        low: Number and latency in ms of the row with the least latency.
        high: Of the row with the greatest.
    """

    def __init__(self, low: tuple[int, float], high: tuple[int, float]) -> None:
        self.low, self.high = low, high
        super().__init__(
            f"{high[1]:g} ms, but row {low[0]} has the same configuration and {low[1]:g} ms; "
            "remove what is wrong, or measure it again",
            column="median_ms",
            row=high[0],
        )


class MixedRowsError(TrainingRowsError):
    """A table holds rows of several devices, sources or runtimes, and one predictor is of one of them.

    Args:
        column: The column with several values.
        values: The values found.
    """

    def __init__(self, column: str, values: Sequence[str]) -> None:
        self.values = tuple(values)
        super().__init__(f"has {', '.join(self.values)}; filter the table to one of them", column=column)


class FunctionOnlyRowsError(TrainingRowsError):
    """Rows are of emulated instructions, whose latencies are nobody's.

    Args:
        source: Their source.
        remark: Why nothing is learned from them.
    """

    def __init__(self, source: str, remark: str) -> None:
        self.source = source
        super().__init__(f"has {source}; {remark}, so nothing is learned from them", column="source")


class OutOfDomainError(PredictorError):
    """A network needs kernels of kinds that were never measured.

    Args:
        kernels: Descriptions of the kernels without evidence.
    """

    def __init__(self, kernels: Sequence[str]) -> None:
        self.kernels = tuple(kernels)
        shown = "; ".join(self.kernels[:5]) + (f"; and {len(self.kernels) - 5} more" if len(self.kernels) > 5 else "")
        super().__init__(
            f"out of domain: nothing like these was measured: {shown}. "
            "Measure kernels of these kinds, or allow unknown ones to get a rough bound"
        )


class DeviceMismatchError(PredictorError):
    """A predictor of one device was to be used for another.

    Args:
        fitted: The device it learned.
        asked: The device it was to be used for.
    """

    def __init__(self, fitted: str, asked: str) -> None:
        self.fitted, self.asked = fitted, asked
        super().__init__(f"this predictor was fitted on device {fitted!r}, not {asked!r}; force it if that is meant")


class PredictorFileError(PredictorError):
    """A file is no predictor, or a damaged one.

    Args:
        problem: What is wrong with it.
        path: The file.
    """

    def __init__(self, problem: str, *, path: Path) -> None:
        self.problem, self.path = problem, path
        super().__init__(f"{str(path)!r}: {problem}")


class NewerSchemaError(PredictorFileError):
    """A predictor file was written by a later version.

    Args:
        found: Schema version of the file.
        supported: Latest schema version that this version reads.
        written_by: Version of pocketnas that wrote the file.
        path: The file.
    """

    def __init__(self, found: int, supported: int, written_by: str, *, path: Path) -> None:
        self.found, self.supported, self.written_by = found, supported, written_by
        super().__init__(
            f"has predictor schema {found}, this version reads up to {supported}; "
            f"install pocketnas {written_by} or later",
            path=path,
        )


class OlderSchemaError(PredictorFileError):
    """A predictor file was written by an earlier version, in a form that is no longer read.

    Args:
        found: Schema version of the file.
        supported: Schema version that this version reads.
        path: The file.
    """

    def __init__(self, found: int, supported: int, *, path: Path) -> None:
        self.found, self.supported = found, supported
        super().__init__(
            f"has predictor schema {found}, this version reads {supported}; fit again on the same table", path=path
        )


class SourceMismatchError(PredictorError):
    """Devices that another is to stand on do not go together, or not with it.

    Args:
        problem: What is wrong, naming the devices.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"devices to learn from: {problem}")

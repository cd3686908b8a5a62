"""Owns which candidates become finalists of which target: what the devices say decides, before and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pocketnas._records import dropped_record, slowest
from pocketnas.front import SearchedTarget
from pocketnas.result import Candidate, Dropped
from profiler.errors import MeasurementError
from profiler.measure import Measurement
from search.errors import InfeasibleError, SearchError, TrainingError
from search.training import TrainedNetwork

_NOT_TRAINED = "within the budget, but others came first; more are trained with --finalists"

ByDevice = Mapping[str, Measurement]
"""Measurements of one network by device."""


@dataclass(frozen=True)
class Tried:
    """A candidate after its training.

    Attributes:
        trained: With its own weights, or why there are none.
        measured: Measurements with these weights by device; none where the training went astray.
    """

    trained: TrainedNetwork | TrainingError
    measured: ByDevice = field(default_factory=dict)


TrainAndMeasure = Callable[[Sequence[str]], Mapping[str, Tried]]
"""Takes names of candidates; trains them, those known already only once, and measures them with their weights."""


@dataclass(frozen=True)
class Decided:
    """How a contest ended.

    Attributes:
        ranked: For each target the names of its finalists, best validation accuracy first.
        trained: All finalists with their weights, by name, those of the first target first.
        measured: Their measurements with these weights by name and device.
        dropped: All other candidates, with the reason.
    """

    ranked: tuple[tuple[str, ...], ...]
    trained: Mapping[str, TrainedNetwork]
    measured: Mapping[str, ByDevice]
    dropped: tuple[Dropped, ...]


class Contest:
    """The candidates of a search, what was first measured of them, and what comes of each.

    Args:
        targets: What networks are wanted for.
        candidates: All candidates.
        first: Measurements of the untrained candidates, by device and name.
        places: Most finalists of a target.

    Raises:
        InfeasibleError: No candidate of a target is measured within its budget.
        MeasurementError: None of them could be measured.
    """

    def __init__(
        self,
        targets: Sequence[SearchedTarget],
        candidates: Sequence[Candidate],
        first: Mapping[str, Mapping[str, Measurement]],
        places: int,
    ) -> None:
        self._targets, self._first, self._places = targets, first, places
        self._by_name = {candidate.name: candidate for candidate in candidates}
        self._dropped: dict[str, Dropped] = {}
        self._within = []
        for target in targets:
            of_target = [self._by_name[name] for name in target.candidates]
            measured = {name: self._slowest_first(name, target) for name in target.candidates}
            within, too_slow = split_by_budget(of_target, measured, target.budget_ms)
            self._drop(too_slow)
            if not within:
                raise _infeasible(target, too_slow)
            self._within.append(within)

    @property
    def first_tried(self) -> tuple[str, ...]:
        """Names of the candidates that are trained first, those of all targets."""
        names = (candidate.name for within in self._within for candidate in within[: self._places])
        return tuple(dict.fromkeys(names))

    def decide(self, train_and_measure: TrainAndMeasure) -> Decided:
        """Train candidates until each target has its finalists, or nobody is left.

        Raises:
            InfeasibleError: No candidate of a target kept to its budget with its trained weights.
            TrainingError: All trainings of a target went astray.
        """
        tried = dict(train_and_measure(self.first_tried))
        ranked = []
        for target, within in zip(self._targets, self._within, strict=True):

            def attempt(
                batch: Sequence[Candidate], target: SearchedTarget = target
            ) -> tuple[list[Candidate], list[Dropped]]:
                tried.update(train_and_measure([candidate.name for candidate in batch]))
                return self._judge(batch, target, tried)

            kept, missed, rest = fill_places(within, self._places, attempt)
            if not kept:
                raise _nothing_left(target, missed, tried)
            self._drop(missed)
            self._drop([self._not_trained(candidate, target) for candidate in rest])
            ranked.append(tuple(_ranked(kept, tried)))
        names = dict.fromkeys(name for own in ranked for name in own)
        return Decided(
            tuple(ranked),
            {name: _network(tried[name]) for name in names},
            {name: tried[name].measured for name in names},
            tuple(dropped for name, dropped in self._dropped.items() if name not in names),
        )

    def _judge(
        self, batch: Sequence[Candidate], target: SearchedTarget, tried: Mapping[str, Tried]
    ) -> tuple[list[Candidate], list[Dropped]]:
        astray = [
            dropped_record(candidate, self._slowest_first(candidate.name, target), f"not trained: {error}")
            for candidate in batch
            if isinstance(error := tried[candidate.name].trained, TrainingError)
        ]
        trained = [candidate for candidate in batch if tried[candidate.name].measured]
        second = {found.name: _slowest(tried[found.name].measured, target) for found in trained}
        within, too_slow = split_by_budget(trained, second, target.budget_ms)
        return within, [*astray, *too_slow]

    def _slowest_first(self, name: str, target: SearchedTarget) -> Measurement:
        return slowest({device: self._first[device][name] for device in target.devices})[1]

    def _not_trained(self, candidate: Candidate, target: SearchedTarget) -> Dropped:
        return dropped_record(candidate, self._slowest_first(candidate.name, target), _NOT_TRAINED)

    def _drop(self, dropped: Sequence[Dropped]) -> None:
        for one in dropped:
            self._dropped.setdefault(one.name, one)


def _slowest(measured: ByDevice, target: SearchedTarget) -> Measurement:
    return slowest({device: measured[device] for device in target.devices})[1]


def _ranked(kept: Sequence[Candidate], tried: Mapping[str, Tried]) -> list[str]:
    names = [candidate.name for candidate in kept]
    return sorted(names, key=lambda name: -_network(tried[name]).validation_accuracy)


def _network(tried: Tried) -> TrainedNetwork:
    if isinstance(tried.trained, TrainingError):
        raise tried.trained
    return tried.trained


def split_by_budget(
    candidates: Sequence[Candidate], measured: Mapping[str, Measurement], budget_ms: float
) -> tuple[list[Candidate], list[Dropped]]:
    """Split candidates by what the device says of them.

    Args:
        candidates: In order of preference.
        measured: Their measurements by name.
        budget_ms: The budget.

    Returns:
        Those whose measured interval lies within the budget, upper end included, in the order given; and
        the others with the reason.
    """
    within, dropped = [], []
    for candidate in candidates:
        measurement = measured[candidate.name]
        if measurement.verdict == "INVALID":
            reasons = "; ".join(str(reason) for reason in measurement.reasons)
            dropped.append(dropped_record(candidate, measurement, f"could not be measured: {reasons}"))
        elif measurement.high_ms > budget_ms:
            configuration = measurement.campaign.configuration
            problem = (
                f"{configuration.source} {measurement.high_ms:.3g} ms (upper end) on {configuration.device}, "
                f"above the budget of {budget_ms:.3g} ms"
            )
            dropped.append(dropped_record(candidate, measurement, problem))
        else:
            within.append(candidate)
    return within, dropped


def fill_places(
    candidates: Sequence[Candidate],
    places: int,
    attempt: Callable[[Sequence[Candidate]], tuple[list[Candidate], list[Dropped]]],
) -> tuple[list[Candidate], list[Dropped], list[Candidate]]:
    """Try candidates in order, as many at once as places are free, until all are taken or nobody is left.

    Args:
        candidates: In order of preference.
        places: How many are wanted.
        attempt: Says which of a batch are kept, and which dropped.

    Returns:
        Those kept, those dropped, and those that were never tried.
    """
    kept: list[Candidate] = []
    dropped: list[Dropped] = []
    waiting = list(candidates)
    while waiting and len(kept) < places:
        free = places - len(kept)
        batch, waiting = waiting[:free], waiting[free:]
        good, bad = attempt(batch)
        kept += good
        dropped += bad
    return kept, dropped, waiting


def _nothing_left(
    target: SearchedTarget, missed: Sequence[Dropped], tried: Mapping[str, Tried]
) -> SearchError | MeasurementError:
    errors = [error for drop in missed if isinstance(error := tried[drop.name].trained, TrainingError)]
    return errors[0] if len(errors) == len(missed) else _infeasible(target, missed)


def _infeasible(target: SearchedTarget, dropped: Sequence[Dropped]) -> InfeasibleError | MeasurementError:
    constraint = f"measured latency (upper end) <= {target.budget_ms:g} ms on {' and '.join(target.devices)}"
    high_ms = {drop.name: drop.measured_high_ms for drop in dropped if drop.measured_high_ms is not None}
    if not high_ms:
        return MeasurementError(f"none of {len(dropped)} candidates could be measured; {dropped[0].reason}")
    closest = min(high_ms, key=lambda name: high_ms[name])
    return InfeasibleError(constraint, closest=closest, gap=high_ms[closest] - target.budget_ms, tries=len(dropped))

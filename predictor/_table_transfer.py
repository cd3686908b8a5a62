"""Transfer of tables: a new device's predictor from other devices' predictors and few rows of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from predictor._card import Accuracy, FamilyCard, FusionCard, NetworkEvidence, accuracy, describe_fit
from predictor._choice import choose_rows
from predictor._common_costs import CommonCosts, SourceDevice
from predictor._conformal import HeldOut
from predictor._domain import Domain
from predictor._network_predictor import NetworkPredictor
from predictor._rows import TrainingRows, training_rows
from predictor._summed import domains_of
from predictor._through_sum import LabelledRows, count_kernels
from predictor._transferred import TransferFit, fit_transferred
from predictor.errors import SourceMismatchError
from profiler.kernels import Fuser, FusionRules, Kernel
from profiler.workload import Workload

if TYPE_CHECKING:
    from profiler.table import LatencyTable

_ALIKE = ("source", "runtime", "threads", "dtype")
"""What devices must have in common: rows that differ in one of these are never mixed."""

_MOST_BASIS = 2000
"""Kernels on which the physical terms of the sources' common work are weighed; more settle nothing further."""


class Transfer:
    """Chooses what to measure on a new device, and learns it from other devices' predictors and these rows.

    Args:
        sources: Predictors of the other devices, at least one; all of one runtime, thread count, numeric type and
            kind of rows ("measured" or "emulated").
        rules: What the runtime fuses on the new device; None for what it fuses on the first source.

    Raises:
        SourceMismatchError: They differ in one of these, there is none, or a device is there twice.
    """

    def __init__(self, sources: Sequence[NetworkPredictor], *, rules: FusionRules | None = None) -> None:
        self._sources = tuple(sources)
        if not self._sources:
            raise SourceMismatchError("there is no device to learn from")
        names = [source.device for source in self._sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SourceMismatchError(f"{twice[0]!r} is there twice")
        for what in _ALIKE:
            found = {getattr(source.card, what): source.device for source in self._sources}
            if len(found) > 1:
                shown = ", ".join(f"{value} on {device!r}" for value, device in found.items())
                raise SourceMismatchError(f"they differ in {what}: {shown}")
        first = self._sources[0].card.fusion
        self._fusion = first if rules is None else FusionCard.of(rules, "evidence")
        self._fuser = Fuser(self._fusion.rules)

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that a predictor made here stands on."""
        return tuple(source.device for source in self._sources)

    def check(self, **asked: object) -> None:
        """Make sure that a device runs networks as the sources do.

        Args:
            **asked: What it is asked to have: any of source, runtime, threads, dtype.

        Raises:
            SourceMismatchError: The sources have another value.
        """
        for what, value in asked.items():
            known = getattr(self._sources[0].card, what)
            if known != value:
                raise SourceMismatchError(
                    f"rows of {', '.join(map(repr, self.devices))} have {what} {known}, those of the new device "
                    f"{value}; these are not mixed"
                )

    def choose(
        self,
        candidates: Sequence[Workload],
        count: int,
        *,
        measured: Sequence[int] = (),
        excluded: Sequence[int] = (),
    ) -> tuple[int, ...]:
        """Choose what to measure so that networks like the candidates are predicted best.

        Args:
            candidates: Kernels and whole networks that the sources know.
            count: How many to choose.
            measured: Places of those that the new device has measured already.
            excluded: Places of those that it cannot measure.

        Returns:
            Places of the chosen, the most telling first; fewer than asked for when candidates run out.
        """
        if count <= 0 or not candidates:
            return ()
        alone = np.array([workload.kind != "network" for workload in candidates], dtype=np.bool_)
        bags = [(Kernel(work.network),) if one else self._fuser(work.network)
                for work, one in zip(candidates, alone, strict=True)]  # fmt: skip
        kernels, counts = count_kernels(bags)
        rows = LabelledRows(kernels, counts, alone, np.ones(len(bags)))
        # Nobody can transfer what no source has seen.
        known = self._known(kernels)
        strange = np.flatnonzero(counts @ ~known > 0).tolist()
        common = self._common(kernels)
        chosen = choose_rows(common, rows, count, measured=measured, excluded=[*excluded, *strange])
        return tuple(chosen)

    def fit(self, table: LatencyTable, *, remarks: Sequence[str] = ()) -> NetworkPredictor:
        """Learn the new device from rows of its own, however few.

        Args:
            table: Rows of the new device, of the sources' runtime, thread count, numeric type and kind.
            remarks: What the card is to say beyond what follows from the rows.

        Raises:
            TrainingRowsError: No row can be learned from, or rows are mixed or contradictory.
            SourceMismatchError: The device runs networks otherwise than the sources do.
        """
        rows = training_rows(table, few=True)
        self.check(**{what: getattr(rows.origin, what) for what in _ALIKE})
        labels = LabelledRows.of(
            rows.kernels, rows.kernel_ms, [self._fuser(network) for network in rows.networks], rows.network_ms
        )
        fit = fit_transferred(self._common(labels.kernels), labels)
        card = describe_fit(
            rows,
            tuple(_family_cards(rows, labels, fit)),
            NetworkEvidence(fit.networks),
            self._fusion,
            stands_on=self.devices,
            remarks=(*_remarks(labels, fit, self.devices), *remarks),
        )
        return NetworkPredictor.of(fit.costs, fit.composition, card)

    def _known(self, kernels: Sequence[Kernel]) -> npt.NDArray[np.bool_]:
        return np.asarray(np.all([source.costs.estimate(kernels).known for source in self._sources], axis=0))

    def _common(self, kernels: Sequence[Kernel]) -> CommonCosts:
        sources = [SourceDevice(source.device, source.costs, source.composition) for source in self._sources]
        return CommonCosts.of(sources, kernels[:_MOST_BASIS])


def _family_cards(rows: TrainingRows, labels: LabelledRows, fit: TransferFit) -> Iterator[FamilyCard]:
    """Return the cards of families that labels hold, with how kernels alone were met without their own label."""
    families = np.array([kernel.family for kernel in rows.kernels])
    domains: dict[str, Domain] = domains_of(labels.kernels)
    for name, domain in domains.items():
        own = families == name
        held_out = HeldOut(fit.kernels.scores[own], fit.kernels.errors[own]) if own.any() else None
        yield FamilyCard(
            family=name,
            kinds=domain.kinds,
            rows=len(domain.rows),
            regressor="transferred",
            domain=domain.ranges(),
            held_out=accuracy(held_out) if held_out is not None else Accuracy(cases=0),
        )


def _remarks(labels: LabelledRows, fit: TransferFit, devices: Sequence[str]) -> Iterator[str]:
    names = ", ".join(devices)
    yield f"stands on {names}: {len(labels)} rows of its own settle about {fit.settled:.0f} numbers"
    if len(labels) < fit.needed:
        yield (
            f"{len(labels)} rows are fewer than the {fit.needed} factors between devices: intervals are mostly those "
            f"of what is assumed about devices in general, and the stated error rests on few cases"
        )

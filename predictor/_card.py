"""The model card: what a predictor learned from and how well it did, as it stands in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from predictor._conformal import ENOUGH_FOR_QUANTILE, NOMINAL_COVERAGE, HeldOut, held_out_coverage
from predictor._domain import Domain
from predictor._family import ROWS_FOR_OWN_BASE
from predictor._files import SCHEMA_VERSION
from predictor._gaussian import GaussianResidual
from predictor._kernels import KernelModel
from predictor._roofline import Roofline
from predictor._rows import TrainingRows
from profiler.kernels import FusionRules


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Accuracy(_Frozen):
    """How well cases held out were predicted.

    Attributes:
        cases: How many were held out; with 0 the figures say nothing and are None.
        mape_percent: Mean absolute percentage error.
        within_10_percent: Share of cases with an error of at most 10 %, in [0, 1].
        coverage: Share that intervals calibrated on the other cases cover; nominal 0.9.
    """

    cases: int = Field(ge=0)
    mape_percent: FiniteFloat | None = None
    within_10_percent: FiniteFloat | None = None
    coverage: FiniteFloat | None = None


class FamilyCard(_Frozen):
    """What is known about one family of kernels.

    Attributes:
        family: Kind of the anchor, such as "conv2d".
        kinds: Kinds measured.
        rows: Different configurations measured, alone or within networks.
        regressor: What corrects the physical base: a process or trees on kernels measured alone, factors learned
            through sums of kernels, or factors on other devices' costs.
        domain: Least and greatest value of each coordinate that was measured, sizes as they are.
        held_out: Cross-validated accuracy on kernels alone; none when only networks were measured.
    """

    family: str
    kinds: tuple[str, ...]
    rows: int = Field(ge=1)
    regressor: Literal["gaussian", "trees", "sums", "transferred"]
    domain: dict[str, tuple[FiniteFloat, FiniteFloat]]
    held_out: Accuracy


class FusionCard(_Frozen):
    """What the runtime was taken to run as one step.

    Attributes:
        chains: Kinds of operators that become one kernel, in order, sorted.
        how: "rules" for those that are known of the runtime, "evidence" for those found on this device.
    """

    chains: tuple[tuple[str, ...], ...]
    how: Literal["rules", "evidence"]

    @classmethod
    def of(cls, rules: FusionRules, how: Literal["rules", "evidence"]) -> Self:
        """Return the card of some rules."""
        return cls(chains=tuple(sorted(rules.chains)), how=how)

    @property
    def rules(self) -> FusionRules:
        """The rules that the card tells of."""
        return FusionRules(frozenset(self.chains))


class ModelCard(_Frozen):
    """What a predictor is, for a person who must decide whether to trust it.

    Attributes:
        schema_version: Version of the files that hold it, in files called "schema".
        device: Device measured.
        source: "measured" or "emulated": what the training rows were.
        runtime: Runtime on the device.
        runtime_version: Its version.
        threads: Threads it used.
        dtype: Numeric type of the networks.
        processor: Processor of the device.
        protocols: Keys of the measurement protocols.
        measured_until: When the last row was measured, ISO UTC.
        table_sha256: Digest of the configurations and latencies learned.
        refused_rows: Rows left out because they were INVALID.
        kernel_rows: Different kernels measured alone that it learned from.
        network_rows: Different whole networks that it learned from.
        learned_from: Which of the two.
        stands_on: Devices whose predictors its costs come from; empty without transfer.
        fusion: What was taken to be one kernel.
        roofline: What the device does at best; None when no kernel was measured alone.
        correction: How far factors learned through sums may move, in standard deviations of the logarithm, as chosen
            on groups of networks left out: for a family and within one; zeros say that factors did not help.
        families: Each family of kernels.
        networks: Accuracy on whole networks held out, each by itself or in random folds.
        unlike_networks: Accuracy on groups of like networks, each group held out as a whole; none when groups could
            not be told apart. This is what to expect of networks unlike the measured ones.
        groups: Number of these groups.
        nominal_coverage: Share of true latencies that intervals are meant to hold.
        remarks: What a user must know, such as families with few rows.
        libraries: Versions of what it was fitted with.
    """

    schema_version: int = Field(default=SCHEMA_VERSION, alias="schema", ge=1)
    device: str = Field(min_length=1)
    source: str
    runtime: str = Field(min_length=1)
    runtime_version: str
    threads: int
    dtype: str
    processor: str
    protocols: tuple[str, ...]
    measured_until: str
    table_sha256: str
    refused_rows: int
    kernel_rows: int = Field(ge=0)
    network_rows: int = Field(ge=0)
    learned_from: Literal["kernels", "networks", "kernels and networks"]
    stands_on: tuple[str, ...] = ()
    fusion: FusionCard
    roofline: Roofline | None = None
    correction: tuple[FiniteFloat, FiniteFloat] = (0.0, 0.0)
    families: tuple[FamilyCard, ...]
    networks: Accuracy
    unlike_networks: Accuracy = Accuracy(cases=0)
    groups: int = Field(default=0, ge=0)
    nominal_coverage: FiniteFloat = NOMINAL_COVERAGE
    remarks: tuple[str, ...]
    libraries: dict[str, str]

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass(frozen=True, eq=False)
class NetworkEvidence:
    """How whole networks were met.

    Attributes:
        alone: Networks held out by themselves or in random folds.
        groups: Networks held out with all like them; None when groups could not be told apart.
        count: Number of groups.
        correction: Strength of the factors that was chosen: for a family, and within one.
    """

    alone: HeldOut
    groups: HeldOut | None = None
    count: int = 0
    correction: tuple[float, float] = (0.0, 0.0)


def accuracy(held_out: HeldOut | None) -> Accuracy:
    """Summarise how a model did on cases that it had not seen."""
    if held_out is None or len(held_out.errors) == 0:
        return Accuracy(cases=0)
    errors = held_out.errors
    return Accuracy(
        cases=len(errors),
        mape_percent=round(100 * float(np.abs(errors).mean()), 3),
        within_10_percent=round(float(np.mean(np.abs(errors) <= 0.1)), 4),
        coverage=round(held_out_coverage(held_out.scores), 4),
    )


def kernel_family_cards(model: KernelModel, held_out: Mapping[str, HeldOut]) -> tuple[FamilyCard, ...]:
    """Return the cards of families whose kernels were measured alone."""
    return tuple(
        FamilyCard(
            family=name,
            kinds=family.domain.kinds,
            rows=len(family.domain.rows),
            regressor="gaussian" if isinstance(family.residual, GaussianResidual) else "trees",
            domain=family.domain.ranges(),
            held_out=accuracy(held_out[name]),
        )
        for name, family in model.families.items()
    )


def summed_family_cards(
    domains: Mapping[str, Domain], regressor: Literal["sums", "transferred"] = "sums"
) -> tuple[FamilyCard, ...]:
    """Return the cards of families that were learned through sums, or from other devices."""
    return tuple(
        FamilyCard(
            family=name,
            kinds=domain.kinds,
            rows=len(domain.rows),
            regressor=regressor,
            domain=domain.ranges(),
            held_out=Accuracy(cases=0),
        )
        for name, domain in domains.items()
    )


def describe_fit(
    rows: TrainingRows,
    families: tuple[FamilyCard, ...],
    networks: NetworkEvidence,
    fusion: FusionCard,
    *,
    stands_on: tuple[str, ...] = (),
    remarks: Sequence[str] = (),
) -> ModelCard:
    """Return the card of a predictor that was just fitted.

    Args:
        rows: What it learned from.
        families: Its families.
        networks: How networks held out were met.
        fusion: What was taken to be one kernel.
        stands_on: Devices whose costs it starts from.
        remarks: What is to be said beyond what follows from the rest.
    """
    used_networks = len(networks.alone.errors)
    learned = [name for name, count in (("kernels", len(rows.kernels)), ("networks", used_networks)) if count]
    element_bytes = 1.0 if rows.origin.dtype == "int8" else 4.0
    roofline = Roofline.fit(rows.kernels, rows.kernel_ms, element_bytes=element_bytes) if rows.kernels else None
    return ModelCard(
        **vars(rows.origin),
        protocols=rows.protocols,
        measured_until=rows.measured_until,
        table_sha256=rows.digest,
        refused_rows=rows.refused,
        kernel_rows=len(rows.kernels),
        network_rows=used_networks,
        learned_from=" and ".join(learned) or "networks",
        stands_on=stands_on,
        fusion=fusion,
        roofline=roofline,
        correction=networks.correction,
        families=families,
        networks=accuracy(networks.alone),
        unlike_networks=accuracy(networks.groups),
        groups=networks.count,
        remarks=(*rows.remarks, *_remarks(families, used_networks), *remarks),
        libraries={name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
    )


def _remarks(families: tuple[FamilyCard, ...], networks: int) -> Iterator[str]:
    few = [card.family for card in families if card.rows < ROWS_FOR_OWN_BASE and card.regressor != "transferred"]
    if few:
        yield f"few rows, so the base of all families and wide intervals: {', '.join(few)}"
    if networks == 0:
        yield "no whole network was measured: networks are the sum of their kernels, with an assumed interval"
    elif networks < ENOUGH_FOR_QUANTILE:
        yield f"intervals of networks rest on {networks} measured network{'s' if networks > 1 else ''}"

"""The model card: what a predictor learned from and how well it did, as it stands in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from predictor._conformal import ENOUGH_FOR_QUANTILE, NOMINAL_COVERAGE, HeldOut, held_out_coverage
from predictor._family import ROWS_FOR_OWN_BASE, FamilyModel
from predictor._gaussian import GaussianResidual
from predictor._rows import TrainingRows


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
        rows: Different configurations measured.
        regressor: What corrects the physical base.
        held_out: Cross-validated accuracy.
    """

    family: str
    kinds: tuple[str, ...]
    rows: int = Field(ge=1)
    regressor: Literal["gaussian", "trees"]
    held_out: Accuracy


class ModelCard(_Frozen):
    """What a predictor is, for a person who must decide whether to trust it.

    Attributes:
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
        families: Each family of kernels.
        networks: Leave-one-out accuracy on whole networks.
        nominal_coverage: Share of true latencies that intervals are meant to hold.
        remarks: What a user must know, such as families with few rows.
        libraries: Versions of what it was fitted with.
    """

    device: str
    source: str
    runtime: str
    runtime_version: str
    threads: int
    dtype: str
    processor: str
    protocols: tuple[str, ...]
    measured_until: str
    table_sha256: str
    refused_rows: int
    families: tuple[FamilyCard, ...]
    networks: Accuracy
    nominal_coverage: FiniteFloat = NOMINAL_COVERAGE
    remarks: tuple[str, ...]
    libraries: dict[str, str]


def accuracy(held_out: HeldOut) -> Accuracy:
    """Summarise how a model did on cases that it had not seen."""
    errors = held_out.errors
    if len(errors) == 0:
        return Accuracy(cases=0)
    return Accuracy(
        cases=len(errors),
        mape_percent=round(100 * float(np.abs(errors).mean()), 3),
        within_10_percent=round(float(np.mean(np.abs(errors) <= 0.1)), 4),
        coverage=round(held_out_coverage(held_out.scores), 4),
    )


def describe_fit(
    rows: TrainingRows, families: Mapping[str, FamilyModel], kernels: Mapping[str, HeldOut], networks: HeldOut
) -> ModelCard:
    """Return the card of a predictor that was just fitted.

    Args:
        rows: What it learned from.
        families: Its families.
        kernels: How each family did on rows held out.
        networks: How the composition did on networks held out.
    """
    cards = tuple(
        FamilyCard(
            family=name,
            kinds=model.kinds,
            rows=len(model.rows),
            regressor="gaussian" if isinstance(model.residual, GaussianResidual) else "trees",
            held_out=accuracy(kernels[name]),
        )
        for name, model in families.items()
    )
    return ModelCard(
        **vars(rows.origin),
        protocols=rows.protocols,
        measured_until=rows.measured_until,
        table_sha256=rows.digest,
        refused_rows=rows.refused,
        families=cards,
        networks=accuracy(networks),
        remarks=tuple(_remarks(cards, len(networks.errors))),
        libraries={name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
    )


def _remarks(families: tuple[FamilyCard, ...], networks: int) -> Iterator[str]:
    few = [card.family for card in families if card.rows < ROWS_FOR_OWN_BASE]
    if few:
        yield f"few rows, so the base of all families and wide intervals: {', '.join(few)}"
    if networks == 0:
        yield "no whole network was measured: networks are the sum of their kernels, with an assumed interval"
    elif networks < ENOUGH_FOR_QUANTILE:
        yield f"intervals of networks rest on {networks} measured networks"

"""Costs learned through sums in a predictor file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, FiniteFloat

from predictor._domain import Domain
from predictor._features import COORDINATES, TERMS
from predictor._kernels import KernelModel
from predictor._parts import Part, PartReader, PartWriter
from predictor._prices import WorkPrices
from predictor._summed import PricedCosts, SummedCosts
from predictor._through_sum import FactorPrior, FactorProcess, SummedFactors

_MOST_WIDTH = 4096
"""Evaluating factors solves a triangle of this side for each kernel; a file must not ask for more."""


class _DomainPart(Part):
    kinds: tuple[str, ...] = Field(min_length=1)
    reach: FiniteFloat = Field(gt=0)


class _PricedPart(Part):
    form: Literal["priced"]
    classes: tuple[str, ...] = Field(min_length=1)
    least_ms: FiniteFloat = Field(gt=0)
    constant_ms: FiniteFloat = Field(ge=0)
    domains: dict[str, _DomainPart]


class PriorPart(Part):
    """A prior of factors in the document."""

    level: FiniteFloat = Field(ge=0)
    family: FiniteFloat = Field(ge=0)
    shape: FiniteFloat = Field(ge=0)
    octaves: FiniteFloat = Field(gt=0)
    noise: FiniteFloat = Field(gt=0)
    directions: tuple[FiniteFloat, ...]


class FactorsPart(Part):
    """Factors in the document: all but their arrays."""

    prior: PriorPart
    families: tuple[str, ...]


class _SummedPart(Part):
    form: Literal["summed"]
    base: dict[str, Any]
    factors: FactorsPart


def write_priced(costs: PricedCosts, writer: PartWriter) -> dict[str, Any]:
    """Return the part of the document for prices of work; their arrays go to the writer."""
    prices = costs.prices
    writer.put("prices", prices.prices)
    writer.put("common", prices.common)
    for name, domain in costs.domains.items():
        writer.within(name).put("rows", domain.rows)
    part = _PricedPart(
        form="priced",
        classes=prices.classes,
        least_ms=prices.least_ms,
        constant_ms=prices.constant_ms,
        domains={name: _DomainPart(kinds=item.kinds, reach=item.reach) for name, item in costs.domains.items()},
    )
    return part.model_dump(mode="json")


def read_priced(document: Mapping[str, Any], reader: PartReader) -> PricedCosts:
    """Return the prices that a file holds; PredictorFileError for what could not be evaluated."""
    part = reader.part(_PricedPart, document)
    prices = reader.non_negative("prices", len(part.classes), len(TERMS))
    common = reader.non_negative("common", len(TERMS))
    domains = {
        name: Domain(item.kinds, reader.within(name).take("rows", None, len(COORDINATES)), item.reach)
        for name, item in part.domains.items()
    }
    return PricedCosts(WorkPrices(part.classes, prices, common, part.least_ms, part.constant_ms), domains)


def write_summed(costs: SummedCosts, writer: PartWriter) -> dict[str, Any]:
    """Return the part of the document for a base times factors; its arrays go to the writer."""
    base = writer.costs("base", costs.base)
    part = _SummedPart(form="summed", base=base, factors=write_factors(costs.factors, writer.within("factors")))
    return part.model_dump(mode="json")


def read_summed(document: Mapping[str, Any], reader: PartReader) -> SummedCosts:
    """Return the base and factors that a file holds; PredictorFileError for what could not be evaluated."""
    part = reader.part(_SummedPart, document)
    base = reader.costs("base", part.base)
    if not isinstance(base, PricedCosts | KernelModel):
        reader.refuse("its factors are on no base")
    return SummedCosts(base, read_factors(part.factors, reader.within("factors")))


def write_factors(factors: SummedFactors, writer: PartWriter) -> FactorsPart:
    """Return the part of the document for factors; their arrays go to the writer."""
    process = factors.process
    writer.put("anchors", process.anchors)
    writer.put("anchor_families", process.anchor_families)
    writer.put("weights", factors.weights)
    writer.put("root", factors.root)
    return FactorsPart(prior=PriorPart(**vars(process.prior)), families=process.families)


def read_factors(part: FactorsPart, reader: PartReader) -> SummedFactors:
    """Return the factors that a file holds; PredictorFileError for what could not be evaluated."""
    prior = FactorPrior(**part.prior.model_dump())
    anchors = reader.take("anchors", None, len(COORDINATES), empty=True)
    own = reader.take("anchor_families", len(anchors), whole=True, empty=True)
    process = FactorProcess(prior, part.families, anchors, own)
    if process.width > _MOST_WIDTH or ((own < 0) | (own >= len(part.families))).any():
        reader.refuse("its factors are of no family")
    weights = reader.take("weights", process.width)
    root = reader.take("root", process.width, process.width)
    if (np.diag(root) <= 0).any() or np.triu(root, 1).any():
        reader.refuse("its factors have no covariance")
    return SummedFactors(process, weights, root)

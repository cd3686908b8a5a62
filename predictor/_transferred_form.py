"""Costs transferred from other devices in a predictor file: the sources' costs whole, and the factors on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, FiniteFloat

from predictor._common_costs import CommonCosts, SourceDevice
from predictor._composition import Composition
from predictor._features import TERMS
from predictor._parts import Part, PartReader, PartWriter
from predictor._summed_form import FactorsPart, read_factors, write_factors
from predictor._transferred import TransferredCosts
from profiler.kernels import Kernel
from profiler.network import Network, Relu, TensorSpec


class _SourcePart(Part):
    device: str
    costs: dict[str, Any]
    scale: FiniteFloat = Field(gt=0)
    call_ms: FiniteFloat = Field(ge=0)
    handover_ms: FiniteFloat = Field(ge=0)
    least_share: FiniteFloat = Field(ge=0, le=1)


class _TransferredPart(Part):
    form: Literal["transferred"]
    sources: tuple[_SourcePart, ...] = Field(min_length=1)
    factors: FactorsPart
    call_ms: FiniteFloat = Field(ge=0)
    handover_ms: FiniteFloat = Field(ge=0)
    scale: FiniteFloat = Field(gt=0)


def write_transferred(costs: TransferredCosts, writer: PartWriter) -> dict[str, Any]:
    """Return the part of the document for transferred costs; their arrays go to the writer."""
    writer.put("term_costs", costs.common.term_costs)
    for index, doubts in enumerate(costs.common.doubts):
        writer.put(f"doubts-{index}", doubts)
    sources = tuple(
        _SourcePart(
            device=source.device,
            costs=writer.costs(f"source-{index}", source.costs),
            scale=source.composition.scale,
            call_ms=source.composition.call_ms,
            handover_ms=source.composition.handover_ms,
            least_share=source.composition.least_share,
        )
        for index, source in enumerate(costs.common.sources)
    )
    part = _TransferredPart(
        form="transferred",
        sources=sources,
        factors=write_factors(costs.factors, writer.within("factors")),
        call_ms=costs.call_ms,
        handover_ms=costs.handover_ms,
        scale=costs.scale,
    )
    return part.model_dump(mode="json")


def read_transferred(document: Mapping[str, Any], reader: PartReader) -> TransferredCosts:
    """Return the transferred costs that a file holds; PredictorFileError for what could not be evaluated."""
    part = reader.part(_TransferredPart, document)
    sources = tuple(
        SourceDevice(source.device, reader.costs(f"source-{index}", source.costs), _composition(source))
        for index, source in enumerate(part.sources)
    )
    doubts = tuple(
        reader.take(f"doubts-{index}", _width(source), None, empty=True) for index, source in enumerate(sources)
    )
    common = CommonCosts(sources, reader.non_negative("term_costs", len(TERMS)), doubts)
    factors = read_factors(part.factors, reader.within("factors"))
    if len(factors.process.prior.directions) != len(common.priors):
        reader.refuse("its factors are not those of its sources")
    return TransferredCosts(common, factors, part.call_ms, part.handover_ms, part.scale)


def _width(source: SourceDevice) -> int:
    """Return in how many causes a source shares its errors, which only its estimates tell."""
    probe = Kernel(Network("probe", [TensorSpec("x", (1, 8))], [Relu("relu", ("x",))], ["relu"]))
    return int(source.costs.estimate([probe]).loadings.shape[1])


def _composition(part: _SourcePart) -> Composition:
    """Return what of a source's composition splits latencies into call and work; the rest was needed once, to fit."""
    return Composition(
        scale=part.scale,
        call_ms=part.call_ms,
        handover_ms=part.handover_ms,
        constant_ms=0.0,
        networks=0,
        smallest_ms=0.0,
        largest_ms=0.0,
        factor=1.0,
        least_share=part.least_share,
    )

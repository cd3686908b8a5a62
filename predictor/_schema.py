"""Predictors <-> document and arrays of a predictor file, checked so that no damaged file can be evaluated.

Costs are a tagged union, told apart by "form". To add one (as costs transferred from other devices are): a `Part`
model with a literal `form`, a function `write(costs, writer) -> dict` and a function `read(document, reader)`, and a
line in `_FORMS`. Arrays go to `writer.put` and come from `reader.take` under short names; costs within costs go
through `writer.costs(name, costs)` and `reader.costs(name, document)`, which keep their arrays apart by the name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, FiniteFloat

from predictor._card import ModelCard
from predictor._composition import Composition
from predictor._costs import KernelCosts
from predictor._features import COORDINATES, TERMS
from predictor._files import SCHEMA_VERSION
from predictor._kernel_form import read_kernel_model, write_kernel_model
from predictor._kernels import KernelModel
from predictor._parts import Array, Part, PartReader, PartWriter
from predictor._summed import PricedCosts, SummedCosts
from predictor._summed_form import read_priced, read_summed, write_priced, write_summed
from predictor._transferred import TransferredCosts
from predictor._transferred_form import read_transferred, write_transferred


@dataclass(frozen=True)
class _Form:
    kind: type
    write: Callable[[Any, PartWriter], dict[str, Any]]
    read: Callable[[Mapping[str, Any], PartReader], KernelCosts]


_FORMS: Mapping[str, _Form] = {
    "kernels": _Form(KernelModel, write_kernel_model, read_kernel_model),
    "priced": _Form(PricedCosts, write_priced, read_priced),
    "summed": _Form(SummedCosts, write_summed, read_summed),
    "transferred": _Form(TransferredCosts, write_transferred, read_transferred),
}
"""Forms of costs by the tag in the document."""

_DEEPEST = 8
"""Costs within costs within costs: a file must not make a reader run out of stack."""


class _CompositionPart(Part):
    scale: FiniteFloat = Field(gt=0)
    call_ms: FiniteFloat = Field(ge=0)
    handover_ms: FiniteFloat = Field(ge=0)
    constant_ms: FiniteFloat = Field(ge=0)
    networks: int = Field(ge=0)
    smallest_ms: FiniteFloat = Field(ge=0)
    largest_ms: FiniteFloat = Field(ge=0)
    factor: FiniteFloat = Field(gt=0)
    least_share: FiniteFloat = Field(ge=0, le=1)
    inflation: FiniteFloat = Field(gt=0)


class _Document(Part):
    schema_version: int = Field(alias="schema")
    written_by: str
    coordinates: tuple[str, ...]
    terms: tuple[str, ...]
    costs: dict[str, Any]
    composition: _CompositionPart
    card: ModelCard


def to_document(
    costs: KernelCosts, composition: Composition, card: ModelCard, *, written_by: str
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the document and the arrays that hold a predictor."""
    arrays: dict[str, Array] = {}
    document = _Document(
        schema=SCHEMA_VERSION,
        written_by=written_by,
        coordinates=COORDINATES,
        terms=TERMS,
        costs=_write_costs(costs, PartWriter(arrays, _write_costs)),
        composition=_CompositionPart(**vars(composition)),
        card=card,
    )
    return document.model_dump(by_alias=True, mode="json"), arrays


def from_document(
    document: Mapping[str, Any], arrays: Mapping[str, Array], *, path: Path
) -> tuple[KernelCosts, Composition, ModelCard]:
    """Return the predictor that a file holds.

    Raises:
        PredictorFileError: Something is missing, superfluous, of the wrong shape or out of bounds.
    """
    reader = PartReader(dict(arrays), _read_costs, path)
    whole = reader.part(_Document, document)
    if whole.coordinates != COORDINATES or whole.terms != TERMS:
        reader.refuse("its features are not those of this version")
    costs = _read_costs(whole.costs, reader)
    reader.finish()
    composition = Composition(**whole.composition.model_dump())
    if composition.networks and not 0 < composition.smallest_ms <= composition.largest_ms:
        reader.refuse("the sizes of its networks are out of order")
    return costs, composition, whole.card


def _write_costs(costs: KernelCosts, writer: PartWriter) -> dict[str, Any]:
    form = next(form for form in _FORMS.values() if isinstance(costs, form.kind))
    return form.write(costs, writer)


def _read_costs(document: Mapping[str, Any], reader: PartReader) -> KernelCosts:
    name = document.get("form") if isinstance(document, Mapping) else None
    form = _FORMS.get(name) if isinstance(name, str) else None
    if form is None:
        reader.refuse(f"{name!r:.40} is no form of costs")
    if reader.depth > _DEEPEST:
        reader.refuse("its costs stand on costs without end")
    return form.read(document, reader)

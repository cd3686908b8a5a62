"""Models <-> document and arrays of a predictor file, checked so that no damaged file can be evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from predictor._card import ModelCard
from predictor._composition import Composition
from predictor._family import FamilyModel
from predictor._features import COORDINATES, TERMS, FloatArray
from predictor._files import SCHEMA_VERSION
from predictor._gaussian import GaussianResidual
from predictor._kernels import KernelModel
from predictor._trees import LEAF, TreeResidual
from predictor.errors import PredictorFileError

_MAX_GAUSSIAN_ROWS = 4096
"""Evaluating a process inverts a matrix of this side; a file must not ask for more."""

Array = npt.NDArray[Any]
_TREE_ARRAYS = ("roots", "features", "thresholds", "left", "right", "values")
_INDEX_ARRAYS = frozenset({"roots", "features", "left", "right"})


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _FamilyPart(_Part):
    kinds: tuple[str, ...] = Field(min_length=1)
    regressor: Literal["gaussian", "trees"]
    amplitude: FiniteFloat = Field(ge=0)
    noise: FiniteFloat = Field(gt=0)
    factor: FiniteFloat = Field(gt=0)
    reach: FiniteFloat = Field(gt=0)


class _CompositionPart(_Part):
    scale: FiniteFloat = Field(gt=0)
    call_ms: FiniteFloat = Field(ge=0)
    handover_ms: FiniteFloat = Field(ge=0)
    constant_ms: FiniteFloat = Field(ge=0)
    networks: int = Field(ge=0)
    smallest_ms: FiniteFloat = Field(ge=0)
    largest_ms: FiniteFloat = Field(ge=0)
    factor: FiniteFloat = Field(gt=0)


class _Document(_Part):
    schema_version: int = Field(alias="schema")
    written_by: str
    coordinates: tuple[str, ...]
    terms: tuple[str, ...]
    pooled_spread: FiniteFloat = Field(gt=0)
    call_ms: FiniteFloat = Field(ge=0)
    families: dict[str, _FamilyPart]
    composition: _CompositionPart
    card: ModelCard


def to_document(
    model: KernelModel, composition: Composition, card: ModelCard, *, written_by: str
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the document and the arrays that hold a predictor."""
    arrays: dict[str, Array] = {"pooled_costs": model.pooled_costs}
    families = {}
    for name, family in model.families.items():
        residual = family.residual
        gaussian = isinstance(residual, GaussianResidual)
        arrays |= {f"{name}/costs": family.costs, f"{name}/rows": family.rows}
        if isinstance(residual, GaussianResidual):
            arrays |= {f"{name}/residuals": residual.residuals, f"{name}/rates": residual.rates}
        else:
            arrays |= {f"{name}/{role}": getattr(residual, role) for role in _TREE_ARRAYS}
        families[name] = _FamilyPart(
            kinds=family.kinds,
            regressor="gaussian" if gaussian else "trees",
            amplitude=residual.amplitude if isinstance(residual, GaussianResidual) else 0.0,
            noise=residual.noise,
            factor=family.factor,
            reach=family.reach,
        )
    document = _Document(
        schema=SCHEMA_VERSION,
        written_by=written_by,
        coordinates=COORDINATES,
        terms=TERMS,
        pooled_spread=model.pooled_spread,
        call_ms=model.call_ms,
        families=families,
        composition=_CompositionPart(**vars(composition)),
        card=card,
    )
    return document.model_dump(by_alias=True, mode="json"), arrays


def from_document(
    document: Mapping[str, Any], arrays: Mapping[str, Array], *, path: Path
) -> tuple[KernelModel, Composition, ModelCard]:
    """Return the predictor that a file holds.

    Raises:
        PredictorFileError: Something is missing, superfluous, of the wrong shape or out of bounds.
    """
    try:
        parts = _Document.model_validate(document)
    except ValidationError as err:
        first = err.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PredictorFileError(f"is damaged: {place}: {first['msg']}", path=path) from err
    reader = _Reader(arrays, path)
    if parts.coordinates != COORDINATES or parts.terms != TERMS:
        reader.refuse("its features are not those of this version")
    costs = reader.costs("pooled_costs")
    families = {name: _family(name, part, reader) for name, part in parts.families.items()}
    reader.finish()
    model = KernelModel(families, costs, parts.pooled_spread, parts.call_ms)
    composition = Composition(**parts.composition.model_dump())
    if composition.networks and not 0 < composition.smallest_ms <= composition.largest_ms:
        reader.refuse("the sizes of its networks are out of order")
    return model, composition, parts.card


class _Reader:
    """Takes arrays by name, each once, and refuses what does not fit."""

    def __init__(self, arrays: Mapping[str, Array], path: Path) -> None:
        self._arrays = dict(arrays)
        self._path = path

    def refuse(self, problem: str) -> NoReturn:
        raise PredictorFileError(f"is damaged: {problem}", path=self._path)

    def take(self, name: str, *sizes: int | None, whole: bool = False) -> Array:
        """Return an array of these sizes (None for any from 1 on), of indices when whole."""
        array = self._arrays.pop(name, None)
        if array is None:
            self.refuse(f"it lacks {name!r}")
        fits = array.ndim == len(sizes) and all(
            found >= 1 and wanted in (None, found) for found, wanted in zip(array.shape, sizes, strict=True)
        )
        if not fits or array.dtype != (np.int32 if whole else np.float64):
            self.refuse(f"{name!r} has shape {array.shape} and type {array.dtype}")
        return array

    def costs(self, name: str) -> FloatArray:
        costs = self.take(name, len(TERMS) + 1)
        if (costs < 0).any() or costs[-1] <= 0:
            self.refuse(f"{name!r} holds a cost below zero")
        return costs

    def finish(self) -> None:
        if self._arrays:
            self.refuse(f"{next(iter(self._arrays))!r} belongs to nothing")


def _family(name: str, part: _FamilyPart, reader: _Reader) -> FamilyModel:
    costs = reader.costs(f"{name}/costs")
    rows = reader.take(f"{name}/rows", None, len(COORDINATES))
    read: Callable[[str, _FamilyPart, FloatArray, _Reader], GaussianResidual | TreeResidual]
    read = _gaussian if part.regressor == "gaussian" else _trees
    return FamilyModel(part.kinds, costs, rows, read(name, part, rows, reader), part.factor, part.reach)


def _gaussian(name: str, part: _FamilyPart, rows: FloatArray, reader: _Reader) -> GaussianResidual:
    if len(rows) > _MAX_GAUSSIAN_ROWS or part.amplitude == 0:
        reader.refuse(f"{name!r} is no usable process")
    residuals = reader.take(f"{name}/residuals", len(rows))
    rates = reader.take(f"{name}/rates", len(COORDINATES))
    return GaussianResidual(rows, residuals, rates, part.amplitude, part.noise)


def _trees(name: str, part: _FamilyPart, rows: FloatArray, reader: _Reader) -> TreeResidual:  # noqa: ARG001
    """Read a forest whose every walk ends: children come after their parent, inside the table."""
    roots = reader.take(f"{name}/roots", None, whole=True)
    features = reader.take(f"{name}/features", None, whole=True)
    nodes = len(features)
    rest = {role: reader.take(f"{name}/{role}", nodes, whole=role in _INDEX_ARRAYS) for role in _TREE_ARRAYS[2:]}
    inner = features != LEAF
    own = np.arange(nodes)[inner]
    children = np.stack([rest["left"][inner], rest["right"][inner]])
    bounded = (
        (roots >= 0).all() and (roots < nodes).all()
        and (features >= LEAF).all() and (features < len(COORDINATES) + len(TERMS)).all()
        and (children > own).all() and (children < nodes).all()
    )  # fmt: skip
    if not bounded:
        reader.refuse(f"a tree of {name!r} points out of bounds")
    return TreeResidual(roots, features, noise=part.noise, **rest)

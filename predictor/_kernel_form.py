"""The kernel model in a predictor file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field, FiniteFloat

from predictor._domain import Domain
from predictor._family import FamilyModel
from predictor._features import COORDINATES, TERMS, FloatArray
from predictor._gaussian import GaussianResidual
from predictor._kernels import KernelModel
from predictor._parts import Part, PartReader, PartWriter
from predictor._trees import LEAF, TreeResidual

_MAX_GAUSSIAN_ROWS = 4096
"""Evaluating a process inverts a matrix of this side; a file must not ask for more."""

_TREE_ARRAYS = ("roots", "features", "thresholds", "left", "right", "values")
_INDEX_ARRAYS = frozenset({"roots", "features", "left", "right"})


class _FamilyPart(Part):
    kinds: tuple[str, ...] = Field(min_length=1)
    regressor: Literal["gaussian", "trees"]
    amplitude: FiniteFloat = Field(ge=0)
    noise: FiniteFloat = Field(gt=0)
    factor: FiniteFloat = Field(gt=0)
    reach: FiniteFloat = Field(gt=0)


class _KernelPart(Part):
    form: Literal["kernels"]
    pooled_spread: FiniteFloat = Field(gt=0)
    call_ms: FiniteFloat = Field(ge=0)
    families: dict[str, _FamilyPart]


def write_kernel_model(model: KernelModel, writer: PartWriter) -> dict[str, Any]:
    """Return the model's part of the document; its arrays go to the writer."""
    writer.put("pooled_costs", model.pooled_costs)
    families = {name: _write_family(family, writer.within(name)) for name, family in model.families.items()}
    part = _KernelPart(form="kernels", pooled_spread=model.pooled_spread, call_ms=model.call_ms, families=families)
    return part.model_dump(mode="json")


def read_kernel_model(document: Mapping[str, Any], reader: PartReader) -> KernelModel:
    """Return the model that a file holds; PredictorFileError for one that could not be evaluated."""
    part = reader.part(_KernelPart, document)
    costs = _costs("pooled_costs", reader)
    families = {name: _read_family(family, reader.within(name)) for name, family in part.families.items()}
    return KernelModel(families, costs, part.pooled_spread, part.call_ms)


def _write_family(family: FamilyModel, writer: PartWriter) -> _FamilyPart:
    residual = family.residual
    writer.put("costs", family.costs)
    writer.put("rows", family.domain.rows)
    writer.put("doubtful", family.doubtful)
    writer.put("doubts", family.doubts)
    if isinstance(residual, GaussianResidual):
        writer.put("residuals", residual.residuals)
        writer.put("rates", residual.rates)
    else:
        for role in _TREE_ARRAYS:
            writer.put(role, getattr(residual, role))
    gaussian = isinstance(residual, GaussianResidual)
    return _FamilyPart(
        kinds=family.domain.kinds,
        regressor="gaussian" if gaussian else "trees",
        amplitude=residual.amplitude if isinstance(residual, GaussianResidual) else 0.0,
        noise=residual.noise,
        factor=family.factor,
        reach=family.domain.reach,
    )


def _read_family(part: _FamilyPart, reader: PartReader) -> FamilyModel:
    costs = _costs("costs", reader)
    rows = reader.take("rows", None, len(COORDINATES))
    doubts = reader.non_negative("doubts", None, empty=True)
    doubtful = reader.take("doubtful", len(doubts), len(COORDINATES), empty=True)
    read: Callable[[_FamilyPart, FloatArray, PartReader], GaussianResidual | TreeResidual]
    read = _gaussian if part.regressor == "gaussian" else _trees
    domain = Domain(part.kinds, rows, part.reach)
    return FamilyModel(domain, costs, read(part, rows, reader), part.factor, doubtful, doubts)


def _costs(name: str, reader: PartReader) -> FloatArray:
    costs = reader.non_negative(name, len(TERMS) + 1)
    if costs[-1] <= 0:
        reader.refuse(f"{name!r} has no least cost")
    return costs


def _gaussian(part: _FamilyPart, rows: FloatArray, reader: PartReader) -> GaussianResidual:
    if len(rows) > _MAX_GAUSSIAN_ROWS or part.amplitude == 0:
        reader.refuse("a family has no usable process")
    residuals = reader.take("residuals", len(rows))
    rates = reader.take("rates", len(COORDINATES))
    return GaussianResidual(rows, residuals, rates, part.amplitude, part.noise)


def _trees(part: _FamilyPart, rows: FloatArray, reader: PartReader) -> TreeResidual:  # noqa: ARG001
    """Read a forest whose every walk ends: children come after their parent, inside the table."""
    roots = reader.take("roots", None, whole=True)
    features = reader.take("features", None, whole=True)
    nodes = len(features)
    rest = {role: reader.take(role, nodes, whole=role in _INDEX_ARRAYS) for role in _TREE_ARRAYS[2:]}
    inner = features != LEAF
    own = np.arange(nodes)[inner]
    children = np.stack([rest["left"][inner], rest["right"][inner]])
    bounded = (
        (roots >= 0).all() and (roots < nodes).all()
        and (features >= LEAF).all() and (features < len(COORDINATES) + len(TERMS)).all()
        and (children > own).all() and (children < nodes).all()
    )  # fmt: skip
    if not bounded:
        reader.refuse("a tree points out of bounds")
    return TreeResidual(roots, features, noise=part.noise, **rest)

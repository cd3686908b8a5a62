"""Networks as JSON text: structure only, compact, and read back strictly."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from profiler.errors import NetworkError, UnknownOperatorError
from profiler.network._kinds import OPERATOR_KINDS
from profiler.network._operator import Operator
from profiler.network._tensor import TensorSpec

if TYPE_CHECKING:
    from profiler.network._network import Network

JSON_SCHEMA = 1


@dataclass(frozen=True)
class Structure:
    """The parts of a network as JSON text gave them, not yet checked as a whole."""

    name: str
    inputs: tuple[TensorSpec, ...]
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]


def structure_to_json(network: Network) -> str:
    """Return {"schema", "name", "inputs", "operators": [[kind, name, inputs, attributes]], "outputs"}.

    Attributes at their default are left out.
    """
    document = {
        "schema": JSON_SCHEMA,
        "name": network.name,
        "inputs": [_spec_to_list(spec) for spec in network.inputs],
        "operators": [_operator_to_list(operator) for operator in network.operators],
        "outputs": network.outputs,
    }
    return json.dumps(document, separators=(",", ":"))


def structure_from_json(text: str | bytes) -> Structure:
    """Return the parts that JSON text describes.

    Raises:
        NetworkError: The text is no JSON or has another schema; an operator of unknown kind is an
            UnknownOperatorError.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise NetworkError(f"not a network in JSON: {err}") from err
    if not isinstance(document, dict) or document.get("schema") != JSON_SCHEMA:
        raise NetworkError(f"not a network in JSON of schema {JSON_SCHEMA}")
    try:
        return Structure(
            name=str(document["name"]),
            inputs=tuple(_spec_from_list(entry) for entry in document["inputs"]),
            operators=tuple(_operator_from_list(entry) for entry in document["operators"]),
            outputs=tuple(str(name) for name in document["outputs"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        raise NetworkError(f"not a network in JSON: {type(err).__name__}: {err}") from err


def _spec_to_list(spec: TensorSpec) -> list[object]:
    return [spec.name, list(spec.shape), spec.dtype]


def _spec_from_list(entry: Any) -> TensorSpec:
    name, shape, dtype = entry
    return TensorSpec(str(name), tuple(shape), str(dtype))


def _operator_to_list(operator: Operator) -> list[object]:
    attributes: dict[str, object] = {}
    for field in fields(operator):
        value = getattr(operator, field.name)
        if field.name in ("name", "inputs") or value == field.default:
            continue
        attributes[field.name] = [_spec_to_list(spec) for spec in value] if field.name == "output_specs" else value
    return [operator.kind, operator.name, list(operator.inputs), attributes]


def _operator_from_list(entry: Any) -> Operator:
    kind, name, inputs, attributes = entry
    if kind not in OPERATOR_KINDS:
        raise UnknownOperatorError(str(kind), operator=str(name))
    known = {field.name for field in fields(OPERATOR_KINDS[kind])}
    for attribute in attributes:
        if attribute not in known:
            raise NetworkError(f"{kind} has no attribute {attribute!r}", operator=str(name))
    values = {attribute: _frozen(value) for attribute, value in attributes.items()}
    if "output_specs" in values:
        values["output_specs"] = tuple(_spec_from_list(spec) for spec in attributes["output_specs"])
    return OPERATOR_KINDS[kind](str(name), tuple(str(tensor) for tensor in inputs), **values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value

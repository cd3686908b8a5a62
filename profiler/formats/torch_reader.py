"""Networks from torch modules, by way of torch.export."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from profiler.errors import ModelFileError, NetworkError
from profiler.formats._aten_layers import add_node
from profiler.formats._source_graph import SourceGraph
from profiler.formats._source_network import lower
from profiler.network import Network, TensorSpec

_EXPORT_FAILURES = (
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    AssertionError,
)
"""What torch.export raises on programs that it cannot trace; its own types derive from these."""


def read_torch(module: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> Network:
    """Return the network that a torch module computes in evaluation mode, with its weights.

    Rank-4 tensors are taken as NCHW and become NHWC, inputs and outputs too.  Batch norms are folded into the
    weights before them; dropout is gone.  Operators that a Network has no kind for are opaque.

    Args:
        module: Any module that torch.export can trace; it is not changed.
        example_inputs: Inputs with the shapes wanted; their values do not matter.

    Raises:
        ModelFileError: torch.export cannot trace the module, such as for control flow that depends on data.
    """
    program = _exported(module, example_inputs)
    graph = SourceGraph(type(module).__name__, channels_first=True)
    constants = _constants(program)
    user_inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in user_inputs:
            graph.inputs.append(TensorSpec(node.name, _shape(node), _dtype(node)))
        elif node.op == "get_attr":
            constants[node.name] = getattr(program.graph_module, str(node.target))
        elif node.op == "call_function":
            add_node(node, constants, graph)
    graph.finish([_output_name(output) for output in program.graph_signature.user_outputs])
    try:
        return lower(graph)
    except NetworkError as err:
        raise ModelFileError(f"the module cannot be read as a network: {err}") from err


def _exported(module: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    with _evaluating(module), torch.no_grad():
        try:
            return torch.export.export(module, example_inputs)
        except _EXPORT_FAILURES as err:
            first_line = next((line for line in str(err).splitlines() if line.strip()), type(err).__name__)
            raise ModelFileError(
                f"torch.export cannot trace the module: {first_line.strip()}; rewrite what depends on values "
                "(an `if` or a loop on a tensor) with torch.where or torch.cond, or export the model to .onnx"
            ) from err


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Set evaluation mode, and each part's own mode again afterwards."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def _constants(program: ExportedProgram) -> dict[str, torch.Tensor]:
    """Return parameters and buffers by the name of the graph's placeholder for them."""
    signature = program.graph_signature
    stored: dict[str, Any] = {**program.state_dict, **program.constants}
    names = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    return {placeholder: stored[name].detach() for placeholder, name in names.items()}


def _shape(node: torch.fx.Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        raise ModelFileError(f"input {node.name!r} of the module is not a tensor")
    return tuple(int(size) for size in value.shape)


def _dtype(node: torch.fx.Node) -> str:
    return "float32" if node.meta["val"].is_floating_point() else "int32"


def _output_name(output: object) -> str:
    if not isinstance(output, str):
        raise ModelFileError(f"an output of the module is {output!r}, not a tensor")
    return output

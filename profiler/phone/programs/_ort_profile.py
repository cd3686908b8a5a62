"""The trace that ONNX Runtime writes under profiling: Chrome's events in its own spelling.

Source: onnxruntime/core/common/profiler.cc, and traces of ONNX Runtime 1.31.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from profiler.network import Network, TensorSpec
from profiler.phone.programs._plan import Plan
from profiler.phone.programs._statistics import Microseconds
from profiler.phone.soc import HIDING_DELEGATES

_OP_NAMES: Mapping[str, str] = {
    "conv2d": "Conv", "depthwise_conv2d": "Conv", "transpose_conv2d": "ConvTranspose", "dense": "Gemm", "add": "Add",
    "mul": "Mul", "concat": "Concat", "split": "Split", "channel_shuffle": "Transpose", "max_pool2d": "MaxPool",
    "avg_pool2d": "AveragePool", "global_avg_pool2d": "GlobalAveragePool", "relu": "Relu", "relu6": "Clip",
    "hard_swish": "HardSwish", "hard_sigmoid": "HardSigmoid", "sigmoid": "Sigmoid", "prelu": "PRelu",
    "softmax": "Softmax", "pad": "Pad", "resize_bilinear": "Resize", "resize_nearest": "Resize",
    "depth_to_space": "DepthToSpace", "reshape": "Reshape", "transpose": "Transpose", "mean": "ReduceMean",
}  # fmt: skip
_MOST_EVENTS = 100_000
"""Of operators; the real one stops recording as well, at a million."""
_GAP_US = 2
"""Between operators, and around them."""


def node_arguments(network: Network, plan: Plan, provider: str) -> tuple[tuple[str, str], ...]:
    """Return each node's name and the text of its arguments, as every event of it has them."""
    if plan.delegate in HIDING_DELEGATES:
        fused = f"{provider}_{provider.removesuffix('ExecutionProvider')}_{int(network.key, 16) % 10**19}_0"
        return ((fused, json.dumps({"provider": provider, "op_name": fused, "node_index": "0"})),)
    kinds = {operator.name: operator.kind for operator in network.operators}
    nodes = []
    for index, step in enumerate(plan.steps):
        kind = next(kinds[name] for name in step.operators if kinds[name] != "pad" or len(step.operators) == 1)
        outputs = [network.tensors[name] for name in step.outputs if name in network.tensors]
        arguments = {
            "thread_scheduling_stats": "",
            "input_type_shape": [],
            "output_size": str(step.written_bytes),
            "parameter_size": str(step.weight_bytes),
            "activation_size": str(step.read_bytes),
            "node_index": str(index),
            "provider": provider,
            "output_type_shape": [_shape(spec) for spec in outputs],
            "op_name": _OP_NAMES.get(kind, kind),
        }
        nodes.append((step.operators[-1], json.dumps(arguments, separators=(",", " : "))))
    return tuple(nodes)


class OrtTrace:
    """A trace that grows by runs.

    Args:
        nodes: Each node's name and the text of its arguments.
        pid: Number of the process.
    """

    def __init__(self, nodes: tuple[tuple[str, str], ...], pid: int) -> None:
        self._nodes, self._pid = nodes, pid
        self._lines: list[str] = []
        self._now_us = 0
        self._recorded = 0

    def session(self, load_us: int, initialise_us: int) -> None:
        """Add the making of the session."""
        self._add("Session", "model_loading_uri", load_us, self._now_us)
        self._add("Session", "session_initialization", initialise_us, self._now_us + load_us)
        self._now_us += load_us + initialise_us

    def runs(self, rows_us: Microseconds) -> None:
        """Add runs.  Shape: (n_runs, n_nodes)."""
        for durations_us in rows_us.tolist():
            if self._recorded + len(self._nodes) > _MOST_EVENTS:
                return
            self._recorded += len(self._nodes)
            began_us = self._now_us
            at_us = began_us + 2 * _GAP_US
            for (name, arguments), duration_us in zip(self._nodes, durations_us, strict=True):
                self._add("Node", f"{name}_kernel_time", duration_us, at_us, arguments)
                at_us += duration_us + _GAP_US
            executed_us = at_us - began_us - _GAP_US
            self._add("Session", "SequentialExecutor::Execute", executed_us, began_us + _GAP_US)
            self._add("Session", "model_run", executed_us + 2 * _GAP_US, began_us)
            self._now_us = at_us + 10 * _GAP_US

    def json(self) -> bytes:
        """Return the file."""
        return ("[\n" + ",\n".join(self._lines) + "\n]\n").encode(errors="surrogateescape")

    def _add(self, category: str, name: str, duration_us: int, at_us: int, arguments: str = "{}") -> None:
        self._lines.append(
            f'{{"cat" : "{category}","pid" :{self._pid},"tid" :{self._pid},"dur" :{duration_us},"ts" :{at_us},'
            f'"ph" : "X","name" :{json.dumps(name)},"args" : {arguments}}}'
        )


def _shape(spec: TensorSpec) -> dict[str, list[int]]:
    return {"float" if spec.dtype == "float32" else spec.dtype: list(spec.shape)}

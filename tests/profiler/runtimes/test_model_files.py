"""What model files of kernels and of whole networks look like to a runtime."""

from __future__ import annotations

import onnx

from profiler.network import Conv2d, Network, Relu, TensorSpec
from profiler.runtimes import RUNTIMES, ModelFiles
from profiler.workload import Workload

_NETWORK = Network("one", [TensorSpec("x", (1, 8, 8, 4))], [Conv2d("c", ("x",), 8), Relu("r", ("c",))], ("r",))


def _operators(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def test_a_kernel_in_onnx_has_no_transposes_around_it_but_a_network_has() -> None:
    runtime = RUNTIMES["onnxruntime"]
    kernel = runtime.write_model(Workload(_NETWORK, kind="conv2d+relu"))
    whole = runtime.write_model(Workload(_NETWORK))
    assert "Transpose" not in _operators(kernel)
    assert _operators(whole).count("Transpose") == 2


def test_a_kernel_and_a_network_of_the_same_structure_have_files_of_their_own() -> None:
    files = ModelFiles(RUNTIMES["onnxruntime"], 2**20)
    kernel = files.file(Workload(_NETWORK, kind="conv2d+relu"))
    whole = files.file(Workload(_NETWORK))
    assert kernel.content != whole.content
    assert files.file(Workload(_NETWORK)) is whole

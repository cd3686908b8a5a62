"""A network run by each runtime on the same arrays, for tests that compare their outputs."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import ncnn
import numpy as np
import onnxruntime
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from profiler.errors import NetworkError
from profiler.formats import NcnnModel, write_ncnn, write_onnx, write_tflite
from profiler.formats.torch_builder import build_torch
from profiler.network import Network

Arrays = list[NDArray[Any]]
Runner = Callable[[Network, Sequence[NDArray[Any]]], Arrays]


def random_inputs(network: Network, seed: int) -> Arrays:
    """Return standard normal values for each input of a network."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(spec.shape, dtype=np.float32) for spec in network.inputs]


def run_torch(network: Network, inputs: Sequence[NDArray[Any]]) -> Arrays:
    with torch.no_grad():
        return [values.numpy() for values in build_torch(network)(*map(torch.from_numpy, inputs))]


def run_litert(network: Network, inputs: Sequence[NDArray[Any]]) -> Arrays:
    return interpret(write_tflite(network), network, inputs)


def interpret(model: bytes, network: Network, inputs: Sequence[NDArray[Any]]) -> Arrays:
    """Run a .tflite model in LiteRT by its signature, so that the names in it are tested as well."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    runner = interpreter.get_signature_runner()
    named = {spec.name: values for spec, values in zip(network.inputs, inputs, strict=True)}
    results = runner(**named)
    return [results[tensor] for tensor in network.outputs]


def run_onnxruntime(network: Network, inputs: Sequence[NDArray[Any]]) -> Arrays:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(write_onnx(network), options, providers=["CPUExecutionProvider"])
    named = {spec.name: values for spec, values in zip(network.inputs, inputs, strict=True)}
    return session.run(list(network.outputs), named)


def run_ncnn(network: Network, inputs: Sequence[NDArray[Any]]) -> Arrays:
    return run_ncnn_model(write_ncnn(network), inputs)


def run_ncnn_model(model: NcnnModel, inputs: Sequence[NDArray[Any]]) -> Arrays:
    """Run a model for ncnn by the names of its blobs, so that these are tested as well."""
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param_mem(model.param) == 0, model.param
    net.load_model_mem(model.bin)
    extractor = net.create_extractor()
    for tensor, values in zip(model.inputs, inputs, strict=True):
        assert extractor.input(tensor.blob, ncnn.Mat(np.ascontiguousarray(values).reshape(tensor.sizes)).clone()) == 0
    outputs = []
    for tensor in model.outputs:
        code, values = extractor.extract(tensor.blob)
        assert code == 0, f"{tensor} of\n{model.param}"
        outputs.append(np.array(values).reshape(tensor.shape))
    return outputs


RUNNERS: Mapping[str, Runner] = {"litert": run_litert, "onnxruntime": run_onnxruntime, "ncnn": run_ncnn}
"""What must agree with torch."""

_NCNN_REFUSES = ("takes one image at a time", "asymmetric coordinates", "at most four axes")


def outputs_or_refusal(runtime: str, network: Network, inputs: Sequence[NDArray[Any]]) -> Arrays | None:
    """Return what a runtime computes; None for what ncnn is known not to compute, and says so."""
    try:
        return RUNNERS[runtime](network, inputs)
    except NetworkError as err:
        if runtime == "ncnn" and any(reason in str(err) for reason in _NCNN_REFUSES):
            return None
        raise


class TfliteRuntimeProcess:
    """tflite-runtime in an interpreter of its own, since it needs an older numpy; use it as a context manager.

    Args:
        python: The interpreter of an environment that has it.
    """

    def __init__(self, python: Path) -> None:
        self._python = python

    def __enter__(self) -> Self:
        command = [self._python, "-c", _TFLITE_RUNTIME_LOOP]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def run(self, network: Network, inputs: Sequence[NDArray[Any]]) -> Arrays:
        """Run a network's .tflite there."""
        return self.interpret(write_tflite(network), network, inputs)

    def interpret(self, model: bytes, network: Network, inputs: Sequence[NDArray[Any]]) -> Arrays:
        """Run a .tflite model there."""
        request = io.BytesIO()
        np.savez(
            request,
            model=np.frombuffer(model, np.uint8),
            **{f"input_{index}": values for index, values in enumerate(inputs)},
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the process has no pipes")
        stdin.write(len(request.getvalue()).to_bytes(8, "little") + request.getvalue())
        stdin.flush()
        size = int.from_bytes(stdout.read(8), "little")
        if not size:
            raise RuntimeError("tflite-runtime's process died")
        with np.load(io.BytesIO(stdout.read(size))) as reply:
            return [reply[f"output_{index}"] for index in range(len(reply.files))]


_TFLITE_RUNTIME_LOOP = """
import io, sys
import numpy as np
from tflite_runtime.interpreter import Interpreter

while size := int.from_bytes(sys.stdin.buffer.read(8), "little"):
    with np.load(io.BytesIO(sys.stdin.buffer.read(size))) as request:
        interpreter = Interpreter(model_content=request["model"].tobytes(), num_threads=1)
        interpreter.allocate_tensors()
        for index, detail in enumerate(interpreter.get_input_details()):
            interpreter.set_tensor(detail["index"], request[f"input_{index}"])
    interpreter.invoke()
    outputs = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    reply = io.BytesIO()
    np.savez(reply, **{f"output_{index}": values for index, values in enumerate(outputs)})
    sys.stdout.buffer.write(len(reply.getvalue()).to_bytes(8, "little") + reply.getvalue())
    sys.stdout.buffer.flush()
"""

"""ncnn: models that keep their inputs, and times layer by layer."""

from __future__ import annotations

import itertools
import json
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .engine import Array, Engine, Profiler, Session, Tensor, seeded_inputs
from .errors import EngineError

_LENGTH = struct.Struct("<I")
_NO_MEMORY = -100
"""What ncnn's layers return when they cannot allocate."""
_UNPACKED, _AS_COMPUTED = 0, 1
"""Forms in which an extractor gives a blob: plain float32, or as the layer left it."""


@dataclass(frozen=True)
class _End:
    """An input or output: the tensor as callers see it, and the blob that holds it."""

    tensor: Tensor
    blob: str
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class _Model:
    """A model as profiler.formats.ncnn_writer writes it into one file."""

    param: str
    inputs: tuple[_End, ...]
    outputs: tuple[_End, ...]
    weights: bytes


def _read_model(content: bytes) -> _Model:
    try:
        (length,) = _LENGTH.unpack_from(content)
        weights = content[_LENGTH.size + length :]
        header = json.loads(content[_LENGTH.size : _LENGTH.size + length])
        if header["bin_bytes"] != len(weights):
            raise EngineError("INVALID_MODEL", f"{len(weights)} bytes of weights, and {header['bin_bytes']} are due")
        inputs, outputs = (tuple(map(_end, header[key])) for key in ("inputs", "outputs"))
        return _Model(header["param"], inputs, outputs, weights)
    except (struct.error, ValueError, KeyError, TypeError) as err:
        raise EngineError("INVALID_MODEL", f"no model for ncnn: {type(err).__name__}: {err}") from err


def _end(fields: list[Any]) -> _End:
    name, blob, shape, sizes = fields
    return _End(Tensor(str(name), tuple(shape), "float32"), str(blob), tuple(sizes))


def _import_runtime() -> Any:
    try:
        import ncnn
    except ImportError as err:
        raise EngineError("UNSUPPORTED", f"ncnn cannot be imported: {err}") from err
    return ncnn


def _load(runtime: Any, model: _Model, threads: int, precision: str) -> Any:
    net = runtime.Net()
    options = net.opt
    options.num_threads = threads
    options.use_vulkan_compute = False
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = precision == "fp16"
    options.use_bf16_storage = False
    if net.load_param_mem(model.param) != 0:
        raise EngineError("INVALID_MODEL", "ncnn refuses the layers; it said why on stderr")
    net.load_model_mem(model.weights)
    return net


def _require_success(code: int) -> None:
    if code != 0:
        raise EngineError("OUT_OF_MEMORY" if code == _NO_MEMORY else "INVALID_MODEL", f"ncnn failed with code {code}")


def _mat(runtime: Any, array: Array, sizes: tuple[int, ...]) -> Any:
    """Return a copy of an array in ncnn's own memory, whose channels are aligned."""
    return runtime.Mat(np.ascontiguousarray(array, np.float32).reshape(sizes)).clone()


def _runner(
    net: Any, make: Callable[[], Any], inputs: list[tuple[int, Any]], outputs: list[int], results: list[Any]
) -> Callable[[], None]:
    """Return what runs a net once; it owns no session, so that dropped models are freed at once."""

    def run() -> None:
        extractor = net.create_extractor()
        for blob, values in inputs:
            extractor.input(blob, values)
        for index, blob in enumerate(outputs):
            results[index] = make()
            _require_success(extractor.extract(blob, results[index], _UNPACKED))

    return run


class NcnnSession(Session):
    """A loaded net with its inputs, in ncnn's memory, and the outputs of its latest run."""

    def __init__(self, runtime: Any, net: Any, model: _Model) -> None:
        self.inputs = tuple(end.tensor for end in model.inputs)
        self.outputs = tuple(end.tensor for end in model.outputs)
        self._runtime, self._model = runtime, model
        blobs = {blob.name: index for index, blob in enumerate(net.blobs())}
        self._blobs = [blobs[end.blob] for end in model.inputs]
        self._given: list[tuple[int, Any]] = []
        self._results: list[Any] = [None] * len(model.outputs)
        outputs = [blobs[end.blob] for end in model.outputs]
        self.invoke = _runner(net, runtime.Mat, self._given, outputs, self._results)

    def set_inputs(self, arrays: Mapping[str, Array]) -> None:
        """Copy arrays into ncnn's memory; runs leave them as they are."""
        self._given[:] = [
            (blob, _mat(self._runtime, arrays[end.tensor.name], end.sizes))
            for blob, end in zip(self._blobs, self._model.inputs, strict=True)
        ]

    def read_outputs(self) -> dict[str, Array]:
        """Return copies of the outputs."""
        return {
            end.tensor.name: np.array(result).reshape(end.tensor.shape)
            for end, result in zip(self._model.outputs, self._results, strict=True)
        }


class NcnnEngine(Engine):
    """The package ncnn; what computes is named by its precision, "fp32" or "fp16"."""

    def __init__(self, threads: int, accelerator: str) -> None:
        self._runtime = _import_runtime()
        self._threads, self._precision = threads, accelerator

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return str(self._runtime.__version__)

    def load(self, model: bytes) -> Session:
        """Load a model of ours and prepare its weights."""
        parts = _read_model(model)
        return NcnnSession(self._runtime, _load(self._runtime, parts, self._threads, self._precision), parts)


class NcnnProfiler(Profiler):
    """Times of layers: each is run by asking for what it writes, after those before it."""

    def __init__(self, threads: int, accelerator: str) -> None:
        self._runtime = _import_runtime()
        self._threads, self._precision = threads, accelerator

    @property
    def version(self) -> str:
        """Version of the installed package."""
        return str(self._runtime.__version__)

    def profile(self, model: bytes, warmup_runs: int, runs: int, scratch: str) -> bytes:
        """Return JSON: `layers` ([name, type] each), and for each of `runs` `elapsed_ns` and `layers_ns`."""
        parts = _read_model(model)
        net = _load(self._runtime, parts, self._threads, self._precision)
        net.opt.lightmode = False  # what is asked for must still be there
        blobs = {blob.name: index for index, blob in enumerate(net.blobs())}
        arrays = seeded_inputs(tuple(end.tensor for end in parts.inputs), 0)
        given = [(blobs[end.blob], _mat(self._runtime, arrays[end.tensor.name], end.sizes)) for end in parts.inputs]
        layers = [layer for layer in net.layers() if layer.type != "Input"]
        written = [layer.tops[0] for layer in layers]
        timed = [self._timed_run(net, given, written) for _ in range(warmup_runs + runs)]
        return json.dumps(
            {"layers": [[layer.name, layer.type] for layer in layers], "runs": timed[warmup_runs:]}
        ).encode()

    def _timed_run(self, net: Any, given: list[tuple[int, Any]], written: list[int]) -> dict[str, Any]:
        extractor = net.create_extractor()
        for blob, values in given:
            extractor.input(blob, values)
        clock_ns = time.perf_counter_ns
        marks_ns = [clock_ns()]
        values = self._runtime.Mat()
        for blob in written:
            _require_success(extractor.extract(blob, values, _AS_COMPUTED))
            marks_ns.append(clock_ns())
        between_ns = [end - start for start, end in itertools.pairwise(marks_ns)]
        return {"elapsed_ns": marks_ns[-1] - marks_ns[0], "layers_ns": between_ns}

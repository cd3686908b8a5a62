"""The worker's own parts, run in this process: timing, inputs, the cache, and what it may import."""

from __future__ import annotations

import ast
import gc
import json
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from profiler.formats import write_ncnn, write_onnx, write_tflite
from profiler.network import Network, ResizeNearest, TensorSpec
from profiler.runtimes._worker_process import WORKER_FOLDER
from profiler.runtimes.host_worker import ncnn_engine, ort, tflite
from profiler.runtimes.host_worker.engine import Engine, Session, Tensor, seeded_inputs
from profiler.runtimes.host_worker.errors import EngineError
from profiler.runtimes.host_worker.serve import ModelCache, timed_runs
from tests.conformance.networks import inverted_residuals, tiny

ALLOWED = {*sys.stdlib_module_names, "ncnn", "numpy", "onnxruntime"}
FILES = sorted(WORKER_FOLDER.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_runs_without_pocketnas_on_python_3_10(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    assert imported <= ALLOWED


def test_warm_up_is_run_and_not_reported_and_the_collector_is_off() -> None:
    collecting = []
    _, samples_ns = timed_runs(lambda: collecting.append(gc.isenabled()), 3, 5)
    assert collecting == [False] * 8
    assert gc.isenabled()
    assert len(samples_ns) == 5 and min(samples_ns) > 0


def test_the_collector_is_back_on_after_a_failed_run() -> None:
    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        timed_runs(fail, 0, 1)
    assert gc.isenabled()


def test_seeded_inputs_are_repeatable_normal_and_never_denormal() -> None:
    tensors = (Tensor("a", (64, 64), "float32"), Tensor("b", (64, 64), "int8"), Tensor("c", (9,), "bool"))
    first, second = seeded_inputs(tensors, 0), seeded_inputs(tensors, 0)
    for tensor in tensors:
        assert first[tensor.name].dtype == tensor.dtype and first[tensor.name].shape == tensor.shape
        np.testing.assert_array_equal(first[tensor.name], second[tensor.name])
    reals = first["a"]
    assert abs(reals.mean()) < 0.1 and abs(reals.std() - 1) < 0.1
    assert np.abs(reals).min() > np.finfo(np.float32).tiny
    assert (first["b"].min(), first["b"].max()) == (-128, 127)
    with pytest.raises(EngineError, match="complex64"):
        seeded_inputs((Tensor("d", (1,), "complex64"),), 0)


def test_tflite_runtime_beside_numpy_2_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite, "version", lambda _: "2.14.0")
    monkeypatch.setattr(np, "__version__", "2.4.6")
    with pytest.raises(EngineError, match=r"found numpy 2.4.6; it needs numpy < 2 .*`python:`"):
        tflite.TfliteRuntimeEngine(1, "xnnpack")


def test_a_runtime_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite.LitertEngine, "package", "no-such-package")
    with pytest.raises(EngineError, match=r"no-such-package cannot be imported .*`python:`"):
        tflite.LitertEngine(1, "xnnpack")


class CountingEngine(Engine):
    version = "0"

    def __init__(self, threads: int, accelerator: str) -> None:
        self.loaded: list[bytes] = []
        self._litert = tflite.LitertEngine(threads, accelerator)

    def load(self, model: bytes) -> Session:
        self.loaded.append(model)
        return self._litert.load(model)


def test_the_cache_keeps_recent_models_within_its_bound() -> None:
    engine = CountingEngine(1, "xnnpack")
    models = {
        str(channels): write_tflite(tiny(channels).with_random_weights(np.random.default_rng(0)))
        for channels in (2, 3, 4)
    }
    one_bytes = 2 * max(map(len, models.values())) + 2 * 4 * 64 * (3 + 4)
    cache = ModelCache(engine, 2 * one_bytes)
    for name in ("2", "3", "2", "4", "2"):
        cache.session(name, models[name])
    assert len(engine.loaded) == 3
    with pytest.raises(EngineError) as caught:
        cache.session("3", None)
    assert caught.value.reason == "MISSING"
    assert cache.session("2", None) is cache.session("2", None)


ENGINES: list[tuple[Engine, Callable[[Network], bytes]]] = [
    (tflite.LitertEngine(1, "xnnpack"), write_tflite),
    (ort.OrtEngine(1, "CPUExecutionProvider"), write_onnx),
    (ncnn_engine.NcnnEngine(1, "fp32"), lambda network: write_ncnn(network).to_bytes()),
]


@pytest.mark.parametrize(("engine", "write"), ENGINES)
def test_a_dropped_model_is_freed_at_once(engine: Engine, write: Callable[[Network], bytes]) -> None:
    model = write(tiny().with_random_weights(np.random.default_rng(0)))
    gc.disable()
    try:
        session = engine.load(model)
        session.set_inputs(seeded_inputs(session.inputs, 0))
        session.invoke()
        dropped = weakref.ref(session)
        del session
        assert dropped() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("engine", "write"), ENGINES)
def test_inputs_are_copies(engine: Engine, write: Callable[[Network], bytes]) -> None:
    session = engine.load(write(tiny().with_random_weights(np.random.default_rng(0))))
    given = seeded_inputs(session.inputs, 0)
    session.set_inputs(given)
    session.invoke()
    before = session.read_outputs()["y"]
    given["x"][...] = 100.0
    session.invoke()
    np.testing.assert_array_equal(session.read_outputs()["y"], before)


def test_the_cache_keeps_one_model_that_is_too_large() -> None:
    engine = CountingEngine(1, "xnnpack")
    model = write_tflite(tiny().with_random_weights(np.random.default_rng(0)))
    cache = ModelCache(engine, 1)
    assert cache.session("a", model) is cache.session("a", None)


@pytest.mark.parametrize("cut", [1, 4, 100, -1])
def test_a_cut_model_for_ncnn_never_reaches_it(cut: int) -> None:
    model = write_ncnn(tiny()).to_bytes()
    with pytest.raises(EngineError) as caught:
        ncnn_engine.NcnnEngine(1, "fp32").load(model[:cut])
    assert caught.value.reason == "INVALID_MODEL"


def test_layers_that_ncnn_does_not_know_are_refused() -> None:
    model = write_ncnn(tiny()).to_bytes().replace(b"Convolution ", b"Convolutiox ")
    with pytest.raises(EngineError) as caught:
        ncnn_engine.NcnnEngine(1, "fp32").load(model)
    assert caught.value.reason == "INVALID_MODEL"


def test_what_ncnn_cannot_allocate_is_out_of_memory() -> None:
    resize = ResizeNearest("y", ("x",), (1_000_000, 1_000_000))  # 4 TB
    network = Network("huge", [TensorSpec("x", (1, 2, 2, 1))], [resize], ["y"])
    session = ncnn_engine.NcnnEngine(1, "fp32").load(write_ncnn(network).to_bytes())
    session.set_inputs(seeded_inputs(session.inputs, 0))
    with pytest.raises(EngineError) as caught:
        session.invoke()
    assert caught.value.reason == "OUT_OF_MEMORY"


def test_ncnn_times_each_layer_of_each_run() -> None:
    network = inverted_residuals(2, 8, 24)
    profile = ncnn_engine.NcnnProfiler(1, "fp32").profile(write_ncnn(network).to_bytes(), 2, 5, "")
    found = json.loads(profile)
    kinds = [kind for _, kind in found["layers"]]
    assert kinds.count("Convolution") == 5 and kinds.count("ConvolutionDepthWise") == 2 and "Input" not in kinds
    assert [name for name, _ in found["layers"]][-1] == "logits"
    assert len(found["runs"]) == 5
    assert all(
        len(run["layers_ns"]) == len(kinds) and sum(run["layers_ns"]) == run["elapsed_ns"] for run in found["runs"]
    )

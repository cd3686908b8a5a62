"""A predictor file and model files for the commands' tests; nothing is measured for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predictor import NetworkPredictor
from profiler.formats import write_onnx, write_tflite
from profiler.network import Conv2d, Dense, GlobalAvgPool2d, Network, Relu, TensorSpec
from tests.predictor._synthetic import law_table


@pytest.fixture(scope="session")
def predictor_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A predictor of the invented device "bench"."""
    path = tmp_path_factory.mktemp("predictor") / "bench.safetensors"
    NetworkPredictor().fit(law_table(120, networks=12)).save(path)
    return path


@pytest.fixture(scope="session")
def network() -> Network:
    """A small classifier of kinds that the predictor knows."""
    operators = [
        Conv2d("conv", ("image",), 16, (3, 3), (2, 2)),
        Relu("relu", ("conv",)),
        GlobalAvgPool2d("pool", ("relu",)),
        Dense("logits", ("pool",), 10),
    ]
    plain = Network("small", [TensorSpec("image", (1, 32, 32, 3))], operators, ["logits"])
    return plain.with_random_weights(np.random.default_rng(0))


@pytest.fixture(scope="session")
def tflite(network: Network) -> bytes:
    return write_tflite(network)


@pytest.fixture(scope="session")
def onnx(network: Network) -> bytes:
    return write_onnx(network)


@pytest.fixture(scope="session")
def cars_predictor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A predictor of the invented device for all kernels of a small CARS space."""
    from pocketnas.profiling import space_workloads
    from profiler.kernels import Kernel
    from search.images import load_images
    from search.spaces.settings import CarsSettings
    from tests.predictor._synthetic import noisy, row, table_of_rows, true_ms, true_network_ms

    rng = np.random.default_rng(0)
    space = CarsSettings(cells=3, channels=2, nodes=1).space_for(load_images("digits", seed=0))
    workloads = space_workloads(space, "litert", kernels=60, networks=8, dtype="float32", rng=rng)
    rows = []
    for workload in workloads:
        whole = workload.kind == "network"
        latency_ms = true_network_ms(workload.network) if whole else true_ms(Kernel(workload.network))
        rows.append(row(workload.network, workload.kind, noisy(latency_ms, rng)))
    path = tmp_path_factory.mktemp("cars") / "bench.safetensors"
    NetworkPredictor().fit(table_of_rows(rows)).save(path)
    return path

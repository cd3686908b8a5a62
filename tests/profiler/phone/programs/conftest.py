from __future__ import annotations

from collections.abc import Callable

import pytest

from profiler.formats import write_onnx, write_tflite
from profiler.phone import Phone, load_phone
from tests.phone_fixtures import key_path
from tests.profiler.phone.programs.bench import Bench, small_network

__all__ = ["key_path"]


@pytest.fixture(scope="session")
def model() -> bytes:
    return write_tflite(small_network())


@pytest.fixture(scope="session")
def onnx_model() -> bytes:
    return write_onnx(small_network())


@pytest.fixture
def benches(model: bytes) -> Callable[..., Bench]:
    """Makes phones with benchmark_model: of another description, seed or model."""

    def make(name: str = "pixel4", *, seed: int = 0, content: bytes = model, **phone: object) -> Bench:
        return Bench(Phone(load_phone(name), seed=seed, **phone), "benchmark_model", content)  # type: ignore[arg-type]

    return make


@pytest.fixture
def bench(benches: Callable[..., Bench]) -> Bench:
    return benches()

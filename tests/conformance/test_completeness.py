"""No backend, no runtime of the host and no program of a phone is without a conformance class."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from profiler.backends import BACKENDS
from profiler.devices import DEVICE_MODELS, HOST_RUNTIMES, PHONE_RUNTIMES
from profiler.runtimes import RUNTIMES
from profiler.runtimes.host_worker.serve import ENGINES, PROFILERS
from tests.conformance.backend_suite import BackendConformance


def _concrete(kind: type[BackendConformance]) -> Iterator[type[BackendConformance]]:
    for child in kind.__subclasses__():
        yield from _concrete(child)
        if child.__name__.startswith("Test"):
            yield child


def test_every_backend_and_runtime_has_a_conformance_class() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.conformance.{path.stem}")
    tested = set(_concrete(BackendConformance))
    assert {kind.backend_name for kind in tested} == set(BACKENDS)
    assert {kind.runtime_name for kind in tested if kind.backend_name == "host"} == set(HOST_RUNTIMES)
    assert {kind.runtime_name for kind in tested if kind.backend_name == "emulated"} == set(PHONE_RUNTIMES)


def test_every_backend_has_settings() -> None:
    assert set(BACKENDS) == set(DEVICE_MODELS)


def test_both_halves_of_every_runtime_exist() -> None:
    assert set(RUNTIMES) == set(ENGINES)
    assert set(PROFILERS) < set(RUNTIMES)
    assert all(name == runtime.name for name, runtime in RUNTIMES.items())

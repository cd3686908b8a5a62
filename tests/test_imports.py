"""Imports go one way, pocketnas -> search -> predictor -> profiler, and never in a ring."""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter

from tests._source import PACKAGES, imported_names, modules


def test_packages_import_only_what_lies_below_them() -> None:
    wrong = []
    for module in modules():
        own = module.name.split(".")[0]
        above = set(PACKAGES[PACKAGES.index(own) + 1 :])
        for name in imported_names(module, set()):
            if name.split(".")[0] in above:
                wrong.append(f"{module.name} imports {name}")
    assert wrong == []


def test_search_never_sees_a_backend_and_predictor_never_a_device() -> None:
    forbidden = ("profiler.backends", "profiler.runtimes", "profiler.devices")
    wrong = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.name.split(".")[0] in ("search", "predictor")
        for name in imported_names(module, set())
        if name.startswith(forbidden)
    ]
    assert wrong == []


def test_no_import_cycle_between_modules() -> None:
    known = {module.name for module in modules()}
    graph = {
        module.name: {name for name in imported_names(module, known, for_types=False) if name in known}
        for module in modules()
    }
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError(f"modules import one another in a ring: {' -> '.join(error.args[1])}") from error


def test_tests_are_not_imported_by_the_packages() -> None:
    known = {module.name for module in modules()}
    outside = {
        f"{module.name} imports {name}"
        for module in modules()
        for name in imported_names(module, known)
        if name.split(".")[0] in ("tests", "bench", "examples")
    }
    assert outside == set()


def test_help_starts_without_the_heavy_libraries() -> None:
    heavy = ("torch", "sklearn", "pandas", "scipy", "plotly", "onnx", "onnxruntime", "sqlalchemy", "pymoo")
    program = f"import sys, pocketnas.cli; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

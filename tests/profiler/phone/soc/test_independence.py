"""The law shares nothing with what learns from it: neither code nor counts of work."""

from __future__ import annotations

import ast

from tests._source import modules

_FORBIDDEN = ("predictor", "search", "pocketnas", "profiler.kernels", "profiler.table", "profiler.measure")
_COUNTS = {"cost", "macs", "operator_cost", "NetworkCost", "OperatorCost", "weight_specs", "signature", "key"}


def test_the_law_imports_nothing_of_the_predictor_and_no_counts_of_work() -> None:
    law = [module for module in modules() if module.name.startswith("profiler.phone.soc")]
    assert law
    for module in law:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith((*_FORBIDDEN, "profiler.network._")), module.name
                assert not {alias.name for alias in node.names} & _COUNTS, module.name
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith(_FORBIDDEN) for alias in node.names), module.name
            elif isinstance(node, ast.Attribute):
                assert node.attr not in _COUNTS, f"{module.name}: .{node.attr}"


def test_the_predictor_knows_no_emulated_phone() -> None:
    for module in modules():
        if module.name.split(".")[0] in ("predictor", "search") or module.name.startswith("profiler.kernels"):
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ImportFrom):
                    assert not (node.module or "").startswith("profiler.phone"), module.name

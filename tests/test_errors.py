"""Each error type that the project defines is one of ours and is raised somewhere in it."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

from profiler.errors import PocketnasError
from tests._source import PACKAGES, ROOT, modules

ERRORS = [
    kind
    for package in PACKAGES
    if (ROOT / package / "errors.py").is_file()
    for _, kind in inspect.getmembers(importlib.import_module(f"{package}.errors"), inspect.isclass)
    if kind.__module__ == f"{package}.errors"
]


def _constructed() -> set[str]:
    return {
        node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute))
    }


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_error_is_ours_and_has_a_known_exit_code(kind: type[Exception]) -> None:
    assert issubclass(kind, PocketnasError)
    assert kind.exit_code in {2, 4, 73, 75}
    assert kind.__doc__


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_error_is_raised_or_is_a_base(kind: type[Exception]) -> None:
    assert kind.__name__ in _constructed() or kind.__subclasses__(), f"nothing raises {kind.__name__}"


def test_exceptions_are_defined_in_errors_modules_only() -> None:
    """Private modules may have signals of their own, which nobody outside the package sees."""
    strays = [
        f"{module.name}.{node.name}"
        for module in modules()
        if not module.name.endswith(".errors") and not module.name.split(".")[-1].startswith("_")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).split(".")[-1].endswith(("Error", "Exception")) for base in node.bases)
    ]
    assert strays == []

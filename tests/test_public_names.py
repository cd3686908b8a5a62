"""A package's `__all__` is exactly what it offers, sorted, and every package is typed."""

from __future__ import annotations

import ast
import importlib
from types import ModuleType

import pytest

from tests._source import PACKAGES, ROOT, modules

PACKAGE_NAMES = [module.name for module in modules() if module.path.name == "__init__.py"]


@pytest.mark.parametrize("name", PACKAGE_NAMES)
def test_all_equals_the_public_names(name: str) -> None:
    package = importlib.import_module(name)
    public = {
        key for key, value in vars(package).items() if not key.startswith("_") and not isinstance(value, ModuleType)
    } - _from_elsewhere(name)
    offered = set(getattr(package, "__all__", ()))
    # What a package loads when it is first asked for is not in its namespace before.
    late = {key for key in offered if key not in vars(package) and hasattr(package, key)}
    assert offered == public | late


def _from_elsewhere(name: str) -> set[str]:
    """Names that a package imports from outside the project for its own use."""
    (module,) = (module for module in modules() if module.name == name)
    return {
        alias.asname or alias.name
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] not in PACKAGES
        for alias in node.names
    }


@pytest.mark.parametrize("name", PACKAGE_NAMES)
def test_public_names_are_documented(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__doc__, f"{name} has no docstring"
    bare = [
        key
        for key in getattr(package, "__all__", ())
        if isinstance(getattr(package, key), type) and not (getattr(package, key).__doc__ or "").strip()
    ]
    assert bare == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()

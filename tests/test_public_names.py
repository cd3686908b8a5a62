"""A package's `__all__` is exactly what it offers, sorted, and every package is typed."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from tests._source import PACKAGES, ROOT, modules

PACKAGE_NAMES = [module.name for module in modules() if module.path.name == "__init__.py"]


@pytest.mark.parametrize("name", PACKAGE_NAMES)
def test_all_equals_the_public_names(name: str) -> None:
    package = importlib.import_module(name)
    public = {
        key
        for key, value in vars(package).items()
        if not key.startswith("_") and key != "annotations" and not isinstance(value, ModuleType)
    }
    assert set(getattr(package, "__all__", ())) == public


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

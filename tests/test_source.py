"""Rules of the source itself: sizes, forbidden calls, nothing of one machine in the tree."""

from __future__ import annotations

import ast
import subprocess
from statistics import median
from typing import Any

import pytest

from tests._source import PACKAGES, ROOT, modules

FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "os.system",
    "pickle.load",
    "pickle.loads",
    "torch.load",
    "yaml.load",
    "yaml.unsafe_load",
    "joblib.load",
    "np.random.seed",
    "np.random.rand",
    "np.random.randn",
    "np.random.choice",
    "torch.manual_seed",
}


def test_module_sizes_stay_readable(record_testsuite_property: Any) -> None:
    sizes = {module.name: module.lines for module in modules()}
    for package in PACKAGES:
        lines = [size for name, size in sizes.items() if name.split(".")[0] == package]
        record_testsuite_property(f"lines_{package}", sum(lines))
    large = {name: size for name, size in sizes.items() if size >= 500}
    assert median(size for size in sizes.values() if size > 20) <= 250
    assert len(large) <= 0.1 * len(sizes), f"look for the second noun in {large}"
    assert not {name: size for name, size in large.items() if size > 800}


def test_no_call_that_runs_foreign_code_or_hides_randomness() -> None:
    wrong = [
        f"{module.path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node.func)}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS
    ]
    assert wrong == []


def test_no_shell_and_no_silent_except() -> None:
    wrong = []
    for module in modules():
        for node in ast.walk(module.tree):
            place = f"{module.path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) == "True":
                wrong.append(f"{place} shell=True")
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            ):
                wrong.append(f"{place} catches everything")
    assert wrong == []


def test_no_parking_place_modules() -> None:
    parking = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    assert [module.name for module in modules() if module.name.split(".")[-1].strip("_") in parking] == []


@pytest.mark.parametrize(
    "word", ["/ro" + "ot/", "/wo" + "rk/", "TO" + "DO", "FIX" + "ME", "raise NotImpl" + "ementedError"]
)
def test_no_unfinished_work_and_no_path_of_one_machine(word: str) -> None:
    found = subprocess.run(
        ["git", "grep", "-nI", "-F", word, "--", "*.py", "*.md", "*.toml", "*.txt", "scripts", ".ci"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""

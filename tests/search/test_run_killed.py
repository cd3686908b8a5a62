"""SIGKILL at any moment of a search with a closed loop: what is gone on with ends with the very same front."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.search import _killed
from tests.search._toy import described

ROOT = Path(__file__).parent.parent.parent
COUNTING = """
import sys
from pathlib import Path
from tests.search import _killed
seen = []
_killed.count_moments(seen.append)
_killed.looped(Path(sys.argv[1]))
print(len(seen))
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    return described(_killed.looped(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def moments(tmp_path_factory: pytest.TempPathFactory) -> int:
    folder = tmp_path_factory.mktemp("counted")
    done = subprocess.run([sys.executable, "-c", COUNTING, folder], cwd=ROOT, capture_output=True, check=True)
    return int(done.stdout)


def kill(folder: Path, counts: list[str]) -> None:
    subprocess.run([sys.executable, "-m", "tests.search._killed", folder, *counts], cwd=ROOT, check=True, timeout=300)


@pytest.mark.parametrize("count", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_points_all_over_it_the_front_is_the_same(
    tmp_path: Path, uninterrupted: str, moments: int, count: int
) -> None:
    # One point in each part of the search, at random in it.
    edges = np.linspace(0, moments, count + 1).astype(int)
    rng = np.random.default_rng(7)
    points = [str(rng.integers(*ends)) for ends in itertools.pairwise(edges)]
    kill(tmp_path, points)
    for point in points:
        assert described(_killed.looped(tmp_path / point)) == uninterrupted, f"killed at moment {point} of {moments}"


def test_killed_again_and_again_the_front_is_the_same(tmp_path: Path, uninterrupted: str) -> None:
    chain = "2+20+9+31+0+17"
    kill(tmp_path, [chain])
    assert described(_killed.looped(tmp_path / chain)) == uninterrupted

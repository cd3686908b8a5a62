from __future__ import annotations

import resource
import sys

import pytest
import torch

from search._memory import kept_memory
from search.threads import torch_threads

BYTES = 48 * 2**20
PAGES = BYTES // resource.getpagesize()


def faults_of_a_tensor() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BYTES // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has the setting")
@pytest.mark.parametrize("block", [kept_memory, lambda: torch_threads(1)])
def test_freed_memory_is_used_again_inside(block) -> None:  # type: ignore[no-untyped-def]
    with block():
        faults_of_a_tensor()
        assert min(faults_of_a_tensor() for _ in range(3)) < PAGES / 10


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone has the setting")
def test_memory_is_given_back_at_the_end() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:  # noqa: PTH123 (no file of ours)
            return int(file.read().split()[1])

    with kept_memory():
        faults_of_a_tensor()
        inside = resident()
    assert resident() < inside - PAGES / 2

"""Which cores are chosen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from profiler.backends.android import CpuCluster, affinity_mask, chosen_cores, read_facts
from profiler.errors import ConfigError

FACTS = replace(
    read_facts({}),
    cores=tuple(range(8)),
    clusters=(
        CpuCluster((7,), "Cortex-A76", 2_841_600_000, None),
        CpuCluster((4, 5, 6), "Cortex-A76", 2_419_200_000, None),
        CpuCluster((0, 1, 2, 3), "Cortex-A55", 1_785_600_000, None),
    ),
)


@pytest.mark.parametrize(
    ("threads", "cores"), [(1, (7,)), (2, (4, 7)), (4, (4, 5, 6, 7)), (5, (0, 4, 5, 6, 7)), (9, None)]
)
def test_auto_takes_the_fastest(threads: int, cores: tuple[int, ...] | None) -> None:
    assert chosen_cores("auto", threads, FACTS) == cores


def test_what_is_asked_for() -> None:
    assert chosen_cores("any", 1, FACTS) is None
    assert chosen_cores((3, 0), 2, FACTS) == (0, 3)
    assert chosen_cores("auto", 1, read_facts({})) is None
    assert chosen_cores((3,), 1, read_facts({})) == (3,)
    with pytest.raises(ConfigError, match=r"not \[9\]"):
        chosen_cores((0, 9), 1, FACTS)


def test_masks() -> None:
    assert [affinity_mask(cores) for cores in ((0,), (7,), (0, 1, 2, 3), (4, 5, 6, 7))] == ["1", "80", "f", "f0"]

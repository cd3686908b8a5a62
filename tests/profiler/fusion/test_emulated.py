"""The law of emulated phones is found again: what it joins, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from profiler.backends import open_backend
from profiler.devices import EmulatedDevice
from profiler.errors import MergedProfileError
from profiler.fusion import PAIRS, SIZES, Chain, Probe, measure_pairs, pair_protocol, profile_chains
from profiler.measure import PROTOCOLS
from profiler.phone.soc import Delegate, steps_of
from profiler.store import Store
from profiler.table import table

PIXEL4 = EmulatedDevice(name="pixel4", phone="pixel4")
MI9_GPU = EmulatedDevice(name="mi9", phone="mi9", delegate="gpu")

LONGER: tuple[Chain, ...] = (("pad", "conv2d", "relu6"), ("pad", "conv2d", "hard_swish"), ("conv2d", "relu", "add"))
TELLING: tuple[Chain, ...] = (
    ("conv2d", "relu"),
    ("conv2d", "hard_swish"),
    ("add", "relu"),
    ("conv2d", "add"),
    ("transpose", "relu"),
    ("pad", "depthwise_conv2d"),
    ("pad", "conv2d", "relu"),
)


def joined(chain: Chain, delegate: Delegate) -> str:
    """What the law itself does with the last operator of a chain."""
    whole = Probe(chain, SIZES[0]).whole
    *_, writer, _ = (operator.name for operator in whole.operators if not operator.name.startswith("twin/"))
    last = whole.operators[-1].name
    nodes = [set(step.operators) for step in steps_of(whole, delegate=delegate)]
    return "fused" if any({writer, last} <= node for node in nodes) else "apart"


def test_profiles_find_all_that_the_law_joins() -> None:
    chains = (*PAIRS, *LONGER)
    with open_backend(PIXEL4) as backend:
        found = profile_chains(backend, chains)
    assert {evidence.chain: evidence.verdict for evidence in found} == {
        chain: joined(chain, "xnnpack") for chain in chains
    }


def test_pair_tests_find_what_the_law_of_cores_joins(tmp_path: Path) -> None:
    found = _verdicts(PIXEL4, "packed", tmp_path)
    assert found == {chain: joined(chain, "xnnpack") for chain in TELLING}


@pytest.mark.slow
def test_pair_tests_find_what_the_law_of_a_gpu_joins(tmp_path: Path) -> None:
    found = _verdicts(MI9_GPU, "kernels", tmp_path)
    expected = {chain: joined(chain, "gpu") for chain in TELLING}
    assert found == expected
    assert expected["conv2d", "hard_swish"] == "fused" != joined(("conv2d", "hard_swish"), "xnnpack")


def _verdicts(device: EmulatedDevice, protocol: str, folder: Path) -> dict[Chain, str]:
    with open_backend(device) as backend, Store(folder / "store.db") as store:
        rounds = replace(pair_protocol(PROTOCOLS[protocol]), max_rounds=6)
        found = measure_pairs(backend, TELLING, rounds, store, sizes=SIZES[:1])
        assert len(table(store)) == 0, "what pair tests measure is nothing to learn from"
    assert all(evidence.shapes == 1 and evidence.a_ms and evidence.b_ms and evidence.ab_ms for evidence in found)
    return {evidence.chain: evidence.verdict for evidence in found}


def test_a_gpu_shows_no_operators() -> None:
    with open_backend(MI9_GPU) as backend, pytest.raises(MergedProfileError):
        profile_chains(backend, PAIRS[:1])

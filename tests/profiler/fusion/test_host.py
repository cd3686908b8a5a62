"""What the runtimes of this machine really do, by their profiles and by the clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from profiler.backends import open_backend
from profiler.devices import HostDevice
from profiler.fusion import PAIRS, Chain, FusionVerdict, grown, measure_pairs, pair_protocol, profile_chains
from profiler.kernels import FUSION_RULES
from profiler.measure import PROTOCOLS
from profiler.store import Store

LITERT = HostDevice(name="host")
ONNXRUNTIME = HostDevice(name="host-onnxruntime", runtime="onnxruntime")

CLAMPED_SUMS: frozenset[Chain] = frozenset((first, last) for first in ("add", "mul") for last in ("relu", "relu6"))
"""What the built-in rules of LiteRT fuse, since TFLite's XNNPACK did, and LiteRT 2.3 runs in two steps."""


PADDED: frozenset[Chain] = frozenset(
    ("pad", *chain)
    for chain in {("conv2d",), ("depthwise_conv2d",)} | FUSION_RULES["onnxruntime"].chains
    if chain[0] in ("conv2d", "depthwise_conv2d")
)
"""What ONNX Runtime joins besides its built-in rules: a pad of zeros goes into the convolution behind it."""


def profiled(device: HostDevice) -> dict[Chain, FusionVerdict]:
    found: dict[Chain, FusionVerdict] = {}
    chains = PAIRS
    with open_backend(device, wait_s=600.0) as backend:
        while chains:
            latest = {evidence.chain: evidence.verdict for evidence in profile_chains(backend, chains)}
            found |= latest
            chains = grown({chain for chain, verdict in latest.items() if verdict == "fused"}, ())
    return found


@pytest.mark.slow
def test_profiles_find_the_built_in_rules_of_onnxruntime_and_pads() -> None:
    found = profiled(ONNXRUNTIME)
    assert {chain for chain, verdict in found.items() if verdict == "fused"} == (
        FUSION_RULES["onnxruntime"].chains | PADDED
    )


@pytest.mark.slow
def test_profiles_find_the_built_in_rules_of_ncnn() -> None:
    found = profiled(HostDevice(name="host-ncnn", runtime="ncnn"))
    assert set(found.values()) == {"fused", "apart"}
    assert {chain for chain, verdict in found.items() if verdict == "fused"} == FUSION_RULES["ncnn"].chains


@pytest.mark.slow
def test_profiles_find_the_built_in_rules_of_litert_but_for_clamped_sums() -> None:
    found = profiled(LITERT)
    assert set(found.values()) == {"fused", "apart"}
    assert {chain for chain, verdict in found.items() if verdict == "fused"} == (
        FUSION_RULES["litert"].chains - CLAMPED_SUMS
    )


@pytest.mark.slow
def test_the_clock_agrees_with_the_profile(tmp_path: Path) -> None:
    chains: tuple[Chain, ...] = (
        ("dense", "relu"), ("avg_pool2d", "relu"), ("add", "relu"), ("mul", "relu6"), ("add", "sigmoid"),
        ("concat", "relu"), ("pad", "depthwise_conv2d"), ("conv2d", "add"),
    )  # fmt: skip
    protocol = replace(pair_protocol(PROTOCOLS["kernels"]), suppress=("LOAD",))
    with open_backend(LITERT, wait_s=600.0) as backend, Store(tmp_path / "store.db") as store:
        by_profile = profile_chains(backend, chains)
        by_clock = measure_pairs(backend, chains, protocol, store)
    told = [(profile.verdict, clock.verdict) for profile, clock in zip(by_profile, by_clock, strict=True)]
    assert not {("fused", "apart"), ("apart", "fused")} & set(told)
    # A busy machine may leave some open, never most.
    assert sum(profile == clock for profile, clock in told) >= len(chains) // 2

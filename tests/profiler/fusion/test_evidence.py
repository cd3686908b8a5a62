from typing import Any

import pytest
from pydantic import ValidationError

from profiler.fusion import Chain, FusionEvidence, FusionFindings, rules_from
from profiler.kernels import FUSION_RULES

BUILT_IN = FUSION_RULES["litert"].chains


def findings(*evidence: FusionEvidence, runtime: str = "litert") -> FusionFindings:
    return FusionFindings(
        device="host", source="measured", runtime=runtime, runtime_version="2.3.0", accelerator="xnnpack",
        processor="cpu", evidence=evidence,
    )  # fmt: skip


def told(chain: str, verdict: Any, how: Any = "pair test") -> FusionEvidence:
    return FusionEvidence(chain=tuple(chain.split("+")), how=how, verdict=verdict)


def test_without_evidence_the_built_in_rules_stand() -> None:
    assert findings().rules == FUSION_RULES["litert"]
    assert findings(runtime="a new one").rules.chains == frozenset()


def test_evidence_comes_before_the_built_in_rules() -> None:
    found = findings(told("add+relu", "apart"), told("conv2d+hard_swish", "fused"), told("mul+relu", "unclear"))
    assert found.rules.chains == (BUILT_IN - {("add", "relu")}) | {("conv2d", "hard_swish")}
    assert [chain.agrees for chain in found.chains] == [False, False, True]
    assert found.chains[2].how == "unclear: built-in rule"


def test_a_chain_whose_beginning_is_apart_goes_with_it() -> None:
    found = findings(told("pad+conv2d", "apart"))
    assert ("pad", "conv2d", "relu") in BUILT_IN
    assert found.rules.chains == BUILT_IN - {chain for chain in BUILT_IN if chain[:2] == ("pad", "conv2d")}


@pytest.mark.parametrize(
    ("profile", "pair", "verdict", "contradicted"),
    [
        ("fused", "apart", "fused", True),
        ("apart", "fused", "apart", True),
        ("unclear", "fused", "fused", False),
        ("apart", "unclear", "apart", False),
        ("unclear", "unclear", "unclear", False),
    ],
)
def test_the_profile_is_trusted_first(profile: str, pair: str, verdict: str, contradicted: bool) -> None:
    (chain,) = findings(told("add+relu", pair), told("add+relu", profile, "operator profile")).chains
    assert (chain.verdict, chain.contradicted) == (verdict, contradicted)


def test_later_evidence_of_the_same_kind_replaces_the_earlier() -> None:
    found = findings(told("add+relu", "apart"), told("mul+relu", "fused"))
    later = found.with_evidence([told("add+relu", "fused"), told("add+relu", "apart", "operator profile")])
    assert [(each.chain[0], each.how, each.verdict) for each in later.evidence] == [
        ("add", "pair test", "fused"),
        ("mul", "pair test", "fused"),
        ("add", "operator profile", "apart"),
    ]


def test_every_beginning_of_a_found_chain_is_a_chain() -> None:
    fused: dict[Chain, bool] = {("a", "b", "c"): True, ("d", "e"): True, ("d", "e", "f"): True}
    assert rules_from(frozenset(), fused).chains == {("d", "e"), ("d", "e", "f")}


@pytest.mark.parametrize(
    "wrong",
    [
        {"chain": ("conv2d",)},
        {"chain": ("conv2d", "no_such_operator")},
        {"chain": ("conv2d", "__import__('os')")},
        {"verdict": "maybe"},
        {"a_ms": 0.0},
        {"a_ms": float("nan")},
        {"ab_ms": float("inf")},
        {"saved": 0.5},
        {"saved": 0.5, "saved_low": 0.6, "saved_high": 0.7},
        {"call_ms": -1.0},
        {"shapes": -1},
        {"extra": 1},
    ],
    ids=str,
)
def test_evidence_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"chain": ("add", "relu"), "how": "pair test", "verdict": "fused"}
    with pytest.raises(ValidationError):
        FusionEvidence(**fields | wrong)

"""What was found of a runtime's fusion on a device: evidence a chain of operators, and the rules that follow.

The built-in rules of a runtime are the prior: they stand where nothing was tested or tests told nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from profiler.kernels import FUSION_RULES, FusionRules
from profiler.measure.records import Configuration
from profiler.network import OPERATOR_KINDS
from profiler.workload import Dtype, Source

Chain = tuple[str, ...]
"""Kinds of operators in execution order, each reading the one before it."""

FusionVerdict = Literal["fused", "apart", "unclear"]

How = Literal["operator profile", "pair test"]
"""By the rows of the runtime's own profile, or by the latencies of the parts and of the whole."""

_Kind = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
_Text = Annotated[str, Field(max_length=400)]
_LatencyMs = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FusionEvidence(_Record):
    """What one way of looking says of one chain: whether its last operator joins those before it.

    Attributes:
        chain: Kinds of the operators, at least two.
        how: Where it comes from.
        verdict: "fused", "apart", or "unclear" where the figures allow both.
        a_ms: Latency of all but the last operator, mean over the shapes; None where no shape could be used, or
            an operator is too short for the profiler.
        b_ms: The same of the last operator alone.
        ab_ms: The same of the whole chain.
        call_ms: Latency of a call that computes next to nothing, which `a_ms` and `b_ms` both hold; 0 in profiles.
        saved: Share of the shorter part's latency, less a call, that the chain saves: about 1 when fused and 0 when
            apart; None in the evidence of a profile.
        saved_low: Lower end of its 95 % interval.
        saved_high: Upper end.
        shapes: On how many shapes it was seen.
        detail: What a person should know of it, such as the rows of a profile.
    """

    chain: Annotated[tuple[_Kind, ...], Field(min_length=2, max_length=8)]
    how: How
    verdict: FusionVerdict
    a_ms: _LatencyMs | None = None
    b_ms: _LatencyMs | None = None
    ab_ms: _LatencyMs | None = None
    call_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    saved: _Share | None = None
    saved_low: _Share | None = None
    saved_high: _Share | None = None
    shapes: Annotated[int, Field(ge=0)] = 0
    detail: _Text = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        unknown = sorted(set(self.chain) - OPERATOR_KINDS.keys())
        if unknown:
            raise ValueError(f"unknown operator kind {unknown[0]!r}")
        share = (self.saved_low, self.saved, self.saved_high)
        if None in share and share != (None, None, None):
            raise ValueError("saved, saved_low and saved_high are given together or not at all")
        known = [value for value in share if value is not None]
        if known != sorted(known):
            raise ValueError("saved is outside its interval")
        return self


@dataclass(frozen=True)
class ChainFinding:
    """What all evidence of one chain together says.

    Attributes:
        chain: Kinds of the operators.
        verdict: What the evidence says; of two ways that disagree, what the profile says, which sees the operators
            themselves where the pair test sees latencies.
        evidence: All there is of the chain.
        built_in: Whether the runtime's built-in rules fuse it.
    """

    chain: Chain
    verdict: FusionVerdict
    evidence: tuple[FusionEvidence, ...]
    built_in: bool

    @property
    def fused(self) -> bool:
        """Whether to take it as fused: by its verdict, or by the built-in rule where that is unclear."""
        return self.built_in if self.verdict == "unclear" else self.verdict == "fused"

    @property
    def how(self) -> str:
        """How it was found, for a person."""
        telling = [found.how for found in self.evidence if found.verdict != "unclear"]
        return " and ".join(sorted(set(telling))) or "unclear: built-in rule"

    @property
    def contradicted(self) -> bool:
        """Whether one way of looking says fused and another apart."""
        return {"fused", "apart"} <= {found.verdict for found in self.evidence}

    @property
    def agrees(self) -> bool:
        """Whether it is what the built-in rules say."""
        return self.fused == self.built_in


class FusionFindings(_Record):
    """All evidence of one configuration: a device, its runtime, and a numeric type.

    Attributes:
        device: Name of the device.
        source: Whether its latencies are measured or emulated.
        runtime: Name of the runtime.
        runtime_version: Its version.
        accelerator: Delegate or execution provider.
        processor: Name of the processor.
        dtype: Numeric type of the operators.
        evidence: One entry a chain and way of looking, the latest of each.
    """

    device: _Text
    source: Source
    runtime: _Text
    runtime_version: _Text
    accelerator: _Text
    processor: _Text
    dtype: Dtype = "float32"
    evidence: tuple[FusionEvidence, ...] = ()

    @property
    def chains(self) -> tuple[ChainFinding, ...]:
        """What was found of each chain, in the order of the evidence."""
        built_in = self.built_in
        by_chain: defaultdict[Chain, list[FusionEvidence]] = defaultdict(list)
        for found in self.evidence:
            by_chain[found.chain].append(found)
        return tuple(
            ChainFinding(chain, _verdict(evidence), tuple(evidence), chain in built_in)
            for chain, evidence in by_chain.items()
        )

    @property
    def built_in(self) -> frozenset[Chain]:
        """Chains that the runtime's built-in rules fuse."""
        return _built_in(self.runtime)

    @property
    def rules(self) -> FusionRules:
        """The built-in rules of the runtime, corrected by what was found."""
        return rules_from(self.built_in, {found.chain: found.fused for found in self.chains})

    def with_evidence(self, evidence: Sequence[FusionEvidence]) -> FusionFindings:
        """Return the findings with more evidence, which replaces what is there of the same chain and way."""
        latest = {(found.chain, found.how): found for found in (*self.evidence, *evidence)}
        return self.model_copy(update={"evidence": tuple(latest.values())})


@dataclass(frozen=True)
class FusionRecord:
    """What a store keeps of fusion on one configuration in one numeric type.

    Attributes:
        configuration: On what it was found.
        dtype: Numeric type of the operators.
        evidence: One entry a chain and way of looking.
    """

    configuration: Configuration
    dtype: Dtype
    evidence: tuple[FusionEvidence, ...]

    @property
    def findings(self) -> FusionFindings:
        """The same for reading."""
        facts = self.configuration.facts
        return FusionFindings(
            device=self.configuration.device,
            source=self.configuration.source,
            runtime=facts.runtime,
            runtime_version=facts.runtime_version,
            accelerator=facts.accelerator,
            processor=facts.processor,
            dtype=self.dtype,
            evidence=self.evidence,
        )


def rules_from(built_in: frozenset[Chain], fused: Mapping[Chain, bool]) -> FusionRules:
    """Return rules in which what was found comes before what is built in.

    Args:
        built_in: Chains that are fused where nothing else is known.
        fused: What was found, by chain.

    Returns:
        Rules in which every beginning of a chain is a chain: one whose beginning is apart is left out, too.
    """
    kept: set[Chain] = set()
    for chain in sorted(built_in | fused.keys(), key=len):
        if fused.get(chain, chain in built_in) and (len(chain) == 2 or chain[:-1] in kept):
            kept.add(chain)
    return FusionRules(frozenset(kept))


def _built_in(runtime: str) -> frozenset[Chain]:
    rules = FUSION_RULES.get(runtime)
    return rules.chains if rules else frozenset()


def _verdict(evidence: Sequence[FusionEvidence]) -> FusionVerdict:
    by_trust = sorted(evidence, key=lambda found: found.how == "pair test")
    return next((found.verdict for found in by_trust if found.verdict != "unclear"), "unclear")

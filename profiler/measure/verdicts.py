"""Verdicts: whether a measurement may be relied on, and why not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from profiler.measure.protocol import Protocol
from profiler.measure.records import Block
from profiler.measure.statistics import MIN_BLOCKS, Interval

Verdict = Literal["VALID", "SEMI_VALID", "INVALID"]
"""VALID keeps to its protocol, SEMI_VALID is usable but less certain, INVALID must not be used.

Source: the three verdicts of the MLPerf Mobile app.
"""

_BAD_BLOCK_LIMIT = 3
"""Rejected blocks after which a workload is given up: once is chance, three times is the workload."""

_WARMUP_LIMIT = 0.25
"""Share of slow first runs above which they would move the median; below, it passes over them."""


@dataclass(frozen=True)
class Reason:
    """One remark on a measurement.

    Attributes:
        id: All-caps name.
        detail: What was found.
        lowers_to: The best verdict that this allows.
    """

    id: str
    detail: str
    lowers_to: Verdict

    def __str__(self) -> str:
        """The remark in one line, as it stands in a table."""
        return f"{self.id}: {self.detail}"


@dataclass(frozen=True)
class Evidence:
    """What a verdict is made from.

    Attributes:
        protocol: How the workload was to be measured.
        blocks: All its blocks.
        good_blocks: How many of them have latencies of the kind that the estimate is of.
        used_blocks: How many of those the estimate uses.
        calm_blocks: How many of those ran in calm moments.
        interval: The estimate in ms; None when there is none.
        warmup_share: Share of the timed runs that were still a warm-up.
    """

    protocol: Protocol
    blocks: tuple[Block, ...]
    good_blocks: int
    used_blocks: int
    calm_blocks: int
    interval: Interval | None
    warmup_share: float = 0.0

    @property
    def missing(self) -> tuple[Reason, ...]:
        """What further rounds may mend: too few blocks, runs or seconds, or an interval too wide."""
        return tuple(_missing(self))


def judge(evidence: Evidence) -> tuple[Verdict, tuple[Reason, ...]]:
    """Return the verdict and all remarks, the gravest first."""
    reasons = [*_fatal(evidence), *evidence.missing, *_rejected(evidence), *_warmup(evidence), *_conditions(evidence)]
    ranks: tuple[Verdict, ...] = ("INVALID", "SEMI_VALID", "VALID")
    reasons.sort(key=lambda reason: ranks.index(reason.lowers_to))
    return (reasons[0].lowers_to if reasons else "VALID"), tuple(reasons)


def given_up(blocks: Sequence[Block]) -> bool:
    """Return whether a workload failed, or gave impossible latencies too often, to be tried further."""
    rejected = sum(block.status == "rejected" for block in blocks)
    return rejected >= _BAD_BLOCK_LIMIT or any(block.status == "failed" for block in blocks)


def timed_seconds(blocks: Sequence[Block]) -> float:
    """Return the sum of all timed runs in seconds."""
    return sum(block.timed_seconds for block in blocks)


def _fatal(evidence: Evidence) -> Iterator[Reason]:
    failed = [block for block in evidence.blocks if block.status == "failed"]
    if failed:
        id_, _, detail = failed[0].reason.partition(": ")
        yield Reason(id_, detail, "INVALID")
    elif not evidence.blocks:
        yield Reason("NOT-MEASURED", "the campaign ended before the first block", "INVALID")
    elif not evidence.used_blocks or given_up(evidence.blocks):
        rejected = [block for block in evidence.blocks if block.status == "rejected"]
        yield Reason("BAD-BLOCKS", f"{len(rejected)} rejected; {rejected[0].reason}", "INVALID")
    elif evidence.interval is None:
        yield Reason("ONE-MEAN", "one block, of which the tool told no single runs: it has no interval", "INVALID")


def _missing(evidence: Evidence) -> Iterator[Reason]:
    protocol = evidence.protocol
    if not evidence.used_blocks:
        return
    wanted = max(protocol.rounds, MIN_BLOCKS)
    if evidence.good_blocks < wanted:
        detail = f"{evidence.good_blocks} blocks; an interval of 95 % by this protocol needs {wanted}"
        yield Reason("FEW-BLOCKS", detail, "SEMI_VALID")
    elif evidence.calm_blocks < protocol.rounds:
        detail = (
            f"{evidence.calm_blocks} of {evidence.used_blocks} blocks ran in calm moments; {protocol.rounds} wanted"
        )
        yield Reason("DISTURBED", detail, "SEMI_VALID")
    runs = sum(block.runs for block in evidence.blocks)
    seconds = timed_seconds(evidence.blocks)
    if runs < protocol.least_runs:
        yield Reason("FEW-RUNS", f"{runs} runs of at least {protocol.least_runs}", "SEMI_VALID")
    if seconds < protocol.least_seconds:
        yield Reason("SHORT", f"{seconds:.3g} s of at least {protocol.least_seconds:g} s timed", "SEMI_VALID")
    if evidence.interval is None:
        return
    width, target = evidence.interval.relative_half_width, protocol.target_relative_half_width
    if width > target:
        yield Reason("TARGET-MISSED", f"interval of +-{width:.1%} where +-{target:.1%} is wanted", "SEMI_VALID")


def _rejected(evidence: Evidence) -> Iterator[Reason]:
    rejected = [block for block in evidence.blocks if block.status == "rejected"]
    if rejected and evidence.used_blocks and not given_up(evidence.blocks):
        detail = f"{len(rejected)} of {len(evidence.blocks)} blocks rejected; {rejected[0].reason}"
        yield Reason("BAD-BLOCKS", detail, "SEMI_VALID")


def _warmup(evidence: Evidence) -> Iterator[Reason]:
    if evidence.warmup_share > _WARMUP_LIMIT:
        detail = f"the first {evidence.warmup_share:.0%} of each block's runs are slower; raise the warm-up runs"
        yield Reason("WARM-UP", detail, "SEMI_VALID")


def _conditions(evidence: Evidence) -> Iterator[Reason]:
    found = {check.id: check for block in evidence.blocks for check in block.checks}
    for id_, check in sorted(found.items()):
        known = not check.suppressible or id_ in evidence.protocol.suppress
        yield Reason(id_, check.detail, "VALID" if known else "SEMI_VALID")

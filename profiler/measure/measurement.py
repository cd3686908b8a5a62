"""From stored blocks to what is known of a workload: drift corrected, estimated, judged."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from profiler.measure.records import Block, CampaignRecord, Way, WorkloadRecord
from profiler.measure.references import CALM, reference_level, slowdown
from profiler.measure.statistics import (
    MIN_BLOCKS,
    Interval,
    block_interval,
    early_stopping_p90,
    median_absolute_deviation,
    outliers,
    warmup_length,
)
from profiler.measure.verdicts import Evidence, Reason, Verdict, judge

Levels = Mapping[Way, tuple[float, ...]]
"""Usual latency of each reference kernel, in ms, for each way of measuring."""

_MIN_RUNS_FOR_WARMUP = 8


@dataclass(frozen=True)
class CorrectedBlock:
    """A block with latencies, and what the references beside it say.

    Attributes:
        block: The raw block.
        slowdown: Of the slower side of the two; 1 for usual, and when there is no reading.
        scale: Factor that brings the block's latencies to the device's usual speed.
    """

    block: Block
    slowdown: float
    scale: float

    @cached_property
    def samples_ms(self) -> npt.NDArray[np.float64]:
        """Latencies at the device's usual speed. Shape: (n_runs,)."""
        return np.asarray(self.block.samples_ms) * self.scale

    @cached_property
    def median_ms(self) -> float:
        """Median latency at the device's usual speed."""
        return float(np.median(self.samples_ms))


@dataclass(frozen=True)
class Measurement:
    """What a campaign found about one workload, with all that it was found from.

    Attributes:
        campaign: On what, how and when.
        workload: What was measured.
        blocks: Every block of it, as measured: raw samples, reference readings, checks.
        used: The blocks that the estimate is made from, drift corrected, in order of measuring.
        levels: The references' usual latencies that the correction goes to.
        interval: Latency and its 95 % interval in ms; None when there is no usable block.
        verdict: VALID, SEMI_VALID or INVALID.
        reasons: Why it is no better; also conditions that the user suppressed or cannot suppress.
        missing: Those of the reasons that further rounds may mend.
    """

    campaign: CampaignRecord
    workload: WorkloadRecord
    blocks: tuple[Block, ...]
    used: tuple[CorrectedBlock, ...]
    levels: Levels
    interval: Interval | None
    verdict: Verdict
    reasons: tuple[Reason, ...]
    missing: tuple[Reason, ...]

    @property
    def block_medians_ms(self) -> npt.NDArray[np.float64]:
        """Corrected median of each used block, what two measurements are compared by. Shape: (n_used,)."""
        return np.array([block.median_ms for block in self.used])

    @cached_property
    def samples_ms(self) -> npt.NDArray[np.float64]:
        """Corrected latencies of the single runs of all used blocks; empty where a tool told none. Shape: (n,)."""
        single = [block.samples_ms for block in self.used if block.block.runs_per_sample == 1]
        return np.concatenate(single) if single else np.empty(0)

    @property
    def runs(self) -> int:
        """How many timed runs the used blocks have, told one by one or not."""
        return sum(block.block.runs for block in self.used)

    @property
    def median_ms(self) -> float:
        """The latency; NaN when there is none."""
        return self.interval.value if self.interval else math.nan

    @property
    def low_ms(self) -> float:
        """Lower end of the 95 % interval; NaN when there is none."""
        return self.interval.low if self.interval else math.nan

    @property
    def high_ms(self) -> float:
        """Upper end of the 95 % interval; NaN when there is none."""
        return self.interval.high if self.interval else math.nan

    @property
    def mad_ms(self) -> float:
        """Median absolute deviation of the single runs; NaN when there are none."""
        return median_absolute_deviation(self.samples_ms) if len(self.samples_ms) else math.nan

    @property
    def p90_ms(self) -> float:
        """Upper estimate of the 90th percentile of single runs; NaN below 64 of them."""
        return early_stopping_p90(self.samples_ms) if len(self.samples_ms) else math.nan

    @property
    def outlier_count(self) -> int:
        """How many of the single runs are far out; they stay in."""
        return int(outliers(self.samples_ms).sum()) if len(self.samples_ms) else 0

    @property
    def protocol_label(self) -> str:
        """The protocol's key, with the ids of the conditions that the user suppressed in front."""
        found = {check.id for block in self.blocks for check in block.checks}
        suppressed = sorted(found & set(self.campaign.protocol.suppress))
        return "_".join([*suppressed, self.campaign.protocol.key])

    @property
    def measured_at(self) -> str:
        """When the last block ran: ISO 8601, UTC, to the second; the campaign's start when none did."""
        last = max((block.started_unix_s for block in self.blocks), default=self.campaign.created_unix_s)
        return datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds")


def estimate(
    campaign: CampaignRecord, workload: WorkloadRecord, blocks: Sequence[Block], levels: Levels
) -> Measurement:
    """Correct a workload's blocks for drift, estimate its latency and judge the result.

    Args:
        campaign: The campaign that the blocks are of.
        workload: The workload that the blocks are of.
        blocks: All its blocks in order; may be empty.
        levels: Usual latency of each reference kernel.

    Returns:
        The measurement; the same rows always give the same one.
    """
    good = _of_one_way([block for block in blocks if block.status == "ok"])
    used = _calmest(correct(block, levels) for block in good)
    interval = None
    if len(used) == 1 and used[0].block.runs_per_sample == 1:
        interval = block_interval(used[0].samples_ms, _rng(campaign, workload))
    elif len(used) > 1:
        interval = block_interval([block.median_ms for block in used], _rng(campaign, workload))
    evidence = Evidence(
        protocol=campaign.protocol,
        blocks=tuple(blocks),
        good_blocks=len(good),
        used_blocks=len(used),
        calm_blocks=sum(block.slowdown <= CALM for block in used),
        interval=interval,
        warmup_share=_warmup_share(used),
    )
    verdict, reasons = judge(evidence)
    return Measurement(campaign, workload, tuple(blocks), used, levels, interval, verdict, reasons, evidence.missing)


def levels_of(blocks: Iterable[Block]) -> Levels:
    """Return the usual latency of each reference kernel over the given blocks, by the way of measuring."""
    readings: defaultdict[Way, list[tuple[float, ...]]] = defaultdict(list)
    for block in blocks:
        readings[block.way] += (block.before_ms, block.after_ms)
    return {way: reference_level(found) for way, found in readings.items()}


def correct(block: Block, levels: Levels) -> CorrectedBlock:
    """Return a block with its slowdown and the factor that takes it to the usual speed."""
    sides = [slowdown(reading, levels[block.way]) for reading in (block.before_ms, block.after_ms) if reading]
    if not sides:
        return CorrectedBlock(block, slowdown=1.0, scale=1.0)
    return CorrectedBlock(block, slowdown=max(sides), scale=1.0 / math.exp(np.log(sides).mean()))


def _of_one_way(blocks: list[Block]) -> list[Block]:
    """Keep the whole calls of a workload that packs could not always tell: the two are not the same latency."""
    return [block for block in blocks if block.way == "alone"] or blocks


def _calmest(blocks: Iterable[CorrectedBlock]) -> tuple[CorrectedBlock, ...]:
    """Keep the calm blocks; when they are few, the calmest ones up to the number that an interval needs.

    The choice looks at the references alone and never at the workload's own latencies, so it does not
    favour the low ones among them.
    """
    ordered = sorted(blocks, key=lambda block: block.slowdown)
    calm = sum(block.slowdown <= CALM for block in ordered)
    return tuple(sorted(ordered[: max(calm, MIN_BLOCKS)], key=lambda block: block.block.round))


def _warmup_share(used: Sequence[CorrectedBlock]) -> float:
    """Return the share of the blocks' runs that look like a warm-up; 0 where blocks are too short to tell."""
    runs = min((len(block.samples_ms) for block in used), default=0)
    if runs < _MIN_RUNS_FOR_WARMUP:
        return 0.0
    return warmup_length(np.array([block.samples_ms[:runs] for block in used])) / runs


def _rng(campaign: CampaignRecord, workload: WorkloadRecord) -> np.random.Generator:
    """Return a generator that depends on the campaign's seed and the workload, not on the order of work."""
    digest = hashlib.sha256(workload.key.encode()).digest()
    return np.random.default_rng([campaign.protocol.seed, int.from_bytes(digest[:8], "little")])

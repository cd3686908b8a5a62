"""Whether two parts run as one, by the latencies of the parts and of the whole: arithmetic of intervals only.

Apart, a chain takes its two parts less the one call that both hold; fused, it takes little more than the longer
part. So what it saves, as a share of the shorter part, is near 0 or near 1, and the question is on which side of one
half it is. nn-Meter asks the same of single values, and takes no call off; here the interval has to be on one side.

Source: Zhang et al. 2021, "nn-Meter", section 4.1 (fused when A + B - AB exceeds half the shorter of the two).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from profiler.fusion.evidence import FusionVerdict
from profiler.measure.statistics import Interval

LEAST_RELATIVE_HALF_WIDTH = 0.01
"""Least that a latency is uncertain by: blocks of one campaign share luck that their spread does not show, such as
where a workload's memory lies (kernels measured twice differ by 0.7 % in the median, bench/repeatability.py)."""

_HALF = 0.5


@dataclass(frozen=True)
class PairTimes:
    """Latencies of a chain on one shape, in ms.

    Attributes:
        a: All but the last operator.
        b: The last operator alone.
        ab: The whole.
        call: A call that computes next to nothing; None where latencies hold no call, as those of profiles.
    """

    a: Interval
    b: Interval
    ab: Interval
    call: Interval | None = None

    @property
    def call_ms(self) -> float:
        """Latency of the call; 0 where there is none."""
        return self.call.value if self.call else 0.0

    @property
    def shorter_ms(self) -> float:
        """Latency of the shorter part without its call."""
        return min(self.a.value, self.b.value) - self.call_ms

    @property
    def saved_ms(self) -> float:
        """What the whole takes less than its parts one after the other."""
        return self.a.value + self.b.value - self.ab.value - self.call_ms


@dataclass(frozen=True)
class Saved:
    """What a chain saves, as a share of its shorter part.

    Attributes:
        value: The share.
        low: Lower end of its 95 % interval.
        high: Upper end.
        verdict: "fused" when all of the interval is above one half, "apart" when all of it is below.
    """

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> FusionVerdict:
        if self.low > _HALF:
            return "fused"
        return "apart" if self.high < _HALF else "unclear"


def saved_share(times: Sequence[PairTimes]) -> Saved | None:
    """Return what a chain saves, over several shapes.

    Shapes count by how narrow their intervals are. Where they differ by more than their intervals explain, the
    common interval is as much wider (the Birge ratio), so that one odd shape ends as "unclear".

    Args:
        times: The latencies on each shape.

    Returns:
        The share; None where no shape has a shorter part that takes longer than a call.

    Source: Zou & Donner 2008 for the interval of a sum from intervals of its terms; Birge 1932.
    """
    shares = [_share(found) for found in times if found.shorter_ms > 0]
    if not shares:
        return None
    weights = [1.0 / half_width**2 for _, half_width in shares]
    total = math.fsum(weights)
    value = math.fsum(weight * share for weight, (share, _) in zip(weights, shares, strict=True)) / total
    spread = math.fsum(((share - value) / half_width) ** 2 for share, half_width in shares)
    birge = math.sqrt(max(spread / max(len(shares) - 1, 1), 1.0))
    half_width = birge / math.sqrt(total)
    return Saved(value, value - half_width, value + half_width)


def _share(times: PairTimes) -> tuple[float, float]:
    """Return the share on one shape and half the width of its interval near one half.

    There `saved - shorter / 2` is 0, and its interval is that of a sum: half of the shorter part, all of the longer
    one, less the whole, less half a call.
    """
    shorter, longer = sorted((times.a, times.b), key=lambda part: part.value)
    terms = [_HALF * _half_width(shorter), _half_width(longer), _half_width(times.ab)]
    if times.call:
        terms.append(_HALF * _half_width(times.call))
    return times.saved_ms / times.shorter_ms, math.hypot(*terms) / times.shorter_ms


def _half_width(latency: Interval) -> float:
    wider = max(latency.high - latency.value, latency.value - latency.low)
    return max(wider, LEAST_RELATIVE_HALF_WIDTH * latency.value)

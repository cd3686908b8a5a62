"""Which fusion rules a predictor goes by: those found on its device, or those known of its runtime."""

from __future__ import annotations

from predictor._card import FusionCard
from predictor.errors import TrainingRowsError
from profiler.kernels import FUSION_RULES, FusionRules


def fusion_of(runtime: str, rules: FusionRules | None) -> FusionCard:
    """Return what is taken to be one kernel, and why.

    Args:
        runtime: Runtime of the rows.
        rules: Rules found on the device; None for those of the runtime.

    Raises:
        TrainingRowsError: No rules are given and none are known of the runtime.
    """
    if rules is not None:
        return FusionCard.of(rules, "evidence")
    known = FUSION_RULES.get(runtime)
    if known is None:
        raise TrainingRowsError(
            f"{runtime!r} has no fusion rules; known are {', '.join(FUSION_RULES)}", column="runtime"
        )
    return FusionCard.of(known, "rules")

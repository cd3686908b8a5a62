"""Reads the two kinds of line that carry a run's timings: a stage's statistics, and the summary.

count=50 first=78210 curr=76400 min=76400 max=78210 avg=76587.9 std=315
Inference timings in us: Init: 17303, First inference: 98496, Warmup (avg): 79882.4, Inference (avg): 76587.9
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from profiler.tool_outputs._figures import count, figure

_STAGE = "count="
_SUMMARY = "nference timings in us:"
_ALL_SAME = "(all same)"
"""What stands behind `curr`, in place of the other figures, where each run took the same whole microseconds."""
# Lines of the same form that close an operator table: they are no runs.
_NO_STAGE = ("(microseconds)", "(bytes)")
_LABELS: Final = {
    "Init": "init",
    "First inference": "first",
    "Warmup (avg)": "warmup_avg",
    "Warmup": "warmup_avg",
    "Inference (avg)": "inference_avg",
    "Inference": "inference_avg",
    "no stats": "inference_avg",
    "with stats": "profiled_avg",
}
# Six significant digits are printed; TensorFlow of 2017 cuts the fraction off.
_SHARE, _CUT_US = 1e-5, 1.0


@dataclass(frozen=True)
class Stage:
    """Statistics of the warm-up or of the runs.

    Attributes:
        count: Runs.
        figures_us: Figures by the tool's names of them: curr, and first, min, max, avg, std if there was more than one
            run, and p5, median, p95 since 2026.
        texts: The figures as printed.
    """

    count: int
    figures_us: dict[str, float]
    texts: dict[str, str]

    def get(self, name: str) -> float | None:
        """Return a figure by the tool's name of it, in us."""
        return self.figures_us.get(name)

    def averages(self, average_us: float | None) -> bool:
        """Whether an average, in us, is this stage's; a stage of one run prints it as `curr` only."""
        own_us = self.get("avg") or (self.get("curr") if self.count == 1 else None)
        if own_us is None or average_us is None:
            return False
        return abs(own_us - average_us) <= max(own_us * _SHARE, _CUT_US)


@dataclass(frozen=True)
class Summary:
    """The line that a run ends with.

    Attributes:
        figures_us: Figures by our names: init, first, warmup_avg, inference_avg, profiled_avg; None where the tool
            printed no number, as for the warm-up of a run without one.
        last: Our name of the last one on the line.
        last_text: The last one as printed.
    """

    figures_us: dict[str, float | None]
    last: str | None
    last_text: str

    def get(self, name: str) -> float | None:
        """Return a figure by our name of it, in us."""
        return self.figures_us.get(name)


def read_stage(text: str) -> Stage | None:
    """Return the statistics that a line holds; None when it holds none or not only."""
    at = text.rfind(_STAGE)
    if at < 0 or (at and not text[at - 1].isspace()) or any(mark in text[:at] for mark in _NO_STAGE):
        return None
    same = _ALL_SAME in text
    pairs = [token.split("=", 1) for token in text[at:].replace(_ALL_SAME, "").split()]
    if any(len(pair) != 2 for pair in pairs):
        return None
    (_, runs), *rest = pairs
    runs_made = count(runs)
    texts = dict(rest)
    figures = {name: value for name, text_ in rest if (value := figure(text_)) is not None}
    if not runs_made or len(figures) != len(rest) or not {"curr", "avg"} & figures.keys() or figures.get("avg") == 0:
        return None
    if same and "curr" in figures:
        for name in ("first", "min", "max", "avg"):
            figures.setdefault(name, figures["curr"])
            texts.setdefault(name, texts["curr"])
    return Stage(runs_made, figures, texts)


def read_summary(text: str) -> Summary | None:
    """Return the figures of a summary line; None when it is none or does not match whole."""
    _, mark, rest = text.partition(_SUMMARY)
    if not mark:
        return None
    figures: dict[str, float | None] = {}
    label, value = "", ""
    for part in rest.rstrip("` ").split(","):
        label, _, value = (piece.strip() for piece in part.rpartition(":"))
        microseconds = figure(value)
        if not label or label in figures or (microseconds is None and value.lstrip("-") not in ("nan", "inf")):
            return None
        name = _LABELS.get(label, label)
        if name in figures:
            return None
        # No network runs in no time: a printed 0 is the mean of nothing.
        figures[name] = None if microseconds == 0 and name.endswith("_avg") else microseconds
    return Summary(figures, _LABELS.get(label), value)

"""Owns how a predicted latency, the kernels behind it and what they wait for are shown on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pocketnas.cli._screen import Screen, table

if TYPE_CHECKING:
    from pocketnas.explanation import ExplainedKernel
    from predictor import Prediction

_SHOWN_KERNELS = 8
_NAMED_UNKNOWNS = 3


def show_prediction(screen: Screen, model: str, prediction: Prediction, learnt_from: str, label: str) -> None:
    """Show the latency with its interval and whose it is, and warn where it is rough."""
    interval = f"{prediction.low_ms:.4g} to {prediction.high_ms:.4g}"
    device = f"{prediction.device} (emulated)" if learnt_from == "emulated" else prediction.device
    where = f"{device}, {prediction.runtime}, {prediction.threads} thread(s), {prediction.dtype}"
    screen.show(
        f"{model}: {prediction.latency_ms:.4g} ms predicted ({interval}) on {where}" + (f"; {label}" if label else "")
    )
    if prediction.out_of_domain:
        named = "; ".join(prediction.out_of_domain[:_NAMED_UNKNOWNS])
        more = len(prediction.out_of_domain) - _NAMED_UNKNOWNS
        screen.warn(
            f"{model}: out of domain, so the number is rough; nothing like these kernels was measured: {named}"
            + (f" and {more} more (--json names all)" if more > 0 else "")
        )


def show_kernels(screen: Screen, kernels: Sequence[ExplainedKernel]) -> None:
    """Show the largest kernels with their parts, what they wait for, and what their latencies rest on."""
    from pocketnas.explanation import EVIDENCE

    largest = sorted(kernels, key=lambda kernel: -kernel.amounts.latency_ms)[:_SHOWN_KERNELS]
    # Where all kernels are like measured ones, a column that says nothing would only narrow the others.
    doubtful = any(EVIDENCE[kernel.evidence] for kernel in largest)
    rows = [
        [
            kernel.amounts.kernel,
            f"{kernel.amounts.latency_ms:.4g}",
            f"{kernel.share:.0%}",
            kernel.amounts.bound or "-",
            *([EVIDENCE[kernel.evidence]] if doubtful else []),
        ]
        for kernel in largest
    ]
    columns = ["largest kernels", "ms, predicted", "share", "bound", *(["evidence"] if doubtful else [])]
    screen.show(table("", columns, rows, right=columns[1:3], whole=columns[3:4]))

"""Owns what is advised about a network: plain sentences that follow from what its kernels wait for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from predictor import Roofline

if TYPE_CHECKING:
    from pocketnas.explanation import ExplainedKernel

_WORTH_SAYING = 0.1
"""Share of the latency below which a change there would hardly be felt."""

_FAR_FROM_LIMITS = 0.5
"""Share of a kernel's latency that its work takes at best; below, something else than the device's limits holds it."""


def advise(kernels: Sequence[ExplainedKernel], *, call_share: float, roofline: Roofline | None) -> Iterator[str]:
    """Yield what would help, most of the latency first; nothing about parts that hardly count.

    Args:
        kernels: The kernels of a network.
        call_share: Share of its latency that is its call.
        roofline: The device's limits; None where they are not known.
    """
    found = [
        (share, text)
        for share, text in (
            _compute([kernel for kernel in kernels if kernel.amounts.bound == "compute"]),
            _memory([kernel for kernel in kernels if kernel.amounts.bound == "memory"]),
            _overhead([kernel for kernel in kernels if kernel.amounts.bound == "overhead"]),
            (call_share, "is the call of the network as a whole, which no change of a layer makes shorter."),
        )
        if share >= _WORTH_SAYING
    ]
    for share, text in sorted(found, reverse=True):
        yield f"{share:.0%} {text}"
    yield from _inefficient(kernels)
    yield from _doubts(kernels, roofline)


def _compute(own: Sequence[ExplainedKernel]) -> tuple[float, str]:
    share = _share(own)
    if not share:
        return 0.0, ""
    kind, family, kernels = _main(own)
    wide = [kernel for kernel in kernels if family == "conv2d" and kernel.amounts.window > 1]
    less = "fewer units" if family == "dense" else "fewer channels or smaller maps"
    mostly_wide = _share(wide) > 0.5 * _share(kernels)
    instead = ", or a depthwise and a 1x1 convolution in the place of a wide one," if mostly_wide else ""
    return share, f"waits for arithmetic, most of it in {kind}: {less}{instead} would help; moving less would not."


def _memory(own: Sequence[ExplainedKernel]) -> tuple[float, str]:
    share = _share(own)
    if not share:
        return 0.0, ""
    kind, _, kernels = _main(own)
    weights = sum(kernel.share * kernel.amounts.weight_share for kernel in kernels) > 0.5 * _share(kernels)
    less = "fewer weights, or smaller ones as in int8," if weights else "smaller tensors (fewer channels, smaller maps)"
    what = "weights" if weights else "activations"
    return share, f"waits for {what} to be moved, most of it in {kind}: {less} would help; less arithmetic would not."


def _overhead(own: Sequence[ExplainedKernel]) -> tuple[float, str]:
    return _share(own), (
        f"is what {len(own)} kernel{'s' if len(own) != 1 else ''} cost however little they do: fewer layers would "
        "help, smaller ones would not."
    )


def _inefficient(kernels: Sequence[ExplainedKernel]) -> Iterator[str]:
    """Name the kind that takes far longer than its work asks for at the limits, though its call is not the reason."""
    slow = [
        kernel
        for kernel in kernels
        if kernel.amounts.bound in ("compute", "memory")
        and kernel.evidence == "measured"
        and kernel.work_share is not None
        and kernel.work_share < _FAR_FROM_LIMITS
    ]
    if _share(slow) < _WORTH_SAYING:
        return
    kind, _, own = _main(slow)
    latency_ms = sum(kernel.amounts.latency_ms for kernel in own)
    work_ms = sum((kernel.work_share or 0.0) * kernel.amounts.latency_ms for kernel in own)
    yield (
        f"{kind} takes {latency_ms / work_ms:.1f} times as long as its work asks for at the device's limits: the "
        "runtime's kernel for it is the reason, so another operator or other sizes may do better."
    )


def _doubts(kernels: Sequence[ExplainedKernel], roofline: Roofline | None) -> Iterator[str]:
    never = [kernel for kernel in kernels if kernel.evidence == "never"]
    if never:
        yield (
            f"{_share(never):.0%} is a rough bound of {len(never)} kernel(s) of kinds that were never measured: "
            "measure these before anything is changed for their sake."
        )
    if roofline is None:
        yield "What kernels wait for is not known: the predictor learned from no kernel measured alone."
        return
    unknown = _share([kernel for kernel in kernels if kernel.amounts.bound is None])
    if unknown >= _WORTH_SAYING:
        names = {"compute": "peak", "memory": "bandwidth", "overhead": "overhead"}
        missing = " and ".join(names[bound] for bound in roofline.undetermined)
        yield (
            f"For {unknown:.0%} it is not known what it waits for: the measured kernels do not settle the device's "
            f"{missing}; larger kernels with much and with little arithmetic would."
        )


def _share(kernels: Sequence[ExplainedKernel]) -> float:
    return sum(kernel.share for kernel in kernels)


def _main(kernels: Sequence[ExplainedKernel]) -> tuple[str, str, list[ExplainedKernel]]:
    """Return the kind with the largest share, its family and its kernels."""
    shares: dict[str, float] = {}
    for kernel in kernels:
        shares[kernel.kind] = shares.get(kernel.kind, 0.0) + kernel.share
    kind = max(shares, key=lambda name: shares[name])
    own = [kernel for kernel in kernels if kernel.kind == kind]
    return kind, own[0].amounts.family, own

"""Owns what is told about a device and about a network on it: limits, where the time goes, what it waits for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from pocketnas._advice import advise
from predictor import Bound, ModelCard, NetworkPredictor, Prediction, Roofline, TrainingRows
from profiler.kernels import Kernel, fuse
from profiler.network import Network

Evidence = Literal["measured", "unlike", "never"]
"""What a kernel's latency rests on: kernels like it, others of its kind, or none of its kind, so that it is a bound."""

EVIDENCE: Mapping[Evidence, str] = MappingProxyType(
    {"measured": "", "unlike": "unlike what was measured", "never": "never measured: a bound"}
)
"""How a person is told what a latency rests on, where that is not kernels like it; from strong to weak."""

WAITS_FOR: Mapping[str, str] = MappingProxyType(
    {
        "compute": "arithmetic",
        "memory": "memory",
        "overhead": "its call",
        "call": "the network's call",
        "unknown": "not determined",
    }
)
"""What a bound is called where a person reads it."""


@dataclass(frozen=True)
class Amounts:
    """What a kernel does and how long it takes.

    Attributes:
        kernel: Its description.
        family: Kind of its anchor.
        window: Cells of its window; 1 without one.
        mega_macs: Multiply-accumulates, in 10^6.
        megabytes: Activations read and written, and weights, in 10^6 bytes.
        weight_share: Share of the weights in these bytes.
        latency_ms: Its latency, > 0; in a network the part that it adds.
        bound: What it waits for; None where the table does not tell.
    """

    kernel: str
    family: str
    window: int
    mega_macs: float
    megabytes: float
    weight_share: float
    latency_ms: float
    bound: Bound | None

    @property
    def gmac_per_s(self) -> float:
        """Multiply-accumulates a second, in 10^9."""
        return self.mega_macs / self.latency_ms

    @property
    def gb_per_s(self) -> float:
        """Bytes a second, in 10^9."""
        return self.megabytes / self.latency_ms

    @property
    def macs_per_byte(self) -> float:
        """Operational intensity."""
        return self.mega_macs / self.megabytes if self.megabytes else 0.0


@dataclass(frozen=True)
class DeviceExplanation:
    """What a device does at best, and the kernels that show it.

    Attributes:
        device: Name of the device.
        source: "measured" or "emulated".
        runtime: Runtime on it.
        runtime_version: Its version.
        threads: Threads of the runtime.
        dtype: Numeric type.
        processor: Processor of the device.
        roofline: Its limits; None where no kernel was measured alone.
        kernels: Kernels measured alone; empty where only a predictor is at hand, which does not hold them.
    """

    device: str
    source: str
    runtime: str
    runtime_version: str
    threads: int
    dtype: str
    processor: str
    roofline: Roofline | None
    kernels: tuple[Amounts, ...] = ()

    @classmethod
    def of_card(cls, card: ModelCard, rows: TrainingRows | None = None) -> DeviceExplanation:
        """Return what a predictor's card tells of its device.

        Args:
            card: The card.
            rows: Of the same configuration, to be shown beside it; they give the roofline where the card has none.
        """
        roofline = card.roofline or (Roofline.of_rows(rows) if rows is not None and rows.kernels else None)
        plain = {name: getattr(card, name) for name in _CONFIGURATION}
        return cls(**plain, roofline=roofline, kernels=_measured(rows, roofline))

    @classmethod
    def of_rows(cls, rows: TrainingRows) -> DeviceExplanation:
        """Return what a table tells of its device."""
        roofline = Roofline.of_rows(rows) if rows.kernels else None
        return cls(**vars(rows.origin), roofline=roofline, kernels=_measured(rows, roofline))

    @property
    def configuration(self) -> str:
        """Device, runtime, threads and type in one line; an emulated device is called so."""
        name = f"{self.device} (emulated)" if self.source == "emulated" else self.device
        return f"{name}, {self.runtime} {self.runtime_version}, {self.threads} thread(s), {self.dtype}"

    def document(self) -> dict[str, Any]:
        """Return the explanation as plain data."""
        plain = {name: getattr(self, name) for name in _CONFIGURATION}
        roofline = None if self.roofline is None else self.roofline.model_dump(mode="json")
        ridge = None if self.roofline is None else self.roofline.ridge_macs_per_byte
        return {**plain, "roofline": roofline, "ridge_macs_per_byte": ridge, "families": families(self.kernels)}


@dataclass(frozen=True)
class ExplainedKernel:
    """One kernel of a network.

    Attributes:
        amounts: What it does and how long that takes, as predicted.
        kind: Its kind, such as "conv2d+relu6".
        share: Its part of the network's latency, in [0, 1].
        work_share: Share of its latency that its work takes at the device's limits; None without a roofline. Well
            below 1, it is not the device that holds it but its call, or how its kernel is written.
        evidence: What its latency rests on.
    """

    amounts: Amounts
    kind: str
    share: float
    work_share: float | None
    evidence: Evidence


@dataclass(frozen=True)
class KindShare:
    """All kernels of one kind in a network.

    Attributes:
        kind: Their kind.
        kernels: How many there are.
        latency_ms: What they add together.
        share: The same over the network's latency.
        bounds: Share of that by what it waits for, largest first; "unknown" where the table does not tell.
        evidence: The weakest that one of them rests on.
    """

    kind: str
    kernels: int
    latency_ms: float
    share: float
    bounds: Mapping[str, float]
    evidence: Evidence


@dataclass(frozen=True)
class NetworkExplanation:
    """Where the predicted latency of a network goes.

    Attributes:
        model: What the network is called.
        prediction: Its predicted latency.
        learnt_from: "measured" or "emulated": the rows that the predictor learned from.
        label: Whose latencies these are, when a predictor of another device was taken; else empty.
        kernels: Its kernels in execution order.
        kinds: Kinds of kernels, largest first.
        bounds: Share of the latency by what it waits for, "call" being the network's own; largest first.
        advice: What would help, most important first.
    """

    model: str
    prediction: Prediction
    learnt_from: str
    label: str
    kernels: tuple[ExplainedKernel, ...]
    kinds: tuple[KindShare, ...]
    bounds: Mapping[str, float]
    advice: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the explanation as plain data: the prediction, and more about its kernels."""
        kernels = [
            {
                "kernel": kernel.amounts.kernel,
                "kind": kernel.kind,
                "latency_ms": kernel.amounts.latency_ms,
                "share": kernel.share,
                "bound": kernel.amounts.bound,
                "work_share": kernel.work_share,
                "evidence": kernel.evidence,
                "macs": round(1e6 * kernel.amounts.mega_macs),
                "bytes": round(1e6 * kernel.amounts.megabytes),
            }
            for kernel in self.kernels
        ]
        told = {"learnt_from": self.learnt_from, "label": self.label, "bounds": dict(self.bounds)}
        kinds = [asdict(kind) for kind in self.kinds]
        plain = {**asdict(self.prediction), "kernels": kernels, "kinds": kinds, "advice": list(self.advice)}
        return {"model": self.model, **plain, **told}


_CONFIGURATION = ("device", "source", "runtime", "runtime_version", "threads", "dtype", "processor")


def explain_network(
    predictor: NetworkPredictor, network: Network, *, model: str = "", label: str = "", allow_unknown: bool = False
) -> NetworkExplanation:
    """Predict a network and tell where its latency goes.

    Args:
        predictor: Of the device in question.
        network: The network.
        model: What to call it; its own name when empty.
        label: Whose latencies these are, when the predictor is of another device.
        allow_unknown: Whether kernels of a kind that was never measured count with a rough bound.

    Raises:
        OutOfDomainError: A kernel's kind was never measured and allow_unknown is false.
    """
    prediction = predictor.predict(network, allow_unknown=allow_unknown)
    kernels = explained_kernels(predictor.card, network, prediction)
    bounds = _by_bound([(kernel.amounts.bound, kernel.share) for kernel in kernels])
    call_share = prediction.call_ms / prediction.latency_ms
    if call_share > 0:
        bounds = dict(sorted({**bounds, "call": call_share}.items(), key=lambda item: -item[1]))
    return NetworkExplanation(
        model=model or network.name,
        prediction=prediction,
        learnt_from=predictor.card.source,
        label=label,
        kernels=kernels,
        kinds=_kinds(kernels),
        bounds=bounds,
        advice=tuple(advise(kernels, call_share=call_share, roofline=predictor.card.roofline)),
    )


def explained_kernels(card: ModelCard, network: Network, prediction: Prediction) -> tuple[ExplainedKernel, ...]:
    """Return the kernels of a predicted network with what they do, wait for and rest on.

    Args:
        card: Of the predictor that made the prediction.
        network: The network.
        prediction: Its prediction.
    """
    kernels, roofline = fuse(network, card.fusion.rules), card.roofline
    shares = prediction.kernels
    amounts = _amounts(
        kernels,
        [share.latency_ms for share in shares],
        [share.bound for share in shares],
        roofline or _no_roofline(card),
    )
    measured = {family.family for family in card.families}
    return tuple(
        ExplainedKernel(
            amounts=amount,
            kind=share.kind,
            share=share.share,
            work_share=None if roofline is None else roofline.work_ms(kernel) / share.latency_ms,
            evidence="measured" if share.in_domain else "unlike" if kernel.family in measured else "never",
        )
        for kernel, share, amount in zip(kernels, shares, amounts, strict=True)
    )


def families(kernels: Sequence[Amounts]) -> list[dict[str, Any]]:
    """Return how many kernels of each family wait for what, and the best rates among them."""
    return [
        {
            "family": family,
            "kernels": len(own),
            **{bound: sum(kernel.bound == bound for kernel in own) for bound in ("compute", "memory", "overhead")},
            "undetermined": sum(kernel.bound is None for kernel in own),
            "best_gmac_per_s": max(kernel.gmac_per_s for kernel in own),
            "best_gb_per_s": max(kernel.gb_per_s for kernel in own),
        }
        for family in sorted({kernel.family for kernel in kernels})
        if (own := [kernel for kernel in kernels if kernel.family == family])
    ]


def _amounts(
    kernels: Sequence[Kernel], latency_ms: Sequence[float], bounds: Sequence[Bound | None], roofline: Roofline
) -> tuple[Amounts, ...]:
    mega_macs, megabytes = roofline.work(kernels)
    return tuple(
        Amounts(
            kernel=kernel.describe(),
            family=kernel.family,
            window=math.prod(getattr(kernel.anchor, "kernel", ())),
            mega_macs=float(macs),
            megabytes=float(moved),
            weight_share=min(1e-6 * roofline.element_bytes * kernel.network.cost().parameters / float(moved), 1.0),
            latency_ms=latency,
            bound=bound,
        )
        for kernel, macs, moved, latency, bound in zip(kernels, mega_macs, megabytes, latency_ms, bounds, strict=True)
    )


def _measured(rows: TrainingRows | None, roofline: Roofline | None) -> tuple[Amounts, ...]:
    if rows is None or roofline is None:
        return ()
    return _amounts(rows.kernels, rows.kernel_ms.tolist(), roofline.bounds(rows.kernels), roofline)


def _no_roofline(card: ModelCard) -> Roofline:
    """Return a roofline that knows nothing but the size of an element."""
    return Roofline.fit([], [], element_bytes=1.0 if card.dtype == "int8" else 4.0)


def _kinds(kernels: Sequence[ExplainedKernel]) -> tuple[KindShare, ...]:
    members: dict[str, list[ExplainedKernel]] = {}
    for kernel in kernels:
        members.setdefault(kernel.kind, []).append(kernel)
    kinds = [
        KindShare(
            kind=kind,
            kernels=len(own),
            latency_ms=sum(kernel.amounts.latency_ms for kernel in own),
            share=(share := sum(kernel.share for kernel in own)),
            bounds={
                bound: part / share
                for bound, part in _by_bound([(kernel.amounts.bound, kernel.share) for kernel in own]).items()
            },
            evidence=max((kernel.evidence for kernel in own), key=list(EVIDENCE).index),
        )
        for kind, own in members.items()
    ]
    return tuple(sorted(kinds, key=lambda kind: -kind.latency_ms))


def _by_bound(parts: Sequence[tuple[Bound | None, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for bound, share in parts:
        sums[bound or "unknown"] = sums.get(bound or "unknown", 0.0) + share
    return dict(sorted(sums.items(), key=lambda item: -item[1]))

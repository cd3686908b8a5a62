"""Operator profiles: a runtime that fuses an operator shows no row of it, while it shows one when it runs alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from profiler.backends.base import Backend
from profiler.errors import MeasurementError, MergedProfileError
from profiler.fusion._probes import SIZES, Probe, Size, kind_of
from profiler.fusion.evidence import Chain, FusionEvidence, FusionVerdict
from profiler.network import AvgPool2d, Conv2d, MaxPool2d, Network, TensorSpec, Transpose
from profiler.runtimes.operator_profile import OperatorTime
from profiler.workload import Dtype, Workload

_LAYOUT_ROW = re.compile(r"^Reorder(In|Out)put$|^transpose\b|^(Permute|Reshape|Split)$", re.IGNORECASE)
"""Rows that only turn data: ONNX Runtime's around its blocked convolutions, ncnn's between layouts and for tensors that
several layers read, and those of what reads a probe."""

_MAP_RANK = 4

_FUSED_NAME = re.compile(r"^Fused(?=[A-Z])")
"""ONNX Runtime calls a product that took an activation FusedGemm, and one that did not Gemm."""

_WARMUP_RUNS, _RUNS = 2, 10


def profile_chains(
    backend: Backend,
    chains: Sequence[Chain],
    *,
    dtype: Dtype = "float32",
    size: Size = SIZES[0],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[FusionEvidence, ...]:
    """Profile chains and their parts, and say of each chain whether its last operator joins the others.

    Args:
        backend: The device, opened.
        chains: What to look at.
        dtype: Numeric type.
        size: The shape that each chain is looked at on.
        progress: Called with (chains done, chains in all).

    Raises:
        RuntimeNotSupportedError: The device's runtime has no operator profiler that we can read.
        MergedProfileError: The profile shows a network as one whole, as delegates to GPUs do.
        DeviceError: The device is gone.
    """
    looking = _Profiles(backend, dtype)
    looking.check_operators_show()
    evidence = []
    for done, chain in enumerate(chains, 1):
        evidence.append(_evidence(Probe(chain, size), looking))
        if progress:
            progress(done, len(chains))
    return tuple(evidence)


def verdict_of_rows(before: Sequence[str], last: Sequence[str], whole: Sequence[str]) -> FusionVerdict:
    """Return what the kinds of rows say of a chain.

    Args:
        before: Of all but the last operator.
        last: Of the last operator alone.
        whole: Of the chain.

    Returns:
        "apart" when the chain has the rows of both; "fused" when one of the two has left no row; "unclear" else, as
        when an operator of several steps left some of them.

    Example:
        >>> verdict_of_rows(["Conv"], ["Relu"], ["Conv"])
        'fused'
        >>> verdict_of_rows(["Pad"], ["Conv"], ["Pad", "Conv"])
        'apart'
    """
    parts = [Counter(_operators(rows)) for rows in (before, last)]
    found = Counter(_operators(whole))
    if found.total() == sum(part.total() for part in parts):
        return "apart"
    return "fused" if found in parts else "unclear"


class _Profiles:
    """Rows of operator profiles, each network profiled once.

    Args:
        backend: The device, opened.
        dtype: Numeric type.
    """

    def __init__(self, backend: Backend, dtype: Dtype) -> None:
        self._backend, self._dtype = backend, dtype
        self._known: dict[str, tuple[OperatorTime, ...]] = {}

    def rows(self, network: Network) -> tuple[OperatorTime, ...]:
        """Return the rows of a network in execution order."""
        work = Workload(_read_on(network), self._dtype, kind_of(network))
        if work.key not in self._known:
            profile = self._backend.profile_operators(work, warmup_runs=_WARMUP_RUNS, runs=_RUNS, resolved=False)
            self._known[work.key] = profile.operators
        return self._known[work.key]

    def check_operators_show(self) -> None:
        """Make sure that operators which nothing fuses have rows of their own.

        Raises:
            MergedProfileError: They have not.
        """
        rows = self.rows(_unfusable())
        if len(_operators(row.kind for row in rows)) < len(_unfusable().operators):
            raise MergedProfileError("the runtime's profile does not show the operators of the network")


def _read_on(network: Network) -> Network:
    """Return a network whose maps are read by something else, as inside of larger ones.

    ONNX Runtime leaves an operator of several steps, such as hard-swish, apart where it gives an output of the
    network. What reads is a transpose: nothing fuses with it, and runtimes name its row by that word, or ncnn
    by Permute.
    """
    turned = {name: f"read/{name}" for name in network.outputs if len(network.tensors[name].shape) == _MAP_RANK}
    readers = [Transpose(reader, (name,), (0, 3, 1, 2)) for name, reader in turned.items()]
    outputs = [turned.get(name, name) for name in network.outputs]
    return Network(network.name, network.inputs, [*network.operators, *readers], outputs)


def _unfusable() -> Network:
    operators = [MaxPool2d("p", ("x",)), Conv2d("c", ("p",), 32), AvgPool2d("a", ("c",))]
    return Network("unfusable", [TensorSpec("x", (1, 32, 32, 32))], operators, ("p", "c", "a"))


def _evidence(probe: Probe, looking: _Profiles) -> FusionEvidence:
    try:
        before, last, whole = (looking.rows(network) for network in (probe.before, probe.last, probe.whole))
    except MeasurementError as error:
        return FusionEvidence(chain=probe.chain, how="operator profile", verdict="unclear", detail=str(error)[:400])
    kinds = [[row.kind for row in rows] for rows in (before, last, whole)]
    return FusionEvidence(
        chain=probe.chain,
        how="operator profile",
        verdict=verdict_of_rows(*kinds),
        a_ms=_sum_ms(before),
        b_ms=_sum_ms(last),
        ab_ms=_sum_ms(whole),
        shapes=1,
        detail=f"rows: {', '.join(kinds[2])}"[:400],
    )


def _operators(kinds: Iterable[str]) -> list[str]:
    return [_FUSED_NAME.sub("", kind) for kind in kinds if not _LAYOUT_ROW.match(kind)]


def _sum_ms(rows: Sequence[OperatorTime]) -> float | None:
    """Return the latency of all rows that compute; None where one of them is too short for the profiler."""
    times = [row.mean_ms for row in rows if not _LAYOUT_ROW.match(row.kind)]
    known = [time for time in times if time is not None]
    return sum(known) if times and len(known) == len(times) else None

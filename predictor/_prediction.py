"""What predictors answer with: latencies with intervals, and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray
from predictor._roofline import Bound


@dataclass(frozen=True, eq=False)
class KernelPredictions:
    """Latencies of kernels run alone. All arrays have one entry a kernel.

    Attributes:
        latency_ms: Predicted latency, > 0.
        low_ms: Lower end of the 90 % interval, > 0.
        high_ms: Upper end.
        in_domain: Whether configurations like it were measured.
    """

    latency_ms: FloatArray
    low_ms: FloatArray
    high_ms: FloatArray
    in_domain: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class KernelShare:
    """What one kernel adds to a network's latency.

    Attributes:
        kernel: Description of the kernel.
        kind: Its kind, such as "conv2d+relu6".
        latency_ms: Its part inside the network, without the call that it would need alone.
        share: The same over the network's latency, in [0, 1].
        in_domain: Whether configurations like it were measured.
        bound: What it waits for on the device; None where the predictor's table does not tell.
    """

    kernel: str
    kind: str
    latency_ms: float
    share: float
    in_domain: bool
    bound: Bound | None = None


@dataclass(frozen=True)
class Prediction:
    """Latency of a network as predicted, never measured.

    Attributes:
        latency_ms: Predicted latency, > 0.
        low_ms: Lower end of the 90 % interval, > 0.
        high_ms: Upper end.
        in_domain: Whether there is evidence for every kernel.
        out_of_domain: Descriptions of the kernels without, each once.
        kernels: Parts of the latency in execution order; with `call_ms` they sum to it.
        call_ms: What calling the network as a whole adds.
        device: Device that the predictor learned.
        runtime: Runtime on it.
        threads: Threads of the runtime.
        dtype: Numeric type.
        source: Always "predicted".
    """

    latency_ms: float
    low_ms: float
    high_ms: float
    in_domain: bool
    out_of_domain: tuple[str, ...]
    kernels: tuple[KernelShare, ...]
    call_ms: float
    device: str
    runtime: str
    threads: int
    dtype: str
    source: Literal["predicted"] = "predicted"

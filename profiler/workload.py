"""What is measured: a network in a numeric type.  Where and how it is measured is said elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from profiler.errors import FunctionOnlyError
from profiler.network import Network

Source = Literal["measured", "emulated", "emulated-isa", "predicted"]
"""Where a number comes from.  It stands on every row and every plot, and sources are never mixed."""

EMULATED_ISA: Final = "emulated-isa"
"""Real programs whose instructions qemu emulates: what they do is a phone's, how long it takes is nobody's."""
ISA_REMARK: Final = "times under qemu say nothing of a phone"

Dtype = Literal["float32", "int8"]


def require_times(device: str, source: str, purpose: str) -> None:
    """Make sure that a device's latencies mean something.

    Args:
        device: Its name.
        source: The source of its latencies.
        purpose: What they are wanted for, such as "a search".

    Raises:
        FunctionOnlyError: They are of emulated instructions.
    """
    if source == EMULATED_ISA:
        raise FunctionOnlyError(device, f"{purpose} needs latencies, and {ISA_REMARK}")


@dataclass(frozen=True)
class Workload:
    """A network that a device is asked to run.

    Attributes:
        network: The network; weights are optional, since latency does not depend on their values.
        dtype: "float32", or "int8" for per-channel quantised weights and quantised activations.
        kind: What the network stands for, as the table shows it: a kernel's kind such as
            "conv2d+relu6", or "network" for a whole network.  No part of the identity.
    """

    network: Network
    dtype: Dtype = "float32"
    kind: str = "network"

    @property
    def key(self) -> str:
        """Stable identity of the workload: the network's structure and the numeric type."""
        return f"{self.network.key}-{self.dtype}"

    @property
    def is_kernel(self) -> bool:
        """Whether it stands for a part of networks: what lies around it there is not to be measured with it."""
        return self.kind != "network"

"""What a measurement takes: runs and what is done around them, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from predictor._features import FloatArray


@dataclass(frozen=True)
class MeasurementCost:
    """Seconds of a measurement, from the latency that is expected.

    Attributes:
        blocks: Blocks of each workload.
        runs: Runs of a block, those for warm-up included.
        block_s: What a block takes besides its runs: starting a process, references, looks at the device.
        kernels_per_pack: Kernels that share one block's overhead, >= 1; a whole network has its own.
    """

    blocks: int
    runs: int
    block_s: float
    kernels_per_pack: int = 1

    def kernels_s(self, latency_ms: FloatArray) -> FloatArray:
        """Return the seconds that kernels take, each. Shape: as latency_ms, (n,)."""
        return self._seconds(latency_ms, self.block_s / self.kernels_per_pack)

    def networks_s(self, latency_ms: FloatArray) -> FloatArray:
        """Return the seconds that whole networks take, each. Shape: as latency_ms, (n,)."""
        return self._seconds(latency_ms, self.block_s)

    def _seconds(self, latency_ms: FloatArray, block_s: float) -> FloatArray:
        return np.asarray(self.blocks * (block_s + self.runs * latency_ms * 1e-3))

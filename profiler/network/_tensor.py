"""The tensor of a network: a name, a shape and an element type; no values."""

from __future__ import annotations

import math
from dataclasses import dataclass

DTYPE_BYTES = {"float32": 4, "int32": 4, "int8": 1}
"""Element types that a network's tensors may have, and their size in bytes."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named tensor; rank-4 tensors are NHWC.

    Attributes:
        name: Name, unique in the network.
        shape: Sizes, all >= 1.
        dtype: One of DTYPE_BYTES.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Size of the values in bytes."""
        return self.elements * DTYPE_BYTES[self.dtype]

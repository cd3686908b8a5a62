"""Error types of the front door."""

from __future__ import annotations

from profiler.errors import PocketnasError


class ExportMismatchError(PocketnasError):
    """An exported file computes something else than the network that it was written from.

    Args:
        name: The network.
        file_format: "tflite" or "onnx".
        difference: Largest difference of an output, relative to the largest output.
        limit: Largest difference that rounding explains.
    """

    def __init__(self, name: str, file_format: str, difference: float, limit: float) -> None:
        self.name, self.file_format, self.difference, self.limit = name, file_format, difference, limit
        super().__init__(
            f"{name}: outputs of the .{file_format} file differ from the trained network by {difference:.2g} "
            f"(limit {limit:.2g}); the file was not written, please report this network"
        )

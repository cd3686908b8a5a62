"""Network to and from model files and torch modules.

Importing this package does not import torch: what is about torch is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from profiler.formats.onnx_writer import write_onnx
from profiler.formats.quantization import Quantization, calibrate
from profiler.formats.tflite_reader import read_tflite
from profiler.formats.tflite_writer import write_tflite

if TYPE_CHECKING:
    from profiler.formats.torch_builder import NetworkModule, build_torch

__all__ = [
    "NetworkModule",
    "Quantization",
    "build_torch",
    "calibrate",
    "read_tflite",
    "write_onnx",
    "write_tflite",
]


def __getattr__(name: str) -> Any:
    """Return `build_torch` or `NetworkModule`, importing torch only then."""
    if name in ("NetworkModule", "build_torch"):
        from profiler.formats import torch_builder

        return getattr(torch_builder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Network to and from model files and torch modules.

Importing this package does not import torch: what is about torch is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from profiler.formats.model_file import read_model
from profiler.formats.ncnn_writer import NcnnModel, write_ncnn
from profiler.formats.onnx_reader import read_onnx
from profiler.formats.onnx_writer import write_onnx
from profiler.formats.quantization import Quantization, calibrate
from profiler.formats.tflite_reader import read_tflite
from profiler.formats.tflite_writer import write_tflite

if TYPE_CHECKING:
    from profiler.formats.torch_builder import NetworkModule, build_torch
    from profiler.formats.torch_reader import read_torch

__all__ = [
    "NcnnModel",
    "NetworkModule",
    "Quantization",
    "build_torch",
    "calibrate",
    "read_model",
    "read_onnx",
    "read_tflite",
    "read_torch",
    "write_ncnn",
    "write_onnx",
    "write_tflite",
]


def __getattr__(name: str) -> Any:
    """Return `build_torch`, `NetworkModule` or `read_torch`, importing torch only then."""
    if name == "read_torch":
        from profiler.formats import torch_reader

        return torch_reader.read_torch
    if name in ("NetworkModule", "build_torch"):
        from profiler.formats import torch_builder

        return getattr(torch_builder, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

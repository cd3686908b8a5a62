"""Network to and from model files and torch modules.

Only what is about torch imports torch; ask `profiler.formats.torch_builder` for `build_torch`.
"""

from profiler.formats.quantization import Quantization, calibrate
from profiler.formats.tflite_writer import write_tflite

__all__ = [
    "Quantization",
    "calibrate",
    "write_tflite",
]

"""Owns the export of a trained network: both files, and the proof that they compute what was trained."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from pocketnas.errors import ExportMismatchError
from profiler.backends import HostBackend
from profiler.devices import HostDevice
from profiler.formats import build_torch, write_onnx, write_tflite
from profiler.network import Network

Floats = npt.NDArray[np.float32]

# Outputs pass through tens of layers of float32 sums in another order; what is left is below this share.
LIMIT = 1e-4

# The format, the runtime that is asked what the file computes, and the writer.
_FORMATS: dict[str, tuple[str, Callable[[Network], bytes]]] = {
    "tflite": ("litert", write_tflite),
    "onnx": ("onnxruntime", write_onnx),
}


@dataclass(frozen=True)
class Exported:
    """What an export left behind.

    Attributes:
        paths: Path of the file by format, "tflite" and "onnx".
        outputs: What the .tflite file computes. Shape: (n_images, classes).
        largest_difference: Largest difference between a file's outputs and the trained network's, relative
            to the largest output.
    """

    paths: dict[str, Path]
    outputs: Floats
    largest_difference: float


class Exporter:
    """Writes trained networks and runs what it wrote; use it as a context manager.

    The files are run by LiteRT and ONNX Runtime of this computer, in worker processes of their own.

    Args:
        folder: Where the files go; made when missing.
        images: Real images to compare outputs on. Shape: (n_images, height, width, channels).
    """

    def __init__(self, folder: Path, images: Floats) -> None:
        self._folder, self._images = folder, images
        self._runtimes: dict[str, HostBackend] = {}
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            for file_format, (runtime, _) in _FORMATS.items():
                device = HostDevice(name=f"export check with {runtime}", runtime=runtime, cpus="any")
                self._runtimes[file_format] = opened.enter_context(HostBackend(device, wait_s=60.0))
            self._open = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def export(self, network: Network, name: str) -> Exported:
        """Write a network as .tflite and .onnx and compare what they compute with the torch module.

        Args:
            network: With its trained weights; one image in, one vector of logits out.
            name: Stem of the files.

        Raises:
            ExportMismatchError: A file computes something else; it is not written.
            WorkloadFailedError: A runtime refused a file.
        """
        wanted = _torch_outputs(network, self._images)
        paths: dict[str, Path] = {}
        outputs: dict[str, Floats] = {}
        largest = 0.0
        for file_format, (_, write) in _FORMATS.items():
            content = write(network)
            outputs[file_format] = self._run(file_format, content, network)
            difference = relative_difference(outputs[file_format], wanted)
            # Written this way round, NaN counts as a mismatch.
            if not difference <= LIMIT:
                raise ExportMismatchError(name, file_format, difference, LIMIT)
            largest = max(largest, difference)
            paths[file_format] = self._folder / f"{name}.{file_format}"
            paths[file_format].write_bytes(content)
        return Exported(paths, outputs["tflite"], largest)

    def _run(self, file_format: str, content: bytes, network: Network) -> Floats:
        entry, (exit_,) = network.inputs[0].name, network.outputs
        backend = self._runtimes[file_format]
        rows = [backend.compute_model(content, {entry: image[None]})[exit_][0] for image in self._images]
        return np.stack(rows).astype(np.float32)


def relative_difference(found: Floats, wanted: Floats) -> float:
    """Return the largest absolute difference over the largest absolute wanted value; NaN where one is."""
    scale = float(np.abs(wanted).max()) or 1.0
    return float(np.abs(found - wanted).max()) / scale


def _torch_outputs(network: Network, images: Floats) -> Floats:
    module = build_torch(network)
    (exit_,) = network.outputs
    return np.stack([module.run_all([image[None]])[exit_][0] for image in images])

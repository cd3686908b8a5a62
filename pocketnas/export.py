"""Owns the export of a trained network: both files, and the proof that they compute what was trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketnas.errors import ExportMismatchError
from profiler.backends import HostBackend
from profiler.devices import HostDevice
from profiler.formats import build_torch, write_onnx, write_tflite
from profiler.network import Network

_AT_ONCE = 64
"""Images that torch computes at once: one by one, thousands of them take minutes."""

Floats = npt.NDArray[np.float32]

# Outputs pass through tens of layers of float32 sums in another order; what is left is below this share.
LIMIT = 1e-4
_LOCK_WAIT_S = 60.0

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


def export_networks(networks: Mapping[str, Network], folder: Path, images: Floats) -> dict[str, Exported]:
    """Write trained networks as .tflite and .onnx and compare what the files compute with the torch modules.

    The files are run by LiteRT and ONNX Runtime of this computer, one runtime after the other.

    Args:
        networks: By the stem of their files, with trained weights; one image in, one vector of logits out.
        folder: Where the files go; made when missing.
        images: Real images to compare outputs on. Shape: (n_images, height, width, channels).

    Raises:
        ExportMismatchError: A file computes something else; it is not written.
        WorkloadFailedError: A runtime refused a file.
        DeviceBusyError: Another job has been measuring on this computer for a minute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: _torch_outputs(network, images) for name, network in networks.items()}
    files = {file_format: _export_as(file_format, networks, wanted, folder, images) for file_format in _FORMATS}
    return {
        name: Exported(
            paths={file_format: files[file_format][name].path for file_format in _FORMATS},
            outputs=files["tflite"][name].outputs,
            largest_difference=max(files[file_format][name].difference for file_format in _FORMATS),
        )
        for name in networks
    }


@dataclass(frozen=True)
class _File:
    path: Path
    outputs: Floats
    difference: float


def _export_as(
    file_format: str, networks: Mapping[str, Network], wanted: Mapping[str, Floats], folder: Path, images: Floats
) -> dict[str, _File]:
    """Write the files of one format, each after its outputs were found to be those wanted."""
    runtime, write = _FORMATS[file_format]
    device = HostDevice(name=f"export check with {runtime}", runtime=runtime, cpus="any")
    files: dict[str, _File] = {}
    with HostBackend(device, wait_s=_LOCK_WAIT_S) as backend:
        for name, network in networks.items():
            content = write(network)
            outputs = _outputs(backend, content, network, images)
            difference = relative_difference(outputs, wanted[name])
            # Written this way round, NaN counts as a mismatch.
            if not difference <= LIMIT:
                raise ExportMismatchError(name, file_format, difference, LIMIT)
            path = folder / f"{name}.{file_format}"
            path.write_bytes(content)
            files[name] = _File(path, outputs, difference)
    return files


def _outputs(backend: HostBackend, content: bytes, network: Network, images: Floats) -> Floats:
    entry, (exit_,) = network.inputs[0].name, network.outputs
    rows = [backend.compute_model(content, {entry: image[None]})[exit_][0] for image in images]
    return np.stack(rows).astype(np.float32)


def relative_difference(found: Floats, wanted: Floats) -> float:
    """Return the largest absolute difference over the largest absolute wanted value; NaN where one is."""
    scale = float(np.abs(wanted).max()) or 1.0
    return float(np.abs(found - wanted).max()) / scale


def _torch_outputs(network: Network, images: Floats) -> Floats:
    import torch

    from search.threads import torch_threads

    module = build_torch(network).eval()
    with torch.no_grad(), torch_threads(1):
        parts = [module(part)[0] for part in torch.split(torch.from_numpy(images), _AT_ONCE)]
    return np.asarray(torch.cat(parts).numpy())

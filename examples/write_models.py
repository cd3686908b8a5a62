"""Write a network as .tflite and .onnx, and see that both compute what its torch module computes.

python examples/write_models.py [DIRECTORY]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from profiler.backends import HostBackend
from profiler.devices import HostDevice
from profiler.formats import build_torch, calibrate, write_onnx, write_tflite
from profiler.network import Add, Conv2d, Dense, GlobalAvgPool2d, Network, Relu, TensorSpec


def residual_network() -> Network:
    """Return a small residual classifier with random weights."""
    operators = [
        Conv2d("stem", ("image",), out_channels=16, stride=(2, 2)),
        Relu("stem/relu", ("stem",)),
        Conv2d("body", ("stem/relu",), out_channels=16),
        Add("sum", ("body", "stem/relu")),
        Relu("sum/relu", ("sum",)),
        GlobalAvgPool2d("pool", ("sum/relu",)),
        Dense("logits", ("pool",), units=10),
    ]
    network = Network("residual", [TensorSpec("image", (1, 32, 32, 3))], operators, ["logits"])
    return network.with_random_weights(np.random.default_rng(0))


def main(directory: Path) -> None:
    """Write the files and compare what they compute."""
    network = residual_network()
    cost = network.cost()
    print(f"{network.name}: {cost.macs / 1e6:.2f} M MACs, {cost.parameters} parameters")

    rng = np.random.default_rng(1)
    samples = [[rng.standard_normal((1, 32, 32, 3), dtype=np.float32)] for _ in range(8)]
    files = {
        "model.tflite": write_tflite(network),
        "model-int8.tflite": write_tflite(network, quantization=calibrate(network, samples)),
        "model.onnx": write_onnx(network),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, model in files.items():
        (directory / name).write_bytes(model)
        print(f"{directory / name}: {len(model)} bytes")

    image = samples[0][0]
    with torch.no_grad():
        expected = build_torch(network)(torch.from_numpy(image))[0].numpy()
    for runtime, name in (("litert", "model.tflite"), ("onnxruntime", "model.onnx")):
        with HostBackend(HostDevice(name=f"host-{runtime}", runtime=runtime)) as backend:
            found = backend.compute_model(files[name], {"image": image})["logits"]
        print(f"largest difference between torch and {runtime}: {np.abs(found - expected).max():.1e}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))

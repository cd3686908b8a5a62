"""The supernet: how fast active edges alone train, and how well its scores order networks trained by themselves.

Speed: forward and backward passes on the same batches of the same images, in turn, with one thread: pocketnas computes
the edges of the architecture that is trained; a mixed operation, as the published CARS and DARTS have it, computes all
eight candidates at every edge and multiplies each by 0 or 1.  The mixed one is built from the same convolutions, so
the ratio is the gain from leaving out, not from faster convolutions.  The target is a ratio of 4 at least.

Order: networks drawn uniformly get the accuracy that they inherit from a supernet (validation images) and the accuracy
of trainings by themselves (test images, mean over two seeds); Kendall's tau-b compares the two orders.  Its interval
is Fisher's transformation with the deviation of Fieller, Hartley & Pearson 1957; beside it stands a bootstrap over the
networks.  How well the two trainings of the same networks agree tells how much order there is to find.  There is no
target for it.

    python bench/supernet.py [--rounds 20] [--batch 64] [--networks 20] [--data digits] [--supernet-epochs 60]
        [--epochs 8] [--repeats 2] [--cells 3] [--channels 2] [--nodes 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import kendalltau
from torch import Tensor, nn
from torch.nn import functional

from profiler.network import same_padding
from search._convolution import convolution
from search.augmentation import labels_to_torch, to_torch
from search.images import ImageData, load_images
from search.spaces.cars import OPERATIONS, CarsGenotype, CarsParams, CarsSpace, Cell
from search.supernet import Supernet, SupernetParams
from search.threads import torch_threads
from search.training import TrainingParams, train_network

TARGET_RATIO = 4.0

_DEVIATION = 0.437
"""Variance of Fisher's transformation of tau, times n - 4 (Fieller, Hartley & Pearson 1957)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when the target is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20, help="steps of each kind")
    parser.add_argument("--batch", type=int, default=64, help="images a step")
    parser.add_argument("--networks", type=int, default=20, help="whose order is compared; 0 for speed alone")
    parser.add_argument(
        "--data", default="digits", help="images for the order, as `pocketnas search --data` takes them"
    )
    parser.add_argument("--supernet-epochs", type=int, default=60, help="epochs of the shared weights")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of each network by itself")
    parser.add_argument("--repeats", type=int, default=2, help="trainings of each network by itself")
    parser.add_argument("--cells", type=int, default=3, help="cells of the networks whose order is compared")
    parser.add_argument("--channels", type=int, default=2, help="channels of their nodes")
    parser.add_argument("--nodes", type=int, default=2, help="nodes of their cells")
    parser.add_argument("--seed", type=int, default=0, help="of weights and networks")
    parser.add_argument("--json", action="store_true", help="print only the JSON line")
    options = parser.parse_args(arguments)
    with torch_threads(1):
        active_s, mixed_s = measure(options.rounds, options.batch)
    result = {"bench": "supernet", **summary(active_s, mixed_s, options.batch)}
    if options.networks:
        result["order"] = order(options)
    if not options.json:
        print_table(result)
    print(json.dumps(result))
    return 0 if result["ratio"] >= TARGET_RATIO else 1


def print_table(result: dict[str, Any]) -> None:
    """Print what was found."""
    print(f"{'forward + backward':<34}{'images/s':>10}")
    print(f"{'active edges only':<34}{result['active_images_per_s']:>10.0f}")
    print(f"{'mixed operations, all of them':<34}{result['mixed_images_per_s']:>10.0f}")
    low, high = result["ratio_interval"]
    print(f"ratio {result['ratio']:.1f} (95 % interval {low:.1f} to {high:.1f}; target {TARGET_RATIO:g})")
    if "order" in result:
        found = result["order"]
        ends = [f"{low:.2f} to {high:.2f}" for low, high in (found["interval"], found["bootstrap_interval"])]
        print(
            f"Kendall's tau {found['kendall']:.2f} over n = {found['n']} networks on {found['data']} "
            f"(95 % interval {ends[0]}; by bootstrap {ends[1]})"
        )
        if found["kendall_of_two_trainings"] is not None:
            print(f"between two trainings of each of them: {found['kendall_of_two_trainings']:.2f}")


def order(options: argparse.Namespace) -> dict[str, Any]:
    """Compare the order of networks by inherited and by stand-alone accuracy.

    Args:
        options: The command line's.
    """
    data = load_images(options.data)
    space = CarsSpace(CarsParams(data.image_shape, data.classes, options.cells, options.channels, options.nodes))
    rng = np.random.default_rng(options.seed)
    began_s = time.monotonic()
    supernet = Supernet(space, data, SupernetParams(epochs=options.supernet_epochs), seed=options.seed)
    supernet.learn(lambda generator: [space.sample(generator)], epochs=options.supernet_epochs, rng=rng)
    print(f"shared weights: {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    genotypes = [space.sample(rng) for _ in range(options.networks)]
    inherited = supernet.evaluate(genotypes)
    alone = np.array([_trained(space, genotype, data, options) for genotype in genotypes])
    print(f"with {len(alone)} networks trained: {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    among_themselves = float(kendalltau(alone[:, 0], alone[:, 1]).statistic) if options.repeats > 1 else None
    return {
        **correlation(inherited, alone.mean(axis=1)),
        "kendall_of_two_trainings": among_themselves,
        "data": data.name,
        "inherited": inherited.tolist(),
        "alone": alone.tolist(),
        "seconds": round(time.monotonic() - began_s, 1),
    }


def _trained(space: CarsSpace, genotype: CarsGenotype, data: ImageData, options: argparse.Namespace) -> list[float]:
    """Return the test accuracy of each training of a network by itself."""
    network, parts = space.lower(genotype), space.input_parts(genotype)
    params = TrainingParams(epochs=options.epochs)
    return [
        train_network(network, data, params, input_parts=parts, seed=options.seed + repeat).accuracy
        for repeat in range(options.repeats)
    ]


def correlation(inherited: npt.NDArray[np.float64], alone: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return Kendall's tau-b of two orders and its 95 % intervals.

    Args:
        inherited: Accuracies under shared weights. Shape: (n,), n >= 5.
        alone: Accuracies of the same networks trained by themselves. Shape: (n,).
    """
    tau = float(kendalltau(inherited, alone).statistic)
    half = 1.96 * math.sqrt(_DEVIATION / (len(alone) - 4))
    middle = math.atanh(min(max(tau, -0.999), 0.999))
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(alone), size=(2000, len(alone)))
    resampled = [float(kendalltau(inherited[rows], alone[rows]).statistic) for rows in chosen]
    return {
        "n": len(alone),
        "kendall": tau,
        "interval": [math.tanh(middle - half), math.tanh(middle + half)],
        "bootstrap_interval": [float(end) for end in np.nanquantile(resampled, [0.025, 0.975])],
    }


def measure(rounds: int, batch: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the seconds of each step with active edges only, and with mixed operations.

    Args:
        rounds: Steps of each kind; they take turns, so that both meet the same noise.
        batch: Images a step.
    """
    data = load_images("digits")
    space = CarsSpace(CarsParams(data.image_shape, data.classes))
    supernet = Supernet(space, data)
    mixed = MixedSupernet(space.params).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    images, labels = to_torch(data.train_x[:batch]), labels_to_torch(data.train_y[:batch])
    rng = np.random.default_rng(0)
    times: list[list[float]] = [[], []]
    for turn in range(rounds + 2):
        genotype = space.sample(rng)
        steps: tuple[Callable[[], object], ...] = (
            lambda genotype=genotype: supernet.accumulate([genotype], images, labels),  # type: ignore[misc]
            lambda genotype=genotype: mixed.accumulate(genotype, images, labels),  # type: ignore[misc]
        )
        for step, kept in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if turn >= 2:  # the first two warm up
                kept.append(time.perf_counter() - start)
    return np.array(times[0]), np.array(times[1])


def summary(active_s: npt.NDArray[np.float64], mixed_s: npt.NDArray[np.float64], batch: int) -> dict[str, Any]:
    """Return medians, their ratio, and its bootstrap interval."""
    rng = np.random.default_rng(0)
    chosen = rng.integers(len(active_s), size=(2000, len(active_s)))
    ratios = np.median(mixed_s[chosen], axis=1) / np.median(active_s[chosen], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return {
        "active_images_per_s": batch / float(np.median(active_s)),
        "mixed_images_per_s": batch / float(np.median(mixed_s)),
        "ratio": float(np.median(mixed_s) / np.median(active_s)),
        "ratio_interval": [float(low), float(high)],
        "n": len(active_s),
        "batch": batch,
    }


class _Convolution(nn.Module):
    """ReLU, the layers of one operation, batch norm."""

    def __init__(self, channels: tuple[int, int], size: int, *layers: tuple[int, int, int, bool]) -> None:
        super().__init__()
        self._steps = []
        self.weights = nn.ParameterList()
        for kernel, stride, dilation, depthwise in layers:
            groups = channels[0] if depthwise else 1
            out = channels[0] if depthwise else channels[1]
            margin = same_padding(size, kernel, stride, dilation)
            self._steps.append(
                convolution(
                    groups=groups,
                    kernel=(kernel, kernel),
                    stride=(stride, stride),
                    dilation=(dilation, dilation),
                    margins=(margin, margin),
                )
            )
            weight = nn.Parameter(torch.empty(out, channels[0] // groups, kernel, kernel))
            self.weights.append(nn.init.kaiming_normal_(weight))
            size = -(-size // stride)
        self.norm = nn.BatchNorm2d(channels[1])

    def forward(self, images: Tensor) -> Tensor:
        values = functional.relu(images)
        for step, weight in zip(self._steps, self.weights, strict=True):
            values = step(values, weight)
        normalised: Tensor = self.norm(values)
        return normalised


class _Pool(nn.Module):
    def __init__(self, pool: Callable[..., Tensor], stride: int) -> None:
        super().__init__()
        self._pool, self._stride = pool, stride

    def forward(self, images: Tensor) -> Tensor:
        return self._pool(images, 3, self._stride, 1)


def _operation(name: str, channels: int, size: int, stride: int) -> nn.Module | None:
    """Return one candidate; None for "none", whose zeros need no work."""
    kind, _, window = name.rpartition("_")
    if kind in ("max_pool", "avg_pool"):
        return _Pool(functional.max_pool2d if kind == "max_pool" else functional.avg_pool2d, stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else _Convolution((channels, channels), size, (1, stride, 1, False))
    if name == "none":
        return None
    kernel = int(window[0])
    if kind == "dil_conv":
        return _Convolution((channels, channels), size, (kernel, stride, 2, True), (1, 1, 1, False))
    small = -(-size // stride)
    first = _Convolution((channels, channels), size, (kernel, stride, 1, True), (1, 1, 1, False))
    return nn.Sequential(first, _Convolution((channels, channels), small, (kernel, 1, 1, True), (1, 1, 1, False)))


class _MixedCell(nn.Module):
    """A cell that computes every candidate at every edge, each times its entry of a 0/1 mask."""

    def __init__(self, widths: tuple[int, int], channels: int, sizes: tuple[int, int], reducing: bool, nodes: int):
        super().__init__()
        strides = (sizes[0] // sizes[1], 1)
        inputs = zip(widths, sizes, strides, strict=True)
        self.inputs = nn.ModuleList(_Convolution((w, channels), size, (1, s, 1, False)) for w, size, s in inputs)
        self.edges = nn.ModuleDict()
        for node in range(nodes):
            for source in range(node + 2):
                stride = 2 if reducing and source < 2 else 1
                size = sizes[1] if source < 2 or not reducing else -(-sizes[1] // 2)
                made = {name: _operation(name, channels, size, stride) for name in OPERATIONS}
                self.edges[f"{node},{source}"] = nn.ModuleDict(
                    {name: module for name, module in made.items() if module is not None}
                )

    def forward(self, before: Tensor, last: Tensor, cell: Cell) -> Tensor:
        states = [self.inputs[0](before), self.inputs[1](last)]
        for node, chosen in enumerate(cell.nodes):
            mask = {(edge.source, edge.operation): 1.0 for edge in chosen}
            terms = [
                mask.get((source, name), 0.0) * operation(states[source])
                for source in range(node + 2)
                for name, operation in self.edges[f"{node},{source}"].items()  # type: ignore[operator]
            ]
            states.append(torch.stack(terms).sum(0))
        return torch.cat(states[2:], dim=1)


class MixedSupernet(nn.Module):
    """A supernet of mixed operations over the same cells as the CARS space.

    Args:
        params: Settings of the space.
    """

    def __init__(self, params: CarsParams) -> None:
        super().__init__()
        size, image_channels = params.image_shape[0], params.image_shape[2]
        channels = params.channels
        self.stem = _Convolution((image_channels, 3 * channels), size, (3, 1, 1, False))
        self.cells, self._reducing = nn.ModuleList(), []
        widths, sizes = (3 * channels, 3 * channels), (size, size)
        for index in range(params.cells):
            reducing = index in params.reductions
            channels *= 2 if reducing else 1
            self.cells.append(_MixedCell(widths, channels, sizes, reducing, params.nodes))
            self._reducing.append(reducing)
            widths, sizes = (
                (widths[1], params.nodes * channels),
                (sizes[1], -(-sizes[1] // 2) if reducing else sizes[1]),
            )
        self.classifier = nn.Linear(widths[1], params.classes)

    def forward(self, images: Tensor, genotype: CarsGenotype) -> Tensor:
        """Return logits. Shape: (n, classes)."""
        before = last = self.stem(images)
        for cell, reducing in zip(self.cells, self._reducing, strict=True):
            chosen = genotype.reduction if reducing else genotype.normal
            before, last = last, cell(before, last, chosen)
        logits: Tensor = self.classifier(last.mean(dim=(2, 3)))
        return logits

    def accumulate(self, genotype: CarsGenotype, images: Tensor, labels: Tensor) -> float:
        """Compute the gradients of one step and return the loss."""
        self.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self(images, genotype), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()


if __name__ == "__main__":
    sys.exit(main())

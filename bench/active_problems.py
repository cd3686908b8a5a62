"""What bench/active.py chooses from: kernels of an emulated phone, and labelled blocks of real ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from predictor._gaussian import GaussianResidual
from predictor.adaptive import (
    Choice,
    Configurations,
    Design,
    KernelBelief,
    MeasurementCost,
    Networks,
    TargetSpace,
    choose,
    next_batch,
)
from profiler.kernels import FUSION_RULES, Fuser, Kernel
from profiler.network import (
    Add,
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    Mul,
    Network,
    Operator,
    Relu,
    Relu6,
    TensorSpec,
)
from profiler.phone import load_phone
from profiler.phone.soc import Placement, step_latencies_s, steps_of

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class Problem(ABC):
    """A pool of configurations that may be measured, and cases held out.

    Attributes:
        latency_ms: Latency of each configuration of the pool, as one measurement finds it.  Shape: (n_pool,).
    """

    latency_ms: Array

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> int:
        """Draw a configuration as what is to be predicted has them."""

    @abstractmethod
    def near(self, row: int) -> Rows:
        """Return the configurations that differ from one in channels alone, by a factor of 0.5 to 1.2."""

    @abstractmethod
    def pool_errors(self, rows: Rows, tested: Rows) -> Array:
        """Learn from some rows and return the relative errors on others.  Shape: (len(tested),)."""

    @abstractmethod
    def error(self, rows: Rows) -> float:
        """Learn from rows and return the mean relative error on what is held out."""

    @abstractmethod
    def choose(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """Return further rows as the project chooses them."""


class EmulatedKernels(Problem):
    """Kernels of networks with free channels, on the law of an emulated phone with noise.

    The error is that of whole networks that were drawn apart, as sums of their kernels, without noise.

    Args:
        seed: Of the noise.
        noise: Standard deviation of a measurement's logarithm.
    """

    _POOL, _HELD_OUT, _TARGETS = 300, 200, 100

    def __init__(self, seed: int, noise: float) -> None:
        rng = np.random.default_rng(0)
        self._pool, self._held_out = (_space(rng, count) for count in (self._POOL, self._HELD_OUT))
        self._truth_ms = self._held_out.counts @ _law_ms(self._held_out.kernels.kernels)
        drawn = np.random.default_rng([seed, 1]).standard_normal(len(self._pool.kernels))
        self.latency_ms = _law_ms(self._pool.kernels.kernels) * np.exp(noise * drawn)
        # Rounds, runs and the overhead of packs as `pocketnas profile` has them on a phone.
        self._cost = MeasurementCost(blocks=6, runs=15, block_s=1.0, kernels_per_pack=64)

    def draw(self, rng: np.random.Generator) -> int:
        """Draw a kernel of a network of the pool."""
        counts = self._pool.counts[rng.integers(len(self._pool.counts))]
        return int(rng.choice(len(counts), p=counts / counts.sum()))

    def near(self, row: int) -> Rows:
        """Return kernels of the same kind, map, window and stride."""
        points, kinds = self._pool.kernels.points, self._kinds
        away = points[:, :2] - points[row, :2]
        alike = (kinds == kinds[row]) & (np.abs(points[:, 2:8] - points[row, 2:8]) < 1e-9).all(axis=1)
        return np.flatnonzero(alike & (away >= -1.0).all(axis=1) & (away <= np.log2(1.2)).all(axis=1))

    def pool_errors(self, rows: Rows, tested: Rows) -> Array:
        """Return the errors on kernels."""
        predicted = self._learnt(rows).latency_ms(self._pool.kernels.take(tested))
        return np.abs(predicted / self.latency_ms[tested] - 1.0)

    def error(self, rows: Rows) -> float:
        """Return the mean error on networks held out."""
        predicted_ms = self._held_out.counts @ self._learnt(rows).latency_ms(self._held_out.kernels)
        return float(np.abs(predicted_ms / self._truth_ms - 1.0).mean())

    def choose(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """Return kernels as `pocketnas profile --adaptive` chooses them for 100 networks of the pool."""
        own = np.sort(rng.permutation(len(self._pool.counts))[: self._TARGETS])
        used = np.flatnonzero(self._pool.counts[own].any(axis=0))
        space = TargetSpace(self._pool.kernels.take(used), self._pool.counts[np.ix_(own, used)])
        batch = next_batch(
            self._learnt(rows),
            space,
            Networks(TargetSpace.of_kernels([])),
            self._cost,
            count=count,
            done=frozenset(self._pool.kernels.kernels[row] for row in rows),
            further=Configurations.of([]),
            rng=rng,
        )
        return np.array([self._positions[kernel] for kernel in batch.kernels], dtype=np.intp)

    def _learnt(self, rows: Rows) -> KernelBelief:
        return KernelBelief.fit(self._pool.kernels.take(rows), self.latency_ms[rows])

    @cached_property
    def _positions(self) -> dict[Kernel, int]:
        return {kernel: index for index, kernel in enumerate(self._pool.kernels.kernels)}

    @cached_property
    def _kinds(self) -> npt.NDArray[np.str_]:
        return np.array([kernel.kind for kernel in self._pool.kernels.kernels])


def _space(rng: np.random.Generator, count: int) -> TargetSpace:
    fuser = Fuser(FUSION_RULES["benchmark_model"])
    return TargetSpace.of_kernels([fuser(free_channel_network(rng)) for _ in range(count)])


def _law_ms(kernels: Sequence[Kernel]) -> Array:
    placement = Placement((7,), 1, "xnnpack")
    steps = [steps_of(kernel.network, delegate=placement.delegate) for kernel in kernels]
    seconds = step_latencies_s(load_phone("pixel4").soc, [step for own in steps for step in own], placement)
    starts = np.cumsum([0, *(len(own) for own in steps[:-1])])
    return np.asarray(1e3 * np.add.reduceat(seconds, starts))


def free_channel_network(rng: np.random.Generator) -> Network:
    """Return a network of inverted residuals whose channels, windows, depths and resolution are all free.

    Such spaces are what channel search and once-for-all networks have: hardly a kernel occurs in two of them.
    """
    operators: list[Operator] = []

    def add(operator: Operator) -> str:
        operators.append(operator)
        return operator.name

    def activated(tensor: str, kind: type[Operator]) -> str:
        return add(kind(f"{tensor}/act", (tensor,)))

    def conv(name: str, source: str, channels: int, kernel: int = 1, stride: int = 1) -> str:
        return add(Conv2d(name, (source,), channels, (kernel, kernel), (stride, stride)))

    resolution = int(rng.choice((160, 176, 192, 208, 224)))
    channels = _channels(rng, 12, 48)
    tensor = activated(conv("stem", "image", channels, 3, 2), Relu6)
    for stage, (usual, first_stride) in enumerate(((16, 2), (24, 2), (40, 2), (80, 1), (112, 2), (192, 1))):
        width, activation = _channels(rng, usual / 2, 2 * usual), Relu6 if stage < 3 else HardSwish
        for block in range(int(rng.integers(1, 4))):
            name, stride = f"s{stage}/b{block}", first_stride if block == 0 else 1
            hidden, window = _fours(channels * rng.uniform(1.5, 6.0)), int(rng.choice((3, 5, 7)))
            inner = activated(conv(f"{name}/expand", tensor, hidden), activation)
            inner = add(DepthwiseConv2d(f"{name}/depth", (inner,), (window, window), (stride, stride)))
            inner = activated(inner, activation)
            if rng.random() < 0.3:
                squeezed = add(GlobalAvgPool2d(f"{name}/pool", (inner,), True))
                squeezed = activated(conv(f"{name}/reduce", squeezed, max(hidden // 4, 4)), Relu)
                gate = activated(conv(f"{name}/restore", squeezed, hidden), HardSigmoid)
                inner = add(Mul(f"{name}/scale", (inner, gate)))
            inner = conv(f"{name}/project", inner, width)
            residual = stride == 1 and width == channels
            tensor = add(Add(f"{name}/add", (inner, tensor))) if residual else inner
            channels = width
    tensor = activated(conv("head", tensor, _channels(rng, 480, 1920)), HardSwish)
    logits = add(Dense("logits", (add(GlobalAvgPool2d("pool", (tensor,))),), 1000))
    return Network("free", [TensorSpec("image", (1, resolution, resolution, 3))], operators, [logits])


def _channels(rng: np.random.Generator, least: float, most: float) -> int:
    return _fours(float(np.exp(rng.uniform(np.log(least), np.log(most)))))


def _fours(channels: float) -> int:
    return max(round(channels / 4), 1) * 4


@dataclass(frozen=True)
class _BlockModel:
    """Non-negative costs of a type of blocks, and a process on what they leave."""

    costs: Array
    process: GaussianResidual | None


class PhoneBlocks(Problem):
    """Blocks that others labelled on a real phone; the error is that of blocks held out, each counting alike.

    Args:
        seed: Of what is held out.
        folder: nn-meter's folder of the shared data.
        device: Column of the labels.
    """

    _HELD_OUT, _LOOKED_AT = 2000, 1500
    _LEAST_OWN = 30
    """Labels of a type from which it has costs and length scales of its own."""
    _PRIOR_LEVEL, _LEVEL = 0.5, 0.1

    def __init__(self, seed: int, folder: Path, device: str) -> None:
        frame = pd.read_csv(folder / "block_latency.csv.gz")
        order = np.random.default_rng([seed, 2]).permutation(len(frame))
        frame = frame.iloc[np.concatenate([order[self._HELD_OUT :], order[: self._HELD_OUT]])]
        parsed = [_block_sizes(key) for key in frame["key"]]
        self._types = np.array([kind for kind, _ in parsed])
        sizes = np.array([numbers for _, numbers in parsed], dtype=np.float64)
        self._points, self._work = _block_points(sizes), _block_work(sizes)
        self._labels_ms = frame[device].to_numpy(dtype=np.float64)
        self._pool = len(frame) - self._HELD_OUT
        self.latency_ms = self._labels_ms[: self._pool]

    def draw(self, rng: np.random.Generator) -> int:
        """Draw a block; all are alike."""
        return int(rng.integers(self._pool))

    def near(self, row: int) -> Rows:
        """Return blocks of the same type, map, window, stride and expansion."""
        points = self._points[: self._pool]
        away = points[:, 1:3] - points[row, 1:3]
        alike = (self._types[: self._pool] == self._types[row]) & (
            np.abs(points[:, [0, 3, 4, 5, 6]] - points[row, [0, 3, 4, 5, 6]]) < 1e-9
        ).all(axis=1)
        return np.flatnonzero(alike & (away >= -1.0).all(axis=1) & (away <= np.log2(1.2)).all(axis=1))

    def pool_errors(self, rows: Rows, tested: Rows) -> Array:
        """Return the errors on blocks."""
        return np.abs(self._predicted_ms(self._learnt(rows), tested) / self._labels_ms[tested] - 1.0)

    def error(self, rows: Rows) -> float:
        """Return the mean error on blocks held out."""
        return float(self.pool_errors(rows, np.arange(self._pool, len(self._labels_ms))).mean())

    def choose(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """Return blocks that reduce the mean variance of the pool most."""
        learnt = self._learnt(rows)
        open_ = np.setdiff1d(np.arange(self._pool), rows)
        candidates = rng.permutation(open_)[: self._LOOKED_AT]
        targets = rng.permutation(self._pool)[: self._LOOKED_AT]
        cross, among = np.zeros((len(targets), len(candidates))), np.zeros((len(candidates), len(candidates)))
        noise = np.ones(len(candidates))
        for kind in np.unique(self._types):
            left, right = (np.flatnonzero(self._types[some] == kind) for some in (targets, candidates))
            own = rows[self._types[rows] == kind]
            process = _process(learnt.get(kind), self._points.shape[1])
            posterior = _Posterior(process, self._points[own], self._LEVEL if len(own) else self._PRIOR_LEVEL)
            asked, offered = self._points[targets[left]], self._points[candidates[right]]
            cross[np.ix_(left, right)] = posterior.covariance(asked, offered)
            among[np.ix_(right, right)] = posterior.covariance(offered, offered)
            noise[right] = process.noise**2
        equal = np.ones(len(candidates))
        choice: Choice = choose(Design(cross, among, noise, np.ones(len(targets)), equal), count)
        return candidates[choice.candidates]

    def _learnt(self, rows: Rows) -> dict[str, _BlockModel]:
        if len(rows) == 0:
            return {}
        pooled = _non_negative(self._work[rows], self._labels_ms[rows])
        models = {}
        for kind in np.unique(self._types):
            own = rows[self._types[rows] == kind]
            if len(own) == 0:
                models[kind] = _BlockModel(pooled, None)
                continue
            enough = len(own) >= self._LEAST_OWN
            costs = _non_negative(self._work[own], self._labels_ms[own]) if enough else pooled
            residuals = np.log(self._labels_ms[own] / _base_ms(costs, self._work[own]))
            if not enough:
                level = float(np.median(residuals))
                costs, residuals = costs * np.exp(level), residuals - level
            models[kind] = _BlockModel(costs, GaussianResidual.fit(self._points[own], residuals, 0, search=enough))
        return models

    def _predicted_ms(self, models: dict[str, _BlockModel], rows: Rows) -> Array:
        found = np.empty(len(rows))
        for kind, model in models.items():
            own = np.flatnonzero(self._types[rows] == kind)
            found[own] = _base_ms(model.costs, self._work[rows[own]])
            if model.process is not None and len(own):
                found[own] *= np.exp(model.process.predict(self._points[rows[own]])[0])
        return found


class _Posterior:
    """A process and a level, given the rows measured so far."""

    def __init__(self, process: GaussianResidual, rows: Array, level: float) -> None:
        self._process, self._rows, self._level = process, rows, level
        self._root = np.linalg.cholesky(self._prior(rows, rows) + process.noise**2 * np.eye(len(rows)))

    def covariance(self, left: Array, right: Array) -> Array:
        return np.asarray(self._prior(left, right) - self._explained(left).T @ self._explained(right))

    def _prior(self, left: Array, right: Array) -> Array:
        return self._process.covariance(left, right) + self._level**2

    def _explained(self, points: Array) -> Array:
        cross = self._prior(self._rows, points)
        return np.asarray(solve_triangular(self._root, cross, lower=True)) if len(cross) else cross


def _process(model: _BlockModel | None, columns: int) -> GaussianResidual:
    if model is not None and model.process is not None:
        return model.process
    return GaussianResidual.fit(np.zeros((1, columns)), np.zeros(1), 0, search=False)


def _block_sizes(key: str) -> tuple[str, list[float]]:
    """Return a block's type and its size, channels in and out, expansion, stride, window, squeeze-and-excite."""
    kind, *rest = key.replace("hard_swish", "act").split("_")
    numbers = [float(part) for part in rest if part.isdigit()]
    excite = float("se" in rest)
    if kind == "conv":
        return kind, [*numbers, excite]
    if kind == "firstconv":
        size, inputs, outputs, stride, window = numbers
        return kind, [size, inputs, outputs, 1.0, stride, window, excite]
    if kind == "transds":
        size, inputs, outputs, stride, expansion = numbers
        return kind, [size, inputs, outputs, expansion, stride, 3.0, excite]
    if kind == "mbpool":
        size, inputs, outputs, expansion = numbers
        return kind, [size, inputs, outputs, expansion, 1.0, 1.0, excite]
    size, inputs, expansion = numbers
    return kind, [size, inputs, inputs, expansion, 1.0, 1.0, excite]


def _block_points(sizes: Array) -> Array:
    """Return coordinates in octaves, shares of idle lanes and flags.  Shape: (n, 10)."""
    idle = (-sizes[:, 1:3] % 8) / 8
    same = (sizes[:, 1] == sizes[:, 2]).astype(np.float64)
    return np.column_stack([np.log2(sizes[:, :6]), sizes[:, 6], idle, same])


def _block_work(sizes: Array) -> Array:
    """Return amounts of work: convolutions, traffic, attention, weights; each over its greatest.  Shape: (n, 13)."""
    size, inputs, outputs, expansion, stride, window, excite = sizes.T
    area, smaller, hidden = size**2, (size / stride) ** 2, inputs * expansion
    terms: list[Any] = [
        np.ones(len(sizes)), area * inputs * hidden, area * hidden, smaller * hidden * window**2,
        smaller * hidden * outputs, smaller * inputs * outputs, hidden**2 * excite, area * inputs, smaller * outputs,
        area**2 * inputs, area**2, hidden * outputs, inputs * outputs,
    ]  # fmt: skip
    work = np.column_stack(terms)
    return np.asarray(work / work.max(axis=0))


def _non_negative(work: Array, latency_ms: Array) -> Array:
    """Return non-negative costs and a floor, by least squares on relative errors."""
    relative = work / latency_ms[:, None]
    pull = 1e-3 * np.sqrt(len(work)) * np.diag(relative.mean(axis=0))
    costs, _ = nnls(np.vstack([relative, pull]), np.concatenate([np.ones(len(work)), np.zeros(work.shape[1])]))
    return np.append(costs, 0.1 * latency_ms.min())


def _base_ms(costs: Array, work: Array) -> Array:
    return np.asarray(np.maximum(work @ costs[:-1], costs[-1]))

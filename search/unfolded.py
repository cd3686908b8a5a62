"""Networks while they are trained: with batch norm, in torch, on weights that others own.

A `Network` has no batch norm.  Here each of its convolutions with a bias carries one in the bias' place;
`UnfoldedNetwork.fold` joins the two again.  Since the operators that run here are the Network's own,
what is trained, scored and exported cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from profiler.network import Conv2d, Dense, DepthwiseConv2d, GlobalAvgPool2d, Network, Operator, PRelu
from search._convolution import convolution
from search._slices import parts_of
from search._stateless import margins, stateless
from search.errors import SupernetError

EPSILON = 1e-5
"""Added to variances, as torch's batch norm does."""

SCORED_AT_ONCE = 256
"""Images a batch where there is no gradient: small enough for the caches, large enough for the overhead."""

_INITIAL = {"scale": 1.0, "shift": 0.0, "bias": 0.0, "alpha": 0.25}
"""What weights start from that are not drawn, by role.  All others are kernels, or blocks of kernels."""

Weights = Mapping[str, Tensor]
"""Tensors by "operator/role" or, for one block of a kernel, "operator/kernel/part"."""


@dataclass(frozen=True)
class ChannelStatistics:
    """Mean and variance of each channel that a batch norm subtracts and divides by.

    Attributes:
        mean: Shape: (channels,).
        variance: Without Bessel's correction.  Shape: (channels,).
    """

    mean: Tensor
    variance: Tensor


class Normalisation(Protocol):
    """Where a batch norm takes its statistics from."""

    def __call__(self, operator: str, values: Tensor) -> ChannelStatistics | None:
        """Return the statistics for the output of a convolution; None for those of the values themselves.

        Args:
            operator: Name of the convolution.
            values: Its output.  Shape: (n, channels, height, width).
        """
        ...


def batch_statistics(operator: str, values: Tensor) -> None:
    """Normalise by the batch itself: how networks are trained.  Nothing is remembered between batches."""


class RecordingStatistics:
    """Normalises by the batch itself, and remembers the statistics over all batches."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[int, Tensor, Tensor]] = {}

    def __call__(self, operator: str, values: Tensor) -> ChannelStatistics:
        """Return the batch's statistics, and add them to the record."""
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
        count = values.numel() // values.shape[1]
        before = self._sums.get(operator, (0, torch.zeros_like(mean), torch.zeros_like(mean)))
        squares = before[2] + count * (variance + mean**2)
        self._sums[operator] = before[0] + count, before[1] + count * mean, squares
        return ChannelStatistics(mean, variance)

    def statistics(self) -> dict[str, ChannelStatistics]:
        """Return the statistics over all values so far, by convolution."""
        return {
            operator: ChannelStatistics(total / count, (squares / count - (total / count) ** 2).clamp_min(0))
            for operator, (count, total, squares) in self._sums.items()
        }


class FixedStatistics:
    """Normalises by statistics that were recorded before: how networks are scored and exported."""

    def __init__(self, statistics: Mapping[str, ChannelStatistics]) -> None:
        self._statistics = statistics

    def __call__(self, operator: str, values: Tensor) -> ChannelStatistics:
        """Return the recorded statistics of a convolution."""
        return self._statistics[operator]


_Step = Callable[[Sequence[Tensor], Weights, Normalisation], Tensor | tuple[Tensor, ...]]


class UnfoldedNetwork:
    """A classifier's Network, to run on torch weights with batch norm behind each biased convolution.

    What a global average pool leaves is no map any more: convolutions of it, as in squeeze-and-excite, keep
    their bias.

    Args:
        network: One input of shape (1, height, width, channels), one output of shape (1, classes).
        input_parts: See `SearchSpace.input_parts`.

    Attributes:
        network: The Network.
        input_parts: The parts of its operators' inputs.
        weight_shapes: Shape of each weight, in torch's layout (channels first).
        output_kernels: Names of the weights that make the output, where it is a Dense layer's.

    Raises:
        SupernetError: An operator is of a kind that cannot be trained here.
    """

    def __init__(self, network: Network, input_parts: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.network = network
        self.input_parts = input_parts or {}
        self.weight_shapes: dict[str, tuple[int, ...]] = {}
        self._kernels: dict[str, tuple[str, ...]] = {}
        self._normalised = _normalised(network)
        for operator in network.operators:
            self._declare_weights(operator, self.input_parts.get(operator.name, ()))
        last = network.producer(network.outputs[0])
        self.output_kernels = frozenset(self._kernels[last.name] if isinstance(last, Dense) else ())
        self._steps = [
            (self._step(operator), operator.inputs, operator.outputs, finished)
            for operator, finished in zip(network.operators, _finished(network), strict=True)
        ]

    def run(self, weights: Weights, images: Tensor, normalisation: Normalisation) -> Tensor:
        """Return the logits of some images.

        Args:
            weights: At least those of weight_shapes.  Of larger ones the leading channels and the centre of
                the window are used; the rest gets a gradient of 0.
            images: Shape: (n, channels, height, width), best in channels-last memory.
            normalisation: Where batch norms take their statistics from.

        Returns:
            Shape: (n, classes).

        Raises:
            SupernetError: A weight is missing or too small.
        """
        own = parts_of(weights, self.weight_shapes)
        tensors = {self.network.inputs[0].name: images}
        for step, inputs, outputs, finished in self._steps:
            made = step([tensors[name] for name in inputs], own, normalisation)
            if isinstance(made, Tensor):
                tensors[outputs[0]] = made
            else:
                tensors.update(zip(outputs, made, strict=True))
            for name in finished:
                del tensors[name]
        return tensors[self.network.outputs[0]]

    def fold(self, weights: Weights, statistics: Mapping[str, ChannelStatistics]) -> Network:
        """Return the Network with weights into which the batch norms are folded.

        Args:
            weights: As in `run`.
            statistics: Of each convolution with a batch norm.

        Raises:
            SupernetError: A weight is missing or too small.
        """
        folded: dict[str, npt.NDArray[np.float32]] = {}
        with torch.no_grad():
            own = parts_of(weights, self.weight_shapes)
            for operator in self.network.operators:
                if isinstance(operator, PRelu):
                    folded[f"{operator.name}/alpha"] = own[f"{operator.name}/alpha"].numpy(force=True).copy()
                if operator.name not in self._kernels:
                    continue
                kernel, bias = _joined(self._kernels[operator.name], own), own.get(f"{operator.name}/bias")
                if operator.name in self._normalised:
                    found = statistics[operator.name]
                    gain = own[f"{operator.name}/scale"] * (found.variance + EPSILON).rsqrt()
                    kernel = kernel * gain[:, None, None, None]
                    bias = own[f"{operator.name}/shift"] - found.mean * gain
                folded[f"{operator.name}/kernel"] = _network_layout(operator, kernel)
                if bias is not None:
                    folded[f"{operator.name}/bias"] = bias.numpy(force=True).copy()
        return self.network.with_weights(folded)

    def _declare_weights(self, operator: Operator, parts: tuple[str, ...]) -> None:
        """Note the names and shapes of an operator's weights, its kernel cut into one block for each part."""
        shapes = operator.weight_shapes(self.network.input_specs(operator))
        if not shapes:
            return
        if isinstance(operator, PRelu):
            self.weight_shapes[f"{operator.name}/alpha"] = shapes["alpha"]
            return
        if not isinstance(operator, (Conv2d, DepthwiseConv2d, Dense)):
            raise SupernetError(f"operator {operator.name!r} of kind {operator.kind!r} cannot be trained here")
        shape = shapes["kernel"]
        if isinstance(operator, DepthwiseConv2d):
            shape = (shape[3], 1, *shape[1:3])
        elif isinstance(operator, Conv2d):
            shape = (shape[0], shape[3], *shape[1:3])
        blocks = tuple(f"{operator.name}/kernel/{part}" for part in parts) or (f"{operator.name}/kernel",)
        if shape[1] % len(blocks):
            raise SupernetError(f"{operator.name!r}: {shape[1]} input channels do not divide into {len(blocks)} parts")
        for block in blocks:
            self.weight_shapes[block] = (shape[0], shape[1] // len(blocks), *shape[2:])
        self._kernels[operator.name] = blocks
        if operator.name in self._normalised:
            self.weight_shapes |= {f"{operator.name}/scale": (shape[0],), f"{operator.name}/shift": (shape[0],)}
        elif "bias" in shapes:
            self.weight_shapes[f"{operator.name}/bias"] = (shape[0],)

    def _step(self, operator: Operator) -> _Step:
        """Return the function that runs an operator."""
        match operator:
            case Conv2d() | DepthwiseConv2d():
                return self._convolution(operator)
            case Dense(name=name):
                blocks = self._kernels[name]
                return lambda inputs, weights, _: functional.linear(
                    inputs[0], _joined(blocks, weights), weights.get(f"{name}/bias")
                )
            case PRelu(name=name):
                return lambda inputs, weights, _: functional.prelu(inputs[0], weights[f"{name}/alpha"])
            case _:
                compute = stateless(operator, self.network.input_specs(operator))
                return lambda inputs, _, __: compute(inputs)

    def _convolution(self, operator: Conv2d | DepthwiseConv2d) -> _Step:
        spec = self.network.input_specs(operator)[0]
        convolve = convolution(
            groups=operator.groups if isinstance(operator, Conv2d) else spec.shape[3],
            kernel=operator.kernel,
            stride=operator.stride,
            dilation=operator.dilation,
            margins=margins(operator, spec, operator.dilation),
        )
        name, blocks = operator.name, self._kernels[operator.name]
        if name in self._normalised:
            return lambda inputs, weights, normalisation: _normalise(
                convolve(inputs[0], _joined(blocks, weights)), name, weights, normalisation
            )
        if operator.use_bias:
            return lambda inputs, weights, _: (
                convolve(inputs[0], _joined(blocks, weights)) + weights[f"{name}/bias"][:, None, None]
            )
        return lambda inputs, weights, _: convolve(inputs[0], _joined(blocks, weights))


def _normalised(network: Network) -> set[str]:
    """Return the convolutions that carry a batch norm: the biased ones that read a map."""
    pooled: set[str] = set()
    for operator in network.operators:
        if isinstance(operator, GlobalAvgPool2d) or pooled.issuperset(operator.inputs):
            pooled.update(operator.outputs)
    return {
        operator.name
        for operator in network.operators
        if isinstance(operator, (Conv2d, DepthwiseConv2d)) and operator.use_bias and operator.name not in pooled
    }


def _finished(network: Network) -> list[tuple[str, ...]]:
    """Return, for each operator, the tensors that nothing reads after it."""
    left = {name: len(network.consumers(name)) for name in network.tensors}
    finished: list[tuple[str, ...]] = []
    for operator in network.operators:
        for name in set(operator.inputs):
            left[name] -= 1
        dead = (name for name in {*operator.inputs, *operator.outputs} if not left[name])
        finished.append(tuple(name for name in dead if name not in network.outputs))
    return finished


def _joined(blocks: tuple[str, ...], weights: Weights) -> Tensor:
    """Return a kernel whose blocks stand beside each other along its input channels."""
    return weights[blocks[0]] if len(blocks) == 1 else torch.cat([weights[block] for block in blocks], dim=1)


def _normalise(values: Tensor, name: str, weights: Weights, normalisation: Normalisation) -> Tensor:
    found = normalisation(name, values)
    mean, variance = (None, None) if found is None else (found.mean, found.variance)
    scale, shift = weights[f"{name}/scale"], weights[f"{name}/shift"]
    return functional.batch_norm(values, mean, variance, scale, shift, training=found is None, eps=EPSILON)


def _network_layout(operator: Operator, kernel: Tensor) -> npt.NDArray[np.float32]:
    """Return a kernel with channels last, as Network has it."""
    if isinstance(operator, DepthwiseConv2d):
        kernel = kernel.permute(1, 2, 3, 0)
    elif isinstance(operator, Conv2d):
        kernel = kernel.permute(0, 2, 3, 1)
    return np.ascontiguousarray(kernel.detach().numpy())


def initial_weights(
    shapes: Mapping[str, tuple[int, ...]], rng: np.random.Generator, *, zero: Collection[str] = ()
) -> dict[str, Tensor]:
    """Return weights to start training from, each a leaf that asks for its gradient.

    Kernels are He-normal (He et al. 2015, fan-in), batch norms the identity, biases 0, slopes of PReLUs 0.25.

    Args:
        shapes: Of each weight by name, as in `UnfoldedNetwork.weight_shapes`.
        rng: Draws the kernels, in the order of `shapes`.
        zero: Kernels that are 0 instead, best `UnfoldedNetwork.output_kernels`: what reaches these has the
            scale that the architecture happens to give it, and logits should all start alike.
    """
    weights: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        role = name.rpartition("/")[2]
        if role not in _INITIAL and name not in zero:
            values = rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        else:
            values = np.full(shape, _INITIAL.get(role, 0.0), dtype=np.float32)
        weight = torch.from_numpy(values)
        if weight.dim() == 4:
            weight = weight.contiguous(memory_format=torch.channels_last)
        weights[name] = weight.requires_grad_()
    return weights

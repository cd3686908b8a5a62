"""What lowering an operator to TFLite needs at hand: the graph, its tensors, weights and int8 scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from profiler.formats._fused_activations import fused_activations
from profiler.formats._int8_scales import ActivationScale, activation_scales
from profiler.formats._tflite_graph import Affine, TfliteGraph
from profiler.formats.quantization import Quantization
from profiler.network import Network, Operator

_NO_ACTIVATION = 0
_ACTIVATION_CODES: Mapping[str, int] = {"relu": 1, "relu6": 3}
_LARGEST_BIAS = 2**30  # leaves the int32 accumulator room for the products


class TfliteLowering:
    """A network on its way into a TFLite graph.

    Args:
        network: The network, with the weights that its operators need.
        quantization: Ranges of its tensors for an int8 model; None for float32.

    Raises:
        NetworkError: The quantization lacks a tensor.
    """

    def __init__(self, network: Network, quantization: Quantization | None) -> None:
        self.network = network
        self.graph = TfliteGraph()
        self._fused = fused_activations(network)
        self._scales = None if quantization is None else activation_scales(network, quantization, self._fused)
        self._weights: Mapping[str, NDArray[np.float32]] = network.weights or {}
        self._indices: dict[str, int] = {}

    @property
    def is_int8(self) -> bool:
        """Whether activations are int8."""
        return self._scales is not None

    @property
    def version(self) -> int:
        """The version that most TFLite operators have: 2 where they gained int8, 1 for float32."""
        return 2 if self.is_int8 else 1

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor of the network."""
        return self.network.tensors[tensor].shape

    def scale(self, tensor: str) -> ActivationScale | None:
        """Return the scale of a tensor of the network; None in a float32 model."""
        return None if self._scales is None else self._scales[tensor]

    def is_fused(self, operator: Operator) -> bool:
        """Whether an activation is applied by the operator before it and needs none of its own."""
        return self._fused.get(operator.inputs[0]) is operator

    def activation(self, operator: Operator) -> int:
        """Return the schema's code of the activation that an operator applies to its result."""
        fused = self._fused.get(operator.name)
        return _NO_ACTIVATION if fused is None else _ACTIVATION_CODES[fused.kind]

    def index(self, tensor: str) -> int:
        """Return the index of a tensor of the network, adding it to the graph when it is new."""
        if tensor not in self._indices:
            self._indices[tensor] = self.temporary(tensor, self.shape(tensor), self.scale(tensor))
        return self._indices[tensor]

    def inputs(self, operator: Operator) -> list[int]:
        """Return the indices of an operator's inputs."""
        return [self.index(tensor) for tensor in operator.inputs]

    def output(self, operator: Operator) -> int:
        """Return the index of the tensor that an operator with one output writes, after its fused activation."""
        fused = self._fused.get(operator.name)
        return self.index(operator.name if fused is None else fused.name)

    def temporary(self, name: str, shape: Sequence[int], scale: ActivationScale | None) -> int:
        """Add a tensor that the network itself does not have; int8 exactly when it has a scale."""
        if scale is None:
            return self.graph.tensor(name, shape, "float32")
        affine = Affine(np.array([scale.scale], np.float32), scale.zero_point)
        return self.graph.tensor(name, shape, "int8", affine)

    def weight(self, operator: Operator, role: str) -> NDArray[np.float32]:
        """Return a weight of an operator."""
        return self._weights[f"{operator.name}/{role}"]

    def constant(self, name: str, values: NDArray[np.float32]) -> int:
        """Add a constant; in an int8 model with one scale and zero point 0."""
        if not self.is_int8:
            return self.graph.constant(name, values)
        scales = _symmetric_scales(np.abs(values).max(keepdims=True).reshape(1))
        return self.graph.constant(name, _quantized(values, scales), Affine(scales, 0))

    def kernel_and_bias(self, operator: Operator, *, channel_axis: int | None) -> tuple[int, int]:
        """Add an operator's kernel and bias; a bias of zeros where it has none, which every runtime's fast path wants.

        Args:
            operator: A convolution or dense layer.
            channel_axis: The kernel's axis of output channels, which have a scale each in an int8 model;
                None for one scale.

        Returns:
            Indices of kernel and bias.
        """
        names = f"{operator.name}/kernel", f"{operator.name}/bias"
        kernel = self._weights[names[0]]
        bias = self._weights.get(names[1], np.zeros(kernel.shape[channel_axis or 0], np.float32))
        activation_scale = self.scale(operator.inputs[0])
        if activation_scale is None:
            return self.graph.constant(names[0], kernel), self.graph.constant(names[1], bias)
        input_scale = activation_scale.scale
        scales = _kernel_scales(kernel, bias, input_scale, channel_axis)
        spread = scales.reshape([-1 if axis == channel_axis else 1 for axis in range(kernel.ndim)])
        bias_affine = Affine((input_scale * scales).astype(np.float32), 0)
        bias_values = np.rint(bias.astype(np.float64) / bias_affine.scales).astype(np.int32)
        return (
            self.graph.constant(names[0], _quantized(kernel, spread), Affine(scales, 0, channel_axis or 0)),
            self.graph.constant(names[1], bias_values, bias_affine),
        )


def _kernel_scales(
    kernel: NDArray[np.float32], bias: NDArray[np.float32], input_scale: float, channel_axis: int | None
) -> NDArray[np.float32]:
    """Return symmetric scales of a kernel, large enough that the bias fits an int32 at input scale times them."""
    others = tuple(axis for axis in range(kernel.ndim) if axis != channel_axis)
    peaks = np.abs(kernel).max(axis=others).reshape(-1)
    bias_peaks = np.abs(bias) if channel_axis is not None else np.abs(bias).max(keepdims=True)
    return np.maximum(_symmetric_scales(peaks), bias_peaks / (input_scale * _LARGEST_BIAS)).astype(np.float32)


def _symmetric_scales(peaks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return scales that reach peaks; a channel of zeros gets the largest one's, or 1 if there is none."""
    return (np.where(peaks > 0, peaks, peaks.max() or 1) / 127).astype(np.float32)


def _quantized(values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.int8]:
    steps: NDArray[np.float32] = np.clip(np.rint(values / scales), -127, 127)
    return steps.astype(np.int8)

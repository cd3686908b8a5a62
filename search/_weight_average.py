"""A running average of the weights of a training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_SLOW_START = 10
"""After t steps the decay is at most (1 + t) / (10 + t), so that the first weights are soon forgotten."""


class WeightAverage:
    """Exponential moving average (EMA) of weights; with a decay of 0, the weights themselves.

    Args:
        weights: What is averaged; they are followed as they change.
        decay: Share of the average that a step leaves, 0 to 1 (excluded).

    Attributes:
        weights: The average, by the names of the weights.

    Source: the slow start is TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self._followed, self._decay = [weight.detach() for weight in weights.values()], decay
        self.weights: Mapping[str, Tensor] = weights
        if decay:
            self.weights = {name: weight.detach().clone() for name, weight in weights.items()}
        self._averages = [weight.detach() for weight in self.weights.values()]

    def update(self, step: int) -> None:
        """Take in the weights after a step; steps count from 0."""
        if self._decay:
            decay = min(self._decay, (1 + step) / (_SLOW_START + step))
            torch._foreach_lerp_(self._averages, self._followed, 1 - decay)

"""The accuracy of a network under shared weights: what every engine computes, to the last bit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from search.augmentation import labels_to_torch, to_torch
from search.images import Images, Labels
from search.training import recorded_statistics
from search.unfolded import SCORED_AT_ONCE, FixedStatistics, UnfoldedNetwork, Weights


@dataclass(frozen=True, eq=False)
class ScoringImages:
    """What networks are scored on.

    Attributes:
        calibration: Images that batch norm statistics are recorded on.  Shape: (n, channels, height, width).
        validation: Images to classify.  Shape: (m, channels, height, width).
        labels: Classes of the latter.  Shape: (m,).
    """

    calibration: Tensor
    validation: Tensor
    labels: Tensor

    @classmethod
    def of(cls, calibration: Images, validation: Images, labels: Labels) -> ScoringImages:
        """Copy images (n, height, width, channels) into memory of torch's own."""
        return cls(to_torch(calibration).clone(), to_torch(validation).clone(), labels_to_torch(labels).clone())


def own_weights(weights: Weights) -> dict[str, Tensor]:
    """Copy weights into memory of torch's own, kernels with channels last.

    Strides and alignment of what was given decide which code computes; after this they are the same everywhere.
    """
    return {name: _own(weight.detach()) for name, weight in weights.items()}


def score(unfolded: UnfoldedNetwork, weights: Weights, images: ScoringImages) -> float:
    """Return the share of validation images that a network classifies rightly; NaN if its logits are not finite.

    Args:
        unfolded: The network.
        weights: Shared weights, as `own_weights` returns them.
        images: What to calibrate and score on.
    """
    fixed, right = FixedStatistics(recorded_statistics(unfolded, weights, images.calibration)), 0
    with torch.no_grad():
        parts = zip(
            *(torch.split(values, SCORED_AT_ONCE) for values in (images.validation, images.labels)), strict=True
        )
        for some, classes in parts:
            logits = unfolded.run(weights, some, fixed)
            if not bool(torch.isfinite(logits).all()):
                return float("nan")
            right += int((logits.argmax(1) == classes).sum())
    return right / len(images.labels)


def _own(weight: Tensor) -> Tensor:
    memory_format = torch.channels_last if weight.dim() == 4 else torch.contiguous_format
    return torch.empty(weight.shape, dtype=weight.dtype, memory_format=memory_format).copy_(weight)

"""What devices before it say of a new one: a Gaussian process over architectures.

Known devices are draws from the process. A new one is

    level + (1 + contrast) * mean of the known + a combination of their factors + what is new + error

with factors and the spread of combinations from the singular vectors of the known devices, and what is new split
into an offset a kind, a smooth function of the architecture, and a smooth function of the known latencies.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from predictor._features import FloatArray
from predictor.transfer._architectures import Architectures, IntArray
from predictor.transfer._source_functions import likeness

_FACTORS = 8
_COORDINATES = 3


@dataclass(frozen=True)
class Widths:
    """Standard deviations of the parts of the prior, on the scale of the functions.

    Attributes:
        level: Of a constant that is added everywhere.
        contrast: Of the factor of the mean function, around 1.
        offset: Of a constant for each kind.
        shape: Of the smooth function of choices and sizes.
        near: Of the smooth function of the known devices' latencies.
        noise: Of a label's own error.
    """

    level: float = 0.1
    contrast: float = 0.15
    offset: float = 0.05
    shape: float = 0.05
    near: float = 0.03
    noise: float = 0.03

    def scaled(self, name: str, factor: float) -> Widths:
        """Return widths with one of them times a factor."""
        return replace(self, **{name: getattr(self, name) * factor})

    def with_new_parts(self, factor: float) -> Widths:
        """Return widths with all that no known device showed times a factor."""
        return replace(self, offset=self.offset * factor, shape=self.shape * factor, near=self.near * factor)

    @staticmethod
    def names() -> tuple[str, ...]:
        """Return the names of the widths."""
        return tuple(field.name for field in fields(Widths))


@dataclass(frozen=True, eq=False)
class DevicePrior:
    """The process of a new device over one catalogue.

    Attributes:
        mean: Mean of the known devices. Shape: (n,).
        factors: Factors times the root of their combinations' covariance, so that coefficients of a new device are
            standard normal. Shape: (n, factors).
        coordinates: Where an architecture lies among known latencies, in standard deviations. Shape: (n, <= 3).
        architectures: The catalogue.
    """

    mean: FloatArray
    factors: FloatArray
    coordinates: FloatArray
    architectures: Architectures

    def __getitem__(self, rows: IntArray) -> DevicePrior:
        return DevicePrior(self.mean[rows], self.factors[rows], self.coordinates[rows], self.architectures[rows])

    def covariance(self, other: DevicePrior, widths: Widths) -> FloatArray:
        """Return the prior covariance between architectures of two parts, without the labels' error.

        Args:
            other: Another part of the same process. Length: m.
            widths: How wide the parts of the prior are.

        Returns:
            Shape: (n, m).
        """
        total = self.factors @ other.factors.T
        total += widths.level**2 + widths.contrast**2 * np.outer(self.mean, other.mean)
        if widths.offset:
            total += widths.offset**2 * np.equal(self.architectures.kinds[:, None], other.architectures.kinds)
        if widths.shape:
            total += widths.shape**2 * likeness(self.architectures, other.architectures, 1.0, live=True)
        if widths.near:
            squares = ((self.coordinates[:, None, :] - other.coordinates[None, :, :]) ** 2).sum(axis=2)
            total += widths.near**2 * np.exp(-0.5 * squares)
        return total


def device_prior(values: FloatArray, rows: IntArray, architectures: Architectures) -> DevicePrior:
    """Build the process from known devices.

    Args:
        values: Functions of the known devices on one scale. Shape: (n, devices).
        rows: Rows over which factors are found. Shape: (m,).
        architectures: The catalogue. Length: n.
    """
    devices = values.shape[1]
    mean = values.mean(axis=1)
    deviations = values - mean[:, None]
    _, _, directions = np.linalg.svd(deviations[rows], full_matrices=False)
    # The known devices' own coefficients have mean 0 and mean square 1 / (devices - 1) in these columns.
    columns = deviations @ directions[: min(_FACTORS, devices - 1)].T
    places = np.concatenate([mean[:, None], columns[:, : _COORDINATES - 1]], axis=1)
    middle, spread = places[rows].mean(axis=0), np.maximum(places[rows].std(axis=0), 1e-9)
    return DevicePrior(mean, columns / np.sqrt(max(1, devices - 1)), (places - middle) / spread, architectures)

"""From what is believed of kernels to how each candidate bears on the target networks.

The logarithm of a network's latency moves with those of its kernels by their shares, and with two numbers that all
networks of a device share: a level (kernels inside a network run faster or slower than alone) and the calls that a
network saves. Only whole networks tell of these two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from predictor._features import FloatArray
from predictor.adaptive._belief import KernelBelief
from predictor.adaptive._choice import Design
from predictor.adaptive._configurations import Configurations, IndexArray
from predictor.adaptive._cost import MeasurementCost
from predictor.adaptive._target_space import TargetSpace

_LEVEL, _CALLS = 0.2, 0.5
"""Prior deviations of the two: kernels alone sum to within 20 % of a network, and half of the calls may be saved."""

_OWN = 0.015
"""Deviation of a network that kernels, level and calls do not explain, as in the predictor's composition."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """What could be measured next.

    Attributes:
        kernels: Indices into the target space's kernels, then, counting on, into `further`.
        networks: Indices of target networks.
        further: Kernels that no target network has.
    """

    kernels: IndexArray
    networks: IndexArray
    further: Configurations

    def __len__(self) -> int:
        """Return the number of candidates, kernels before networks."""
        return len(self.kernels) + len(self.networks)


def design(
    belief: KernelBelief,
    space: TargetSpace,
    candidates: Candidates,
    cost: MeasurementCost,
    *,
    measured_networks: TargetSpace | None = None,
) -> Design:
    """Return the joint Gaussian of candidates and target networks.

    Args:
        belief: What rows say of kernels.
        space: Whose latencies are wanted.
        candidates: What could be measured; in the answer kernels stand before networks.
        cost: What a measurement takes.
        measured_networks: Networks that were measured; they tell of the level and the calls.
    """
    kernels = space.kernels.joined(candidates.further)
    latency_ms = belief.latency_ms(kernels)
    shares = space.shares(latency_ms[: len(space.kernels)])
    weighted, noise = _weighted(belief, space, kernels, shares)
    chosen, networks = candidates.kernels, candidates.networks
    directions = _directions(belief, space.counts, latency_ms[: len(space.kernels)])
    shared = _shared_covariance(belief, measured_networks)
    # Target by target: what their kernels have in common, and what all networks have.
    between = shares @ weighted[: len(space.kernels)] + directions @ shared @ directions.T
    with_networks = between[:, networks]
    among = np.zeros((len(candidates), len(candidates)))
    split = len(chosen)
    among[:split, :split] = _among(belief, kernels.take(chosen))
    among[:split, split:] = weighted[np.ix_(chosen, networks)]
    among[split:, :split] = among[:split, split:].T
    among[split:, split:] = with_networks[networks]
    network_ms = space.counts @ latency_ms[: len(space.kernels)]
    return Design(
        with_targets=np.hstack([weighted[chosen].T, with_networks]),
        among=among,
        noise=np.concatenate([noise[chosen], np.full(len(networks), _OWN**2)]),
        target_variance=np.diag(between) + _OWN**2,
        seconds=np.concatenate([cost.kernels_s(latency_ms[chosen]), cost.networks_s(network_ms[networks])]),
    )


def network_covariance(belief: KernelBelief, space: TargetSpace) -> FloatArray:
    """Return the covariance of the networks' log latencies before any of them is measured.

    Returns:
        Shape: (n_networks, n_networks). What a network has of its own is in it, on the diagonal.
    """
    latency_ms = belief.latency_ms(space.kernels)
    directions = _directions(belief, space.counts, latency_ms)
    shared = directions @ np.diag([_LEVEL**2, _CALLS**2]) @ directions.T
    return shared + np.diag(_kernel_variance(belief, space, latency_ms) + _OWN**2)


def network_deviation(
    belief: KernelBelief, space: TargetSpace, *, measured_networks: TargetSpace | None = None
) -> FloatArray:
    """Return the standard deviation of the log latency of each network. Shape: (n_networks,)."""
    latency_ms = belief.latency_ms(space.kernels)
    variance = _kernel_variance(belief, space, latency_ms) + _OWN**2
    directions = _directions(belief, space.counts, latency_ms)
    variance += np.einsum("td,de,te->t", directions, _shared_covariance(belief, measured_networks), directions)
    return np.asarray(np.sqrt(variance))


def _kernel_variance(belief: KernelBelief, space: TargetSpace, latency_ms: FloatArray) -> FloatArray:
    """Return the variance of each network's log latency that its kernels make. Shape: (n_networks,)."""
    shares = space.shares(latency_ms)
    weighted, _ = _weighted(belief, space, space.kernels, shares)
    return np.asarray(np.maximum(np.einsum("tk,kt->t", shares, weighted), 0.0))


def _weighted(
    belief: KernelBelief, space: TargetSpace, kernels: Configurations, shares: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the covariance of kernels and networks, and the variance of a kernel's own measurement.

    Returns:
        Shapes: (len(kernels), n_networks) and (len(kernels),).
    """
    weighted, noise = np.zeros((len(kernels), len(shares))), np.zeros(len(kernels))
    inside = space.kernels.members
    for name, rows in kernels.members.items():
        family = belief.family(name)
        noise[rows] = family.process.noise**2
        if (own := inside.get(name)) is not None:
            weighted[rows] = family.weighted_covariance(kernels.points[rows], kernels.points[own], shares[:, own].T)
    return weighted, noise


def _among(belief: KernelBelief, kernels: Configurations) -> FloatArray:
    """Return the covariance of kernels; families are independent. Shape: (len(kernels), len(kernels))."""
    found = np.zeros((len(kernels), len(kernels)))
    for name, rows in kernels.members.items():
        points = kernels.points[rows]
        found[np.ix_(rows, rows)] = belief.family(name).covariance(points, points)
    return found


def _directions(belief: KernelBelief, counts: FloatArray, latency_ms: FloatArray) -> FloatArray:
    """Return how a network's log latency moves with level and calls. Shape: (n_networks, 2)."""
    calls = counts.sum(axis=1) * belief.call_ms / (counts @ latency_ms)
    return np.column_stack([np.ones(len(counts)), calls])


def _shared_covariance(belief: KernelBelief, measured: TargetSpace | None) -> FloatArray:
    """Return the covariance of level and calls, given the measured networks. Shape: (2, 2)."""
    precision = np.diag([_LEVEL**-2, _CALLS**-2])
    if measured is not None and len(measured.counts):
        latency_ms = belief.latency_ms(measured.kernels)
        directions = _directions(belief, measured.counts, latency_ms)
        weights = 1.0 / (_kernel_variance(belief, measured, latency_ms) + _OWN**2)
        precision += (directions * weights[:, None]).T @ directions
    return np.asarray(np.linalg.inv(precision))

"""The next batch: candidates gathered, what is needed in any case, and the rest by choice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from predictor._features import FloatArray
from predictor.adaptive._belief import KernelBelief
from predictor.adaptive._choice import choose
from predictor.adaptive._configurations import Configurations, IndexArray
from predictor.adaptive._cost import MeasurementCost
from predictor.adaptive._design import Candidates, design
from predictor.adaptive._target_space import TargetSpace
from profiler.kernels import Kernel

_MOST_KERNELS = 1500
"""Kernels looked at for one batch, drawn at random when there are more; time grows with their square."""


@dataclass(frozen=True)
class Batch:
    """What to measure next.

    Attributes:
        kernels: Kernels, in the order of choice.
        networks: Indices of target networks, sorted.
        seconds: What measuring them is expected to take.
    """

    kernels: tuple[Kernel, ...]
    networks: tuple[int, ...]
    seconds: float


@dataclass(frozen=True)
class Networks:
    """Which target networks a batch may have.

    Attributes:
        measured: The networks measured so far, which need not be target networks.
        drawn: Target networks that the batch has in any case; drawn at random, they tell how good predictions are.
        open: Further target networks that may be chosen.
    """

    measured: TargetSpace
    drawn: tuple[int, ...] = ()
    open: tuple[int, ...] = ()


def next_batch(
    belief: KernelBelief,
    space: TargetSpace,
    networks: Networks,
    cost: MeasurementCost,
    *,
    count: int,
    done: Collection[Kernel],
    further: Configurations,
    rng: np.random.Generator,
    enough_deviation: float = 0.0,
) -> Batch:
    """Choose what to measure next.

    One kernel of each family that was never measured comes first, since a predictor refuses what it knows nothing
    of; then whatever reduces the mean variance of the target networks most for its seconds.

    Args:
        belief: What rows say of kernels.
        space: Whose latencies are wanted.
        networks: Which whole networks may be measured.
        cost: What a measurement takes.
        count: Most kernels and networks of choice, the drawn networks apart.
        done: Kernels not to choose: those that were tried before.
        further: Kernels of no target network that may be measured, too.
        rng: Draws the candidates when there are too many.
        enough_deviation: Mean standard deviation of the networks' log latency at which no more is chosen.
    """
    everything = space.kernels.joined(further)
    kernels = _candidates(belief, everything, done, rng)
    candidates = Candidates(kernels, np.array([*networks.drawn, *networks.open], dtype=np.intp), further)
    if not len(candidates):
        return Batch((), (), 0.0)
    planned = design(belief, space, candidates, cost, measured_networks=networks.measured)
    drawn = len(kernels) + np.arange(len(networks.drawn))
    new = _first_of_families(belief, everything, kernels, planned.with_targets)[:count]
    first = np.concatenate([drawn, new]).astype(np.intp)
    choice = choose(planned, count + len(drawn), first=first, enough_deviation=enough_deviation)
    split = choice.candidates < len(kernels)
    return Batch(
        tuple(everything.kernels[index] for index in kernels[choice.candidates[split]]),
        tuple(sorted(int(index) for index in candidates.networks[choice.candidates[~split] - len(kernels)])),
        choice.seconds,
    )


def _candidates(
    belief: KernelBelief, everything: Configurations, done: Collection[Kernel], rng: np.random.Generator
) -> IndexArray:
    """Return kernels that may be measured: all, or a draw that has some of each family without rows."""
    open_ = [i for i, kernel in enumerate(everything.kernels) if kernel not in done and kernel.family != "opaque"]
    if len(open_) <= _MOST_KERNELS:
        return np.array(open_, dtype=np.intp)
    drawn = [open_[index] for index in rng.permutation(len(open_))]
    families = {everything.kernels[i].family: i for i in drawn}
    needed = [i for family, i in families.items() if family not in belief.families]
    return np.array(sorted(list(dict.fromkeys([*needed, *drawn]))[:_MOST_KERNELS]), dtype=np.intp)


def _first_of_families(
    belief: KernelBelief, everything: Configurations, kernels: IndexArray, with_targets: FloatArray
) -> IndexArray:
    """Return, of each family without rows, the position of the candidate that tells most; such families first."""
    weight = np.einsum("tc,tc->c", with_targets[:, : len(kernels)], with_targets[:, : len(kernels)])
    best: dict[str, int] = {}
    for position in np.argsort(-weight, kind="stable"):
        family = everything.kernels[kernels[position]].family
        if family not in belief.families:
            best.setdefault(family, int(position))
    return np.array(list(best.values()), dtype=np.intp)

"""Which kernels to measure: a space's own, kernels around them, and kernels of no space at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from profiler.errors import ConfigError
from profiler.kernels._around import perturb
from profiler.kernels._fuse import Fuser
from profiler.kernels._kernel import Kernel
from profiler.kernels._random import RECIPES
from profiler.kernels._rules import FusionRules
from profiler.network import Network

_TRIES_PER_KERNEL = 20


def sample_kernels(
    networks: Iterable[Network],
    count: int,
    rng: np.random.Generator,
    *,
    rules: FusionRules,
    around: float = 0.3,
) -> list[Kernel]:
    """Return kernels worth measuring for networks like these, without repetition.

    Args:
        networks: A sample of the space, or the networks themselves.
        count: Most kernels to return.
        rng: Source of the draws; the caller owns the seed.
        rules: What the runtime fuses.
        around: Share of the count that is set aside for perturbed configurations, in [0, 1]. They give
            the predictor variety where a space has few configurations of a kind.

    Returns:
        First kernels of the networks, those that occur most often first; then kernels around them, kind
        by kind in turn. Opaque operators cannot be measured and are left out. Shorter than count when
        the networks have too few kernels to start from.

    Raises:
        ConfigError: count is negative or around is no share.
    """
    _require(count, around)
    fuser = Fuser(rules)
    seen = Counter(kernel for network in networks for kernel in fuser(network) if kernel.family != "opaque")
    own = [kernel for kernel, _ in seen.most_common()]
    chosen = dict.fromkeys(own[: count - round(count * around)])
    _extend_around(chosen, own, count, rng)
    for kernel in own:
        if len(chosen) >= count:
            break
        chosen.setdefault(kernel)
    return list(chosen)


def random_kernels(
    count: int,
    rng: np.random.Generator,
    *,
    kinds: Sequence[str] = ("conv2d", "depthwise_conv2d", "dense", "add", "max_pool2d", "avg_pool2d", "concat"),
) -> list[Kernel]:
    """Return different kernels with configurations as mobile networks have them, kinds in turn.

    Maps of 7 to 112 pixels, 3 to 512 channels, work bounded so that a run takes a phone's core some
    milliseconds at most. For benchmarks and tests; `sample_kernels` is what serves a search.

    Args:
        count: How many to return.
        rng: Source of the draws; the caller owns the seed.
        kinds: Families to draw, from RECIPES.

    Raises:
        ConfigError: count is negative, or a kind has no recipe.
    """
    _require(count, 0.0)
    unknown = [kind for kind in kinds if kind not in RECIPES]
    if unknown or not kinds:
        raise ConfigError(f"no recipe for {unknown}; choose from {sorted(RECIPES)}", key="kinds")
    chosen: dict[Kernel, None] = {}
    for attempt in range(count * _TRIES_PER_KERNEL):
        if len(chosen) == count:
            break
        chosen.setdefault(RECIPES[kinds[attempt % len(kinds)]](rng))
    return list(chosen)


def _require(count: int, around: float) -> None:
    if count < 0:
        raise ConfigError(f"must be >= 0, not {count}", key="count")
    if not 0 <= around <= 1:
        raise ConfigError(f"must be in [0, 1], not {around}", key="around")


def _extend_around(chosen: dict[Kernel, None], own: Sequence[Kernel], count: int, rng: np.random.Generator) -> None:
    """Add perturbed kernels, the kinds in turn so that rare kinds get as many as common ones."""
    by_kind: dict[str, list[Kernel]] = {}
    for kernel in own:
        by_kind.setdefault(kernel.kind, []).append(kernel)
    groups = list(by_kind.values())
    wanted = count - len(chosen)
    for attempt in range(wanted * _TRIES_PER_KERNEL):
        if len(chosen) >= count or not groups:
            return
        group = groups[attempt % len(groups)]
        chosen.setdefault(perturb(group[int(rng.integers(len(group)))], rng))

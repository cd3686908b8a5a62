"""Network -> kernels: follows a runtime's fusion rules along the graph, in linear time."""

from __future__ import annotations

from collections.abc import Hashable

from profiler.kernels._kernel import Kernel, isolate
from profiler.kernels._rules import FusionRules
from profiler.network import Network, Operator

Signature = tuple[Hashable, ...]


class Fuser:
    """Cuts networks into kernels and keeps one Kernel object a configuration.

    Networks of one search space share nearly all their kernels; building each of them once makes fusing
    the next network a matter of dictionary look-ups.

    Args:
        rules: What the runtime fuses.
        capacity: Most configurations that are kept; the store is emptied when it is full.
    """

    def __init__(self, rules: FusionRules, *, capacity: int = 65_536) -> None:
        self._rules = rules
        self._capacity = capacity
        self._known: dict[Signature, Kernel] = {}

    def __call__(self, network: Network) -> tuple[Kernel, ...]:
        """Return the kernels of the network in execution order; every operator is in exactly one of them."""
        return tuple(self._kernel(network, chain) for chain in _chains(network, self._rules))

    def _kernel(self, network: Network, chain: tuple[Operator, ...]) -> Kernel:
        signature = _signature(network, chain)
        kernel = self._known.get(signature)
        if kernel is None:
            if len(self._known) >= self._capacity:
                self._known.clear()
            kernel = self._known[signature] = isolate(network, chain)
        return kernel


def fuse(network: Network, rules: FusionRules) -> tuple[Kernel, ...]:
    """Return what a runtime runs as the steps of a network.

    Args:
        network: Any network; its weights are left behind.
        rules: What the runtime fuses, from FUSION_RULES.

    Returns:
        Kernels in execution order. Every operator is in exactly one kernel: what no rule fuses, operators
        that we do not know ("opaque") included, is a kernel of its own.
    """
    return Fuser(rules)(network)


def _chains(network: Network, rules: FusionRules) -> list[tuple[Operator, ...]]:
    """Group the operators into chains, ordered by the position of each chain's last operator."""
    position = {operator.name: index for index, operator in enumerate(network.operators)}
    taken: set[str] = set()
    chains = []
    for first in network.operators:
        if first.name in taken:
            continue
        chain = [first]
        kinds: tuple[str, ...] = (first.kind,)
        while (following := network.sole_consumer(chain[-1])) is not None:
            if following.name in taken or not rules.may_grow(kinds, following.kind):
                break
            chain.append(following)
            kinds = (*kinds, following.kind)
            taken.add(following.name)
        chains.append(tuple(chain))
    return sorted(chains, key=lambda chain: position[chain[-1].name])


def _signature(network: Network, chain: tuple[Operator, ...]) -> Signature:
    """Return what tells configurations apart, without building the kernel's network."""
    slots: dict[str, int] = {}
    parts: list[Hashable] = []
    for operator in chain:
        specs = network.input_specs(operator)
        parts += (operator.kind, operator.signature(specs))
        for spec in specs:
            if spec.name not in slots:
                slots[spec.name] = len(slots)
                parts += (spec.shape, spec.dtype)
            parts.append(slots[spec.name])
        for tensor in operator.outputs:
            slots[tensor] = len(slots)
    return tuple(parts)

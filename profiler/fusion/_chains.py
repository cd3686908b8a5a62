"""Which chains of operators are worth a test: those that runtimes are known to fuse somewhere, grown one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from profiler.fusion.evidence import Chain
from profiler.network import Network, Operator

_COMPUTING = (
    "conv2d",
    "depthwise_conv2d",
    "transpose_conv2d",
    "dense",
    "add",
    "mul",
    "max_pool2d",
    "avg_pool2d",
)
_MOVING = ("concat", "pad", "transpose")
_CLAMPS = ("relu", "relu6")
_ACTIVATIONS = (*_CLAMPS, "hard_swish", "hard_sigmoid", "sigmoid", "prelu")
_MAPS_ONLY = frozenset({("dense", "prelu")})
"""Our PRelu has one slope a channel of a map, and none of a vector."""

PAIRS: tuple[Chain, ...] = (
    *(
        (anchor, following)
        for anchor in _COMPUTING
        for following in (*_ACTIVATIONS, "add")
        if (anchor, following) not in _MAPS_ONLY
    ),
    *((anchor, following) for anchor in _MOVING for following in (*_CLAMPS, "hard_swish")),
    ("pad", "conv2d"),
    ("pad", "depthwise_conv2d"),
)
"""Pairs of kinds that some runtime fuses, or that one would expect it to."""

LONGEST = 4
"""Longest chain that is grown."""


def chains_in(networks: Iterable[Network]) -> frozenset[Chain]:
    """Return the chains that occur in networks, up to LONGEST operators, each read by the next alone."""
    return frozenset(chain for network in networks for chain in _chains(network))


def first_chains(networks: Collection[Network]) -> tuple[Chain, ...]:
    """Return the pairs to test: those of PAIRS that occur in the networks; all of them without networks."""
    if not networks:
        return PAIRS
    occurring = chains_in(networks)
    return tuple(pair for pair in PAIRS if pair in occurring)


def grown(fused: Collection[Chain], networks: Collection[Network]) -> tuple[Chain, ...]:
    """Return the chains to test next: one operator longer than those that were found fused.

    Activations end a chain, unless networks are given and one of them goes on with a sum behind it.

    Args:
        fused: Chains found fused in the last round.
        networks: Where the chains have to occur; empty for anywhere.
    """
    occurring = chains_in(networks)
    longer = [(*chain, following) for chain in sorted(fused) if len(chain) < LONGEST for following in _followers(chain)]
    return tuple(chain for chain in longer if (chain in occurring if networks else chain[-2] not in _ACTIVATIONS))


def _followers(chain: Chain) -> tuple[str, ...]:
    # What a dense layer gives stays a vector through a sum, too.
    activations = tuple(last for last in _ACTIVATIONS if (chain[0], last) not in _MAPS_ONLY)
    if chain[-1] in _ACTIVATIONS:
        return ("add",)
    return activations if "add" in chain else (*activations, "add")


def _chains(network: Network) -> Iterator[Chain]:
    for operator in network.operators:
        kinds: Chain = (operator.kind,)
        last: Operator | None = operator
        while len(kinds) < LONGEST and last is not None and (last := network.sole_consumer(last)) is not None:
            kinds = (*kinds, last.kind)
            yield kinds

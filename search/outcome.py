"""Owns what a search found, and the choice of what to train and measure of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from search.constraints import Constraint
from search.front import FrontMember, ParetoFront, spread
from search.space import G
from search.state import GenerationRecord


@dataclass(frozen=True, slots=True)
class SearchOutcome(Generic[G]):
    """What a search found.

    Attributes:
        front: Feasible architectures none of which beats another.
        population: All feasible architectures of the last generation, the front included.
        history: One record a generation.
        constraint: What they keep to.
        seed: Seed of the search.
        space: Identity of the space.
        measured: What each round of the closed loop measured.
        dropped: Candidates that were left out because their accuracy was no finite number.
    """

    front: ParetoFront[G]
    population: tuple[FrontMember[G], ...]
    history: tuple[GenerationRecord, ...]
    constraint: Constraint
    seed: int
    space: str
    measured: tuple[tuple[G, ...], ...] = ()
    dropped: int = 0


def choose_finalists(outcome: SearchOutcome[G], count: int) -> list[FrontMember[G]]:
    """Choose architectures to train fully and measure.

    Args:
        outcome: What a search found.
        count: How many are wanted.

    Returns:
        At most `count` architectures with different networks, the most accurate of the front first, then
        those of the front that lie farthest from the chosen ones; where the front is too small, those of
        the front beneath it follow likewise.
    """
    rest = outcome.population
    chosen: list[FrontMember[G]] = []
    while rest and len(chosen) < count:
        front = ParetoFront.of(rest, outcome.front.objectives)
        chosen += spread(front.members, count - len(chosen), front.objectives)
        keys = {member.network_key for member in front}
        rest = tuple(member for member in rest if member.network_key not in keys)
    return chosen

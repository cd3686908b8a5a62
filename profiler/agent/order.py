"""The order in which an agent runs the blocks of a job: what C++ does there, said once more, to hold records against.

In a round the blocks of the plan run in the order given, or shuffled; the job's reference blocks, which are the first
of its plan, run in turn before the first and after each of them.  Every execution has a position, counted over the
whole job.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Order = Literal["given", "shuffled"]

_MASK = 2**64 - 1


@dataclass(frozen=True)
class Execution:
    """One time that a block of the plan runs.

    Attributes:
        position: Its place in the job, from 0.
        round: Its round, from 0.
        entry: Index of the block in the plan.
    """

    position: int
    round: int
    entry: int


def executions(entries: int, *, references: int, rounds: int, order: Order, seed: int) -> tuple[Execution, ...]:
    """Return all executions of a job, in order of their positions.

    Args:
        entries: Blocks in the plan, references included.
        references: How many of them, from the first, run beside each of the others.
        rounds: Rounds, >= 1.
        order: How the others are ordered in each round.
        seed: Of the shuffling.
    """
    beside = range(references)
    walk: list[tuple[int, int]] = []
    for round_ in range(rounds):
        others = list(range(references, entries))
        if order == "shuffled":
            shuffle(others, seed + round_)
        walk += [(round_, entry) for entry in beside]
        for entry in others:
            walk += [(round_, one) for one in (entry, *beside)]
    return tuple(Execution(position, round_, entry) for position, (round_, entry) in enumerate(walk))


def shuffle(items: list[int], seed: int) -> None:
    """Shuffle in place, by Fisher and Yates's method from the last item down, with splitmix64's numbers.

    Source: Durstenfeld, CACM 7 (1964), algorithm 235; Steele, Lea and Flood, OOPSLA 2014 (splitmix64).
    """
    numbers = splitmix64(seed)
    for last in range(len(items) - 1, 0, -1):
        other = next(numbers) % (last + 1)
        items[last], items[other] = items[other], items[last]


def splitmix64(seed: int) -> Iterator[int]:
    """Yield the generator's numbers, each of 64 bits, without an end.

    Example:
        >>> hex(next(splitmix64(0)))
        '0xe220a8397b1dcdaf'
    """
    state = seed & _MASK
    while True:
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        yield mixed ^ (mixed >> 31)

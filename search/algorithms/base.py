"""The seam of search algorithms: ask for candidates, tell what they are worth, on a frozen state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

import numpy as np

from profiler.errors import ConfigError
from search.accuracy import DrawArchitectures
from search.objectives import Objective
from search.space import G, SearchSpace
from search.state import Evaluation, State

if TYPE_CHECKING:
    from search.feasibility import Screen


@dataclass(frozen=True, slots=True)
class Learning(Generic[G]):
    """What the accuracy source shall learn in one step, after the ask and before candidates are scored.

    Attributes:
        draw: Returns the genotypes that share one parameter step.
        epochs: Passes over the training images; 0 to learn nothing.
    """

    draw: DrawArchitectures[G]
    epochs: int


class Algorithm(ABC, Generic[G]):
    """A search algorithm without memory of its own: all that changes is in the state.

    One step is: ask for candidates, let the accuracy source learn, score the candidates, tell.  A step
    without candidates only learns, as in a warm-up.
    """

    @property
    @abstractmethod
    def space(self) -> SearchSpace[G]:
        """The space that candidates come from."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """One line that names the algorithm and its settings; checkpoints compare it."""

    @property
    @abstractmethod
    def objectives(self) -> tuple[Objective, ...]:
        """What is minimised beside accuracy, such as the latency on each device; at least one."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many steps make a whole search."""

    @property
    @abstractmethod
    def population_size(self) -> int:
        """How many individuals a search starts with and keeps."""

    @property
    @abstractmethod
    def needs_growth(self) -> bool:
        """Whether candidates must also be scored before the source learns."""

    @abstractmethod
    def start(
        self, population: Sequence[Evaluation[G]], reference: Sequence[float], rng: np.random.Generator
    ) -> State[G]:
        """Return the state before the first step.

        Args:
            population: Assessed individuals without accuracy, at least one of them feasible.
            reference: Where the hypervolume's box ends in each of `objectives`, in their order and units.
            rng: Where all further draws come from; the state takes a copy of where it stands.
        """

    @abstractmethod
    def learning(self, state: State[G]) -> Learning[G]:
        """Return what the accuracy source shall learn in this step."""

    @abstractmethod
    def ask(self, state: State[G], screen: Screen[G]) -> tuple[tuple[G, ...], State[G]]:
        """Return the candidates of this step, and the state to tell on.

        Candidates have distinct keys; there are none in a step that only learns.

        Args:
            state: Where the search stands.
            screen: Tells whoever needs it what a genotype costs and whether it keeps to the constraint.
        """

    @abstractmethod
    def tell(self, state: State[G], evaluations: Sequence[Evaluation[G]]) -> State[G]:
        """Return the next state.

        Args:
            state: The state that `ask` returned.
            evaluations: What the candidates are worth, in their order; those whose accuracy is no finite
                number are left out.

        Raises:
            ObjectiveError: A feasible candidate lacks a finite objective.
        """


def checked_objectives(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """Return what an algorithm shall minimise beside accuracy, as a tuple.

    Raises:
        ConfigError: There is no objective, one twice, or accuracy among them.
    """
    chosen = tuple(objectives)
    if not chosen or len(set(chosen)) < len(chosen):
        raise ConfigError("give at least one objective beside accuracy, and each once", key="objectives")
    if any(objective.quantity == "accuracy" for objective in chosen):
        raise ConfigError("accuracy is always an objective; give those beside it", key="objectives")
    return chosen

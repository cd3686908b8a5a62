"""The seam between algorithms and whatever tells them how accurate a genotype is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Generic

import numpy as np
import numpy.typing as npt

from search.space import G

DrawArchitectures = Callable[[np.random.Generator], Sequence[G]]
"""Returns the genotypes that share one parameter step, e.g. one uniform sample, or some of a population."""


class AccuracySource(ABC, Generic[G]):
    """Scores genotypes, and learns between the scorings where there is something to learn.

    The supernet is one; a table of known accuracies, which learns nothing, is another.
    """

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """What the scores rest on, in words by name, such as {"images": ...}.

        A search is resumed only with a source that says the same, so all that changes a score belongs here
        (but for what `learn` changes, which is `state`).  "space", "algorithm", "constraint",
        "closed loop" and "seed" are the search's own names.
        """

    @abstractmethod
    def learn(self, draw: DrawArchitectures[G], *, epochs: int, rng: np.random.Generator) -> float:
        """Train what the scores rest on.

        Args:
            draw: Called once a parameter step with `rng`; its genotypes (at least one) share the step, and
                their gradients are averaged.
            epochs: Passes over the training images, >= 0.
            rng: Orders the images and is handed to `draw`.

        Returns:
            Mean training loss of the steps; 0 when there was none, NaN when no step had a finite loss.
        """

    @abstractmethod
    def evaluate(self, genotypes: Sequence[G]) -> npt.NDArray[np.float64]:
        """Return the validation accuracy of each genotype, 0 to 1.  Shape: (len(genotypes),).

        It is NaN where the genotype's network gives no finite numbers.  Evaluating changes nothing: the same
        call again returns the same numbers.
        """

    @abstractmethod
    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return a copy of all that `learn` changes, as named arrays for a safetensors file."""

    @abstractmethod
    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take back what `state` returned; the source then goes on as if it had never stopped.

        Raises:
            SearchError: The arrays are not of such a source.
        """

"""An accuracy source that reads what is known: to replay searches, and to search where all was trained before."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from search.accuracy import AccuracySource, DrawArchitectures
from search.errors import SearchError
from search.space import G


def _key(genotype: G) -> str:
    return genotype.key


class TableSource(AccuracySource[G]):
    """Accuracies by the name of a genotype; nothing is ever learned.

    Args:
        accuracies: By name, 0 to 1.
        name_of: Names a genotype as the table does; by default its key.

    Raises:
        SearchError: The table is empty, or an accuracy is no number from 0 to 1.

    Example:
        A table of NAS-Bench-201 by the benchmark's own strings:
        ``TableSource(accuracies, NasBench201Genotype.to_arch_str)``.
    """

    def __init__(self, accuracies: Mapping[str, float], name_of: Callable[[G], str] = _key) -> None:
        if not accuracies:
            raise SearchError("a table of accuracies needs at least one")
        for name, accuracy in accuracies.items():
            if not (math.isfinite(accuracy) and 0 <= accuracy <= 1):
                raise SearchError(f"{accuracy} of {name} is no accuracy; give numbers from 0 to 1")
        self._accuracies, self._name_of = dict(accuracies), name_of
        rows = json.dumps(sorted(self._accuracies.items()))
        self._digest = hashlib.sha256(rows.encode()).hexdigest()[:16]

    @property
    def identity(self) -> dict[str, str]:
        """How many accuracies there are, and a digest of them."""
        return {"accuracies": f"table of {len(self._accuracies)}, {self._digest}"}

    def learn(self, draw: DrawArchitectures[G], *, epochs: int, rng: np.random.Generator) -> float:
        """Do nothing, and draw nothing; return 0."""
        return 0.0

    def evaluate(self, genotypes: Sequence[G]) -> npt.NDArray[np.float64]:
        """Look accuracies up.

        Raises:
            SearchError: The table lacks one of the genotypes.
        """
        names = [self._name_of(genotype) for genotype in genotypes]
        missing = [name for name in names if name not in self._accuracies]
        if missing:
            raise SearchError(f"the table of accuracies lacks {missing[0]} and {len(missing) - 1} more genotypes")
        return np.array([self._accuracies[name] for name in names], dtype=np.float64)

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return nothing: nothing changes."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take back nothing.

        Raises:
            SearchError: There is something to take back.
        """
        if state:
            raise SearchError("a table of accuracies has no state; these arrays are of another source")

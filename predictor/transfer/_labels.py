"""Labels of a new device that are handed out one by one, and counted: what is not asked for is never read."""

from __future__ import annotations

import math
from collections.abc import Mapping

from predictor.errors import TrainingRowsError


class Labels:
    """Latencies by architecture, of which only a budget of them may be seen.

    They stay texts until they are asked for, so that nothing can depend on one that was not.

    Args:
        texts: Latency in ms of each architecture's id, as it stands in its file.
        budget: How many may be asked for.

    Example:
        >>> labels = Labels({"a": "2.5", "b": "?"}, budget=1)
        >>> labels.ask("a"), labels.asked
        (2.5, ('a',))
    """

    def __init__(self, texts: Mapping[str, str], budget: int) -> None:
        self._texts, self.budget = dict(texts), budget
        self._known: dict[str, float] = {}

    @property
    def ids(self) -> frozenset[str]:
        """Ids that have a label; no latency is read for this."""
        return frozenset(self._texts)

    @property
    def asked(self) -> tuple[str, ...]:
        """Ids whose labels were handed out, in order."""
        return tuple(self._known)

    def ask(self, identity: str) -> float:
        """Return the latency of one architecture, in ms; asking again for the same one is free.

        Raises:
            TrainingRowsError: The id has no label, the budget is used up, or the label is not finite and positive.
        """
        if identity in self._known:
            return self._known[identity]
        if identity not in self._texts:
            raise TrainingRowsError(f"{identity!r} has no label")
        if len(self._known) >= self.budget:
            raise TrainingRowsError(f"all {self.budget} labels of the budget were asked for")
        try:
            latency_ms = float(self._texts[identity])
        except ValueError as error:
            raise TrainingRowsError(f"label of {identity!r} is no number: {self._texts[identity][:40]!r}") from error
        if not (math.isfinite(latency_ms) and latency_ms > 0):
            raise TrainingRowsError(f"label of {identity!r} is {latency_ms:g}; a latency in ms is finite and positive")
        self._known[identity] = latency_ms
        return latency_ms

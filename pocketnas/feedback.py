"""Owns the device's side of the closed loop: measures what the search is unsure or hopeful of, and learns from it.

There is no state but the store's rows.  A round is a campaign, so a search that goes on measures nothing twice and
ends up with the predictors that it had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pocketnas.learning import Learned
from pocketnas.measuring import Bench
from predictor import NetworkPredictor
from profiler.network import Network
from search.closed_loop import Feedback

_LABEL = "closed loop"


class DeviceFeedback(Feedback):
    """Measures networks on all devices of a search and learns from what they show.

    Args:
        bench: The devices.
        learned: What is known of each when the search starts.
    """

    def __init__(self, bench: Bench, learned: Mapping[str, Learned]) -> None:
        self._bench = bench
        self.learned = dict(learned)
        self._rounds: dict[tuple[str, ...], Mapping[str, NetworkPredictor]] = {}

    @property
    def predictors(self) -> dict[str, NetworkPredictor]:
        """The predictors that hold now, by device."""
        return {device: learned.predictor for device, learned in self.learned.items()}

    @property
    def known(self) -> tuple[str, ...]:
        """Keys of all networks that were measured, in order."""
        return tuple(dict.fromkeys(key for keys in self._rounds for key in keys))

    def measure(self, networks: Sequence[Network]) -> Mapping[str, NetworkPredictor]:
        """Measure networks on each device, learn, and return the predictors that then hold; see `Feedback`."""
        keys = tuple(network.key for network in networks)
        if keys not in self._rounds:
            by_key = dict(zip(keys, networks, strict=True))
            for device, learned in self.learned.items():
                title = f"measuring {len(by_key)} networks that the search is curious about"
                found = self._bench.measure(device, by_key, title, label=_LABEL)
                self.learned[device] = learned.with_rows(list(found.values()))
            self._rounds[keys] = self.predictors
        return self._rounds[keys]

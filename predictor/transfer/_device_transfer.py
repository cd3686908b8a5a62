"""Few labels of a new device -> latencies of a whole catalogue, with what other devices know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np

from predictor._features import FloatArray
from predictor.errors import TrainingRowsError
from predictor.transfer._architectures import IntArray
from predictor.transfer._device_prior import DevicePrior, Widths, device_prior
from predictor.transfer._posterior import Evidence, variance_of_bursts, weigh
from predictor.transfer._selection import choose_for_all
from predictor.transfer._source_devices import SourceDevices

_PRUNING_SHARE = 0.2
"""Share of devices, before any label, whose converter drops the dead parts of an architecture."""

_NEW_PARTS = (1.0, 2.0)
_NOISES = (1.0, 3.0, 10.0)
"""A new device is at least as new as a known one that is left out, since it may be of another make. Its labels may
be as good as a left-out source is predicted from many rows, or worse: phones are noisier than the servers and
simulators that most sources are."""

_LEAST_NOISE = 0.02
"""Labels are chosen as if none repeated better than this on the scale: sources that are sums of a lookup table have no
noise at all, and would have every choice rest on small differences, of which a phone's slow moments leave nothing."""

_LEAST_SHARE = 1e-4
_BEAM = 8
"""How many sets of outlying labels of each size are followed."""

_CANDIDATES, _REFERENCES = 3000, 2000


@dataclass(frozen=True, eq=False)
class _Hypothesis:
    """A process that the new device may be a draw from, and its share among all."""

    prior: DevicePrior
    widths: Widths
    share: float


class DeviceTransfer:
    """Predicts a new device over the catalogue that other devices were measured on.

    What it assumes is learned from these alone, each taken for new in turn; labels of the new device choose only how
    much of each assumption holds, by their likelihood.

    Args:
        sources: The known devices.
        devices: Which of them to stand on; None for all. Shape: (devices,).
        seed: Chooses candidates and references where there are many.

    Raises:
        TrainingRowsError: The sources were measured on too few architectures.
    """

    def __init__(self, sources: SourceDevices, *, devices: IntArray | None = None, seed: int = 0) -> None:
        used = np.arange(sources.devices) if devices is None else np.asarray(devices, dtype=np.int64)
        self._seed, self._size = seed, len(sources.catalogue)
        self._scale, self._widths = sources.scale_and_widths(used)
        functions = sources.functions(used, self._scale)
        # A label that may be lost to a slow moment is worth less. A phone that has such moments is asked where much
        # is to be seen rather than for small differences; where no source has them, neither may a new device.
        bursts = variance_of_bursts(self._scale.burst, sources.burst_share(used, self._scale))
        self._label_error = math.sqrt(max(self._widths.noise, _LEAST_NOISE) ** 2 + bursts)
        written = device_prior(functions.values, sources.rows, sources.catalogue)
        self._priors = [(written, 1.0)]
        if sources.catalogue.has_dead_parts:
            pruned = device_prior(functions.pruned, sources.rows, sources.catalogue.pruned())
            self._priors = [(written, 1.0 - _PRUNING_SHARE), (pruned, _PRUNING_SHARE)]

    def choose(self, count: int, among: IntArray | None = None) -> IntArray:
        """Choose which architectures to measure on the new device.

        Args:
            count: How many.
            among: Architectures that can be measured; None for all. Shape: (c,).

        Returns:
            Rows of the catalogue. Shape: (count,).

        Raises:
            TrainingRowsError: There are fewer to choose from than asked, or count is not positive.
        """
        possible = np.arange(self._size) if among is None else np.asarray(among, dtype=np.int64)
        if not 0 < count <= len(possible):
            raise TrainingRowsError(f"cannot choose {count} of {len(possible)} architectures")
        rng = np.random.default_rng(self._seed)
        candidates = rng.permutation(possible)[: max(_CANDIDATES, count)]
        references = rng.permutation(self._size)[:_REFERENCES]
        covariance = self._mixed_covariance(candidates, candidates)
        cross = self._mixed_covariance(references, candidates)
        return candidates[choose_for_all(covariance, cross, self._label_error, count)]

    def predict(self, rows: IntArray, latency_ms: FloatArray) -> FloatArray:
        """Return the latency of every architecture on the new device, in ms.

        Args:
            rows: The architectures measured on it. Shape: (k,), k >= 1.
            latency_ms: Their latencies. Shape: (k,).

        Returns:
            Shape: (n,), > 0.

        Raises:
            TrainingRowsError: There are no labels, or one is not finite and positive.
        """
        _check_labels(rows, latency_ms)
        written, _ = self._priors[0]
        unit_ms = float(np.median(latency_ms / self._scale.backward(written.mean[rows])))
        labels = self._scale.forward(latency_ms / unit_ms)
        values = np.zeros(self._size)
        for hypothesis, evidence in self._weighed(rows, labels):
            prior = hypothesis.prior
            cross = prior.covariance(prior[rows], hypothesis.widths)
            values += hypothesis.share * (prior.mean + cross @ evidence.weights)
        return unit_ms * self._scale.backward(values)

    def _weighed(self, rows: IntArray, labels: FloatArray) -> list[tuple[_Hypothesis, Evidence]]:
        """Return the hypotheses that labels leave standing, with their shares after them."""
        found: list[tuple[DevicePrior, Widths, float, Evidence]] = []
        for (prior, share), new, noise in product(self._priors, _NEW_PARTS, _NOISES):
            widths, known = self._widths.with_new_parts(new).scaled("noise", noise), prior[rows]
            evidence = weigh(
                known.covariance(known, widths), labels - known.mean, widths.noise, self._scale.burst, _BEAM
            )
            found.append((prior, widths, evidence.log_likelihood + math.log(share), evidence))
        shares = np.array([value for _, _, value, _ in found])
        shares = np.exp(shares - shares.max())
        shares[shares < _LEAST_SHARE * shares.sum()] = 0.0
        shares /= shares.sum()
        return [
            (_Hypothesis(prior, widths, float(share)), evidence)
            for (prior, widths, _, evidence), share in zip(found, shares, strict=True)
            if share
        ]

    def _mixed_covariance(self, left: IntArray, right: IntArray) -> FloatArray:
        """Return the covariance over the processes: within each, and between their means."""
        middle = sum(share * prior.mean for prior, share in self._priors)
        total = np.zeros((len(left), len(right)))
        for prior, share in self._priors:
            away = prior.mean - middle
            total += share * prior[left].covariance(prior[right], self._widths)
            total += share * np.outer(away[left], away[right])
        return total


def _check_labels(rows: IntArray, latency_ms: FloatArray) -> None:
    if not len(rows):
        raise TrainingRowsError("a new device needs at least one measured architecture")
    wrong = ~(np.isfinite(latency_ms) & (latency_ms > 0))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise TrainingRowsError(f"{latency_ms[place]:g} is no latency in ms", row=int(rows[place]) + 1)

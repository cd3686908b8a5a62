"""Owns the record of a generation: how good the population is, in numbers that one can plot."""

from __future__ import annotations

import numpy as np

from search.front import hypervolume, pareto_rows
from search.space import G
from search.state import GenerationRecord, State


def record_generation(state: State[G], evaluated: int) -> GenerationRecord:
    """Return the record of the generation that led to a state.

    Args:
        state: The state after `tell`; its history still ends with the generation before.
        evaluated: Candidates whose accuracy was evaluated in the generation.
    """
    pairs = [
        (individual.accuracy, individual.latency_ms)
        for individual in state.population
        if individual.feasible and individual.accuracy is not None and individual.latency_ms is not None
    ]
    accuracy, latency_ms = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    front = pareto_rows(accuracy, latency_ms)
    return GenerationRecord(
        generation=len(state.history) + 1,
        evaluated=evaluated,
        feasible=len(pairs),
        front_size=len(front),
        hypervolume=hypervolume(accuracy[front], latency_ms[front], state.reference_ms),
        best_accuracy=float(accuracy.max(initial=0.0)),
    )

"""Owns the record of a generation: how good the population is, in numbers that one can plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.front import hypervolume, pareto_rows
from search.objectives import Objective, cost_matrix
from search.space import G
from search.state import GenerationRecord, State


def record_generation(state: State[G], evaluated: int, objectives: Sequence[Objective]) -> GenerationRecord:
    """Return the record of the generation that led to a state.

    Args:
        state: The state after `tell`; its history still ends with the generation before.
        evaluated: Candidates whose accuracy was evaluated in the generation.
        objectives: What is minimised beside accuracy, as many as the state's reference has.
    """
    scored = [one for one in state.population if one.feasible and one.accuracy is not None]
    accuracy = np.array([one.accuracy for one in scored], dtype=np.float64)
    costs = cost_matrix(scored, objectives)
    front = pareto_rows(accuracy, costs)
    return GenerationRecord(
        generation=len(state.history) + 1,
        evaluated=evaluated,
        feasible=len(scored),
        front_size=len(front),
        hypervolume=hypervolume(accuracy[front], costs[front], state.reference),
        best_accuracy=float(accuracy.max(initial=0.0)),
    )

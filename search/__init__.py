"""Decides: spaces, supernet, algorithms, constraints, run; sees a predictor, never a backend.

Supernet and training are imported from their own modules: they pull torch, which nothing else here needs.
"""

from search.accuracy import AccuracySource
from search.algorithms import Algorithm, Cars, EvolutionParams
from search.assessment import Assessment, LatencyInterval
from search.closed_loop import ClosedLoop, Feedback
from search.constraints import AllOf, Constraint, LatencyBudget, Limit
from search.front import FrontMember, ParetoFront
from search.objectives import Objective
from search.outcome import SearchOutcome, choose_finalists
from search.progress import SearchProgress
from search.run import run_search
from search.space import Genotype, SearchSpace
from search.state import Evaluation, GenerationRecord, State

__all__ = [
    "AccuracySource",
    "Algorithm",
    "AllOf",
    "Assessment",
    "Cars",
    "ClosedLoop",
    "Constraint",
    "Evaluation",
    "EvolutionParams",
    "Feedback",
    "FrontMember",
    "GenerationRecord",
    "Genotype",
    "LatencyBudget",
    "LatencyInterval",
    "Limit",
    "Objective",
    "ParetoFront",
    "SearchOutcome",
    "SearchProgress",
    "SearchSpace",
    "State",
    "choose_finalists",
    "run_search",
]

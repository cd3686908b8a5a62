"""Search algorithms: an ask/tell seam, CARS with pNSGA-III, and the operators they are made of."""

from search.algorithms.base import Algorithm, Learning
from search.algorithms.cars import Cars, EvolutionParams
from search.algorithms.domination import feasible_first
from search.algorithms.nsga3 import nsga3
from search.algorithms.offspring import Offspring, OffspringShares
from search.algorithms.pnsga3 import pnsga3
from search.algorithms.reference import das_dennis, reference_points
from search.algorithms.sorting import non_dominated_sort

__all__ = [
    "Algorithm",
    "Cars",
    "EvolutionParams",
    "Learning",
    "Offspring",
    "OffspringShares",
    "das_dennis",
    "feasible_first",
    "non_dominated_sort",
    "nsga3",
    "pnsga3",
    "reference_points",
]

"""Search algorithms behind one ask/tell seam, and the operators they are made of; `ALGORITHMS` has their names."""

from search.algorithms.base import Algorithm, Learning
from search.algorithms.by_name import ALGORITHMS
from search.algorithms.cars import Cars, EvolutionParams
from search.algorithms.domination import feasible_first
from search.algorithms.nsga3 import nsga3
from search.algorithms.offspring import Offspring, OffspringShares
from search.algorithms.pnsga3 import pnsga3
from search.algorithms.pymoo_evolution import PymooEvolution
from search.algorithms.random_search import RandomSearch
from search.algorithms.reference import das_dennis, reference_points
from search.algorithms.sorting import non_dominated_sort
from search.algorithms.spos import Spos, SposParams
from search.algorithms.trained_first import TrainedFirst, TrainedFirstParams

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Cars",
    "EvolutionParams",
    "Learning",
    "Offspring",
    "OffspringShares",
    "PymooEvolution",
    "RandomSearch",
    "Spos",
    "SposParams",
    "TrainedFirst",
    "TrainedFirstParams",
    "das_dennis",
    "feasible_first",
    "non_dominated_sort",
    "nsga3",
    "pnsga3",
    "reference_points",
]

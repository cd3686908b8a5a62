"""The cell space of DARTS and CARS: genotypes, moves, and lowering to a Network."""

from search.spaces.cars._genotype import OPERATIONS, CarsGenotype, Cell, Edge, Operation
from search.spaces.cars._lowering import CarsParams
from search.spaces.cars._space import CarsSpace

__all__ = ["OPERATIONS", "CarsGenotype", "CarsParams", "CarsSpace", "Cell", "Edge", "Operation"]

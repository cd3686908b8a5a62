"""The cell space of NAS-Bench-201: genotypes, moves, and lowering to a Network."""

from search.spaces.nasbench201._genotype import OPERATIONS, NasBench201Genotype, Operation
from search.spaces.nasbench201._lowering import NasBench201Params
from search.spaces.nasbench201._space import NasBench201Space

__all__ = ["OPERATIONS", "NasBench201Genotype", "NasBench201Params", "NasBench201Space", "Operation"]

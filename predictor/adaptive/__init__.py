"""Chooses what to measure next: the kernels and networks that tell most about a target space for their seconds.

Nothing here measures or reads a store. A `KernelBelief` holds what rows say of kernels, a `TargetSpace` the networks
whose latencies are wanted, `design` how each candidate bears on these, and `choose` picks; `next_batch` is all of it
in one call. `stated_error` says how far off predictions of the target networks are expected to be.
"""

from predictor.adaptive._batch import Batch, Networks, next_batch
from predictor.adaptive._belief import KernelBelief
from predictor.adaptive._choice import Choice, Design, choose
from predictor.adaptive._configurations import Configurations
from predictor.adaptive._cost import MeasurementCost
from predictor.adaptive._design import Candidates, design
from predictor.adaptive._stated import StatedError, stated_error
from predictor.adaptive._target_space import TargetSpace

__all__ = [
    "Batch",
    "Candidates",
    "Choice",
    "Configurations",
    "Design",
    "KernelBelief",
    "MeasurementCost",
    "Networks",
    "StatedError",
    "TargetSpace",
    "choose",
    "design",
    "next_batch",
    "stated_error",
]

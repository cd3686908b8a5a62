"""Kernels: what a runtime runs as one step of a network, cut out by fusion rules and sampled for measuring."""

from profiler.kernels._fuse import Fuser, fuse
from profiler.kernels._kernel import Kernel
from profiler.kernels._random import RECIPES
from profiler.kernels._rules import FUSION_RULES, FusionRules
from profiler.kernels._sampling import random_kernels, sample_kernels

__all__ = [
    "FUSION_RULES",
    "RECIPES",
    "Fuser",
    "FusionRules",
    "Kernel",
    "fuse",
    "random_kernels",
    "sample_kernels",
]

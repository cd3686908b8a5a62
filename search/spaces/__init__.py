"""Search spaces, one package each."""

from search.spaces.cars import CarsGenotype, CarsParams, CarsSpace
from search.spaces.nasbench201 import NasBench201Genotype, NasBench201Params, NasBench201Space
from search.spaces.shufflenetv2 import ShuffleNetV2Genotype, ShuffleNetV2Params, ShuffleNetV2Space

__all__ = [
    "CarsGenotype",
    "CarsParams",
    "CarsSpace",
    "NasBench201Genotype",
    "NasBench201Params",
    "NasBench201Space",
    "ShuffleNetV2Genotype",
    "ShuffleNetV2Params",
    "ShuffleNetV2Space",
]

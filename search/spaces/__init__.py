"""Search spaces, one package each."""

from search.spaces.cars import CarsGenotype, CarsParams, CarsSpace
from search.spaces.mobilenetv3 import MobileNetV3Genotype, MobileNetV3Params, MobileNetV3Space
from search.spaces.nasbench201 import NasBench201Genotype, NasBench201Params, NasBench201Space
from search.spaces.shufflenetv2 import ShuffleNetV2Genotype, ShuffleNetV2Params, ShuffleNetV2Space

__all__ = [
    "CarsGenotype",
    "CarsParams",
    "CarsSpace",
    "MobileNetV3Genotype",
    "MobileNetV3Params",
    "MobileNetV3Space",
    "NasBench201Genotype",
    "NasBench201Params",
    "NasBench201Space",
    "ShuffleNetV2Genotype",
    "ShuffleNetV2Params",
    "ShuffleNetV2Space",
]

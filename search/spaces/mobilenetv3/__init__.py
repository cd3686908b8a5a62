"""The space of once-for-all around MobileNetV3: genotypes, moves, and lowering to a Network."""

from search.spaces.mobilenetv3._genotype import Layer, MobileNetV3Genotype
from search.spaces.mobilenetv3._params import MobileNetV3Params, SqueezeExcite
from search.spaces.mobilenetv3._space import MobileNetV3Space

__all__ = ["Layer", "MobileNetV3Genotype", "MobileNetV3Params", "MobileNetV3Space", "SqueezeExcite"]

"""The space of Single Path One-Shot: ShuffleNetV2 with a choice of units and of their channels."""

from search.spaces.shufflenetv2._genotype import OPERATIONS, Block, Operation, ShuffleNetV2Genotype
from search.spaces.shufflenetv2._lowering import ShuffleNetV2Params
from search.spaces.shufflenetv2._space import ShuffleNetV2Space

__all__ = ["OPERATIONS", "Block", "Operation", "ShuffleNetV2Genotype", "ShuffleNetV2Params", "ShuffleNetV2Space"]

"""Genotypes of the ShuffleNetV2 space: one unit and one width for each block, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from search.errors import GenotypeError
from search.spaces._key import key_of

Operation = Literal["shuffle_3x3", "shuffle_5x5", "shuffle_7x7", "xception"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
"""The four candidates of Single Path One-Shot: ShuffleNetV2's unit with three windows, and one of three in a row."""


@dataclass(frozen=True, slots=True)
class Block:
    """What a block computes.

    Attributes:
        operation: Its unit.
        ratio: Channels inside the unit for each channel that it puts out, before they are rounded.
    """

    operation: Operation
    ratio: float


@dataclass(frozen=True)
class ShuffleNetV2Genotype:
    """The blocks of a network.

    Attributes:
        blocks: From the image to the logits.
    """

    blocks: tuple[Block, ...]

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits over the blocks; each of them matters."""
        return key_of([(block.operation, block.ratio) for block in self.blocks])


def encode(genotype: ShuffleNetV2Genotype) -> dict[str, object]:
    """Return {"blocks": [[operation, ratio], ...]}."""
    return {"blocks": [[block.operation, block.ratio] for block in genotype.blocks]}


def decode(encoded: object, choices: Sequence[Sequence[Block]]) -> ShuffleNetV2Genotype:
    """Return the genotype that a JSON value encodes.

    Args:
        encoded: What `encode` made, after a trip through JSON.
        choices: What each block may be.

    Raises:
        GenotypeError: The value has another form, or a block is none of its choices.
    """
    if not isinstance(encoded, Mapping) or encoded.keys() != {"blocks"}:
        raise GenotypeError("must be an object with the one key 'blocks'")
    blocks = encoded["blocks"]
    if not isinstance(blocks, list) or len(blocks) != len(choices):
        raise GenotypeError(f"must be a list of {len(choices)} blocks", place="blocks")
    pairs = enumerate(zip(blocks, choices, strict=True))
    return ShuffleNetV2Genotype(tuple(_decode_block(block, own, f"blocks[{index}]") for index, (block, own) in pairs))


def _decode_block(encoded: object, choices: Sequence[Block], place: str) -> Block:
    if not isinstance(encoded, list) or len(encoded) != 2 or type(encoded[1]) not in (int, float):
        raise GenotypeError("must be [operation, ratio]", place=place)
    for block in choices:
        if [block.operation, block.ratio] == encoded:
            return block
    operations = dict.fromkeys(block.operation for block in choices)
    ratios = dict.fromkeys(block.ratio for block in choices)
    raise GenotypeError(
        f"operation must be one of {', '.join(operations)}, and ratio one of {', '.join(f'{r:g}' for r in ratios)}",
        place=place,
    )

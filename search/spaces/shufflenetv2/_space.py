"""The ShuffleNetV2 space itself: how many genotypes there are, and the moves among them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from profiler.kernels import FusionRules, Kernel
from profiler.network import Network, operator_cost
from search.errors import GenotypeError, SearchError
from search.space import KernelCounts, SearchSpace
from search.spaces._choices import allowed
from search.spaces.shufflenetv2 import _genotype, _lowering
from search.spaces.shufflenetv2._counts import Codes, CountTables, follows
from search.spaces.shufflenetv2._genotype import OPERATIONS, Block, ShuffleNetV2Genotype
from search.spaces.shufflenetv2._lowering import Place, ShuffleNetV2Params

_Choice = TypeVar("_Choice")

_CHANGE_PROBABILITY = 0.1
"""Chance of each choice to change beside the one that always does (Guo et al. 2020 change each with this chance)."""


class ShuffleNetV2Space(SearchSpace[ShuffleNetV2Genotype]):
    """ShuffleNetV2 as Single Path One-Shot searches it (Guo et al., ECCV 2020): a unit and a width for each block.

    Blocks of one unit and different widths share their weights: a narrower one takes the leading channels. Ratios that
    round to the same channels are one choice, the smallest of them, so that each genotype is another function.

    Args:
        params: Settings of the space.

    Raises:
        SearchError: A setting is out of range.
    """

    def __init__(self, params: ShuffleNetV2Params) -> None:
        _check(params)
        self.params = params
        self._operations = allowed("ShuffleNetV2", params.operations, OPERATIONS)
        self._ratios = tuple(_different(params, place) for place in params.places)
        self._choices = tuple(
            tuple(Block(operation, ratio) for operation, ratio in itertools.product(self._operations, ratios))
            for ratios in self._ratios
        )
        self._codes = [{block: code for code, block in enumerate(choices)} for choices in self._choices]
        self._tables: dict[FusionRules, CountTables] = {}

    @property
    def name(self) -> str:
        """The space's name, "shufflenetv2"."""
        return "shufflenetv2"

    @property
    def identity(self) -> str:
        """Name and all settings, such as "shufflenetv2 image=32x32x3 classes=10 blocks=2,4,2 ..."."""
        params = self.params
        settings = {
            "image": "x".join(str(size) for size in params.image_shape),
            "classes": params.classes,
            "blocks": ",".join(map(str, params.blocks)),
            "channels": ",".join(map(str, params.channels)),
            "stem": params.stem,
            "head": params.head,
            "width": f"{params.width:g}",
            "ratios": ",".join(f"{ratio:g}" for ratio in sorted(params.ratios)),
            "operations": ",".join(self._operations),
        }
        return " ".join(["shufflenetv2", *(f"{name}={value}" for name, value in settings.items())])

    @property
    def size(self) -> int:
        """Product of the choices of all blocks."""
        return math.prod(len(choices) for choices in self._choices)

    @property
    def choices(self) -> tuple[tuple[Block, ...], ...]:
        """What each block may be."""
        return self._choices

    def sample(self, rng: np.random.Generator) -> ShuffleNetV2Genotype:
        """Return a genotype, each with equal probability."""
        return self._of(self.sample_array(1, rng)[0].tolist())

    def mutate(self, genotype: ShuffleNetV2Genotype, rng: np.random.Generator) -> ShuffleNetV2Genotype:
        """Return a copy in which one unit or ratio, and each other with probability 0.1, is another one."""
        changes = rng.random((len(genotype.blocks), 2)) < _CHANGE_PROBABILITY
        changes[rng.integers(len(changes)), rng.integers(2)] = True
        mutated = [
            Block(
                _another(self._operations, block.operation, rng) if unit else block.operation,
                _another(ratios, block.ratio, rng) if ratio else block.ratio,
            )
            for block, ratios, (unit, ratio) in zip(genotype.blocks, self._ratios, changes, strict=True)
        ]
        return ShuffleNetV2Genotype(tuple(mutated))

    def crossover(
        self, first: ShuffleNetV2Genotype, second: ShuffleNetV2Genotype, rng: np.random.Generator
    ) -> ShuffleNetV2Genotype:
        """Return a child that has each block from the first or the second parent with equal probability."""
        blocks = zip(first.blocks, second.blocks, rng.random(len(first.blocks)) < 0.5, strict=True)
        return ShuffleNetV2Genotype(tuple(theirs if swap else ours for ours, theirs, swap in blocks))

    def lower(self, genotype: ShuffleNetV2Genotype) -> Network:
        """Return the network: stem, blocks, head, logits."""
        return _lowering.lower(self.params, genotype)

    def input_parts(self, genotype: ShuffleNetV2Genotype) -> dict[str, tuple[str, ...]]:
        """Return nothing: all concatenations have the same parts in every genotype."""
        return {}

    def covering(self) -> Iterator[ShuffleNetV2Genotype]:
        """Yield each unit in all blocks at once, at its greatest width."""
        for operation in self._operations:
            yield ShuffleNetV2Genotype(tuple(Block(operation, ratios[-1]) for ratios in self._ratios))

    def largest(self) -> ShuffleNetV2Genotype:
        """Return the genotype of most multiply-accumulates: for each block the unit that has most at its widest."""
        covering = list(self.covering())
        work = np.array([self._block_macs(genotype) for genotype in covering])
        units = work.argmax(axis=0).tolist()
        return ShuffleNetV2Genotype(tuple(covering[unit].blocks[place] for place, unit in enumerate(units)))

    def features(self, genotypes: Sequence[ShuffleNetV2Genotype]) -> npt.NDArray[np.float64]:
        """Return numbers about genotypes, for models that learn from them.

        Returns:
            For each block of each genotype, a one-hot row of its unit and a row with its ratio in the unit's place.
            Shape: (n, 2 * blocks * units).
        """
        units = np.array([[self._operations.index(b.operation) for b in genotype.blocks] for genotype in genotypes])
        ratios = np.array([[block.ratio for block in genotype.blocks] for genotype in genotypes])
        shape = len(genotypes), len(self._choices)
        one_hot = (units.reshape(*shape, 1) == np.arange(len(self._operations))).astype(np.float64)
        both = np.concatenate([one_hot, one_hot * ratios.reshape(*shape, 1)], axis=2)
        return both.reshape(len(genotypes), math.prod(both.shape[1:]))

    def encode(self, genotype: ShuffleNetV2Genotype) -> dict[str, object]:
        """Return {"blocks": [[operation, ratio], ...]}."""
        return _genotype.encode(genotype)

    def decode(self, encoded: object) -> ShuffleNetV2Genotype:
        """Return the genotype that a JSON value encodes."""
        return _genotype.decode(encoded, self._choices)

    def kernel_counts(
        self, genotypes: Sequence[ShuffleNetV2Genotype] | npt.NDArray[Any], rules: FusionRules
    ) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return how often the networks of genotypes have each kernel, without lowering them.

        Under rules that fuse blocks with one another (see `_counts.follows`) they are lowered all the same.

        Args:
            genotypes: Of this space, or an array of them as `to_array` returns it. Length n.
            rules: What the runtime fuses.

        Returns:
            The kernels that occur, and their counts. Shape: (n, number of kernels).

        Raises:
            GenotypeError: The array is none of genotypes of the space.
        """
        array = self.to_array(genotypes)
        if not follows(rules):
            return super().kernel_counts(self.from_array(array), rules)
        if rules not in self._tables:
            self._tables[rules] = CountTables(self.params, self._choices, rules)
        return self._tables[rules].count(array)

    def to_array(self, genotypes: Sequence[ShuffleNetV2Genotype] | npt.NDArray[Any]) -> Codes:
        """Return genotypes as one array of whole numbers.

        Returns:
            Which of its `choices` each block is. Shape: (n, blocks).

        Raises:
            GenotypeError: An array was given that is none of genotypes of the space.
        """
        if not isinstance(genotypes, np.ndarray):
            rows = [[codes[block] for codes, block in zip(self._codes, g.blocks, strict=True)] for g in genotypes]
            return np.array(rows, dtype=np.uint16).reshape(len(rows), len(self._codes))
        limits = [len(choices) for choices in self._choices]
        if genotypes.ndim != 2 or genotypes.shape[1] != len(limits) or genotypes.dtype.kind not in "iu":
            raise GenotypeError(f"must be an array of whole numbers of shape (n, {len(limits)})")
        right = ((genotypes >= 0) & (genotypes < limits)).all(axis=1)
        if not right.all():
            raise GenotypeError("a block is none of its choices", place=f"row {int(np.argmin(right))}")
        return genotypes.astype(np.uint16, copy=False)

    def from_array(self, array: npt.NDArray[Any]) -> list[ShuffleNetV2Genotype]:
        """Return the genotypes that the rows of an array stand for.

        Raises:
            GenotypeError: A row is no genotype of the space.
        """
        return [self._of(row) for row in self.to_array(array).tolist()]

    def sample_array(self, count: int, rng: np.random.Generator) -> Codes:
        """Return many random genotypes, each of the space's with equal probability, as an array."""
        limits = [len(choices) for choices in self._choices]
        return rng.integers(limits, size=(count, len(limits)), dtype=np.uint16)

    def _of(self, codes: Sequence[int]) -> ShuffleNetV2Genotype:
        return ShuffleNetV2Genotype(tuple(own[code] for own, code in zip(self._choices, codes, strict=True)))

    def _block_macs(self, genotype: ShuffleNetV2Genotype) -> list[int]:
        network, macs = self.lower(genotype), [0] * len(genotype.blocks)
        for operator in network.operators:
            if operator.name.startswith("blocks."):
                macs[int(operator.name.split(".")[1])] += operator_cost(network, operator).macs
        return macs


def _check(params: ShuffleNetV2Params) -> None:
    least = {"stem": 1, "head": 1, "classes": 2}
    for name, bound in least.items():
        if getattr(params, name) < bound:
            raise SearchError(f"the ShuffleNetV2 space needs {name} >= {bound}, not {getattr(params, name)}")
    if len(params.image_shape) != 3 or min(params.image_shape) < 1:
        raise SearchError(f"images must have a height, a width and channels >= 1, not {params.image_shape}")
    if not params.blocks or len(params.blocks) != len(params.channels) or min(*params.blocks, *params.channels) < 1:
        raise SearchError(
            f"blocks and channels must name as many stages, each >= 1, not {params.blocks} and {params.channels}"
        )
    if not params.ratios or len(set(params.ratios)) < len(params.ratios) or min(params.width, *params.ratios) <= 0:
        raise SearchError(f"width and ratios must be > 0, and ratios differ: not {params.width:g} and {params.ratios}")


def _different(params: ShuffleNetV2Params, place: Place) -> tuple[float, ...]:
    """Return the ratios that make different channels of a block, the smallest of each, in ascending order."""
    first: dict[int, float] = {}
    for ratio in sorted(params.ratios):
        first.setdefault(params.inner_channels(place, ratio), ratio)
    return tuple(first.values())


def _another(choices: Sequence[_Choice], now: _Choice, rng: np.random.Generator) -> _Choice:
    """Return any of the other choices, or the only one."""
    if len(choices) == 1:
        return now
    step = int(rng.integers(1, len(choices)))
    return choices[(choices.index(now) + step) % len(choices)]

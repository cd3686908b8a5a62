"""The MobileNetV3 space itself: how many genotypes there are, and the moves among them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from profiler.kernels import FusionRules, Kernel
from profiler.network import Network
from search.space import KernelCounts, SearchSpace
from search.spaces.mobilenetv3 import _encoding, _lowering
from search.spaces.mobilenetv3._counts import CountTables, follows
from search.spaces.mobilenetv3._features import features
from search.spaces.mobilenetv3._genotype import LAYER_FIELDS, Layer, LayerField, MobileNetV3Genotype, Stage
from search.spaces.mobilenetv3._params import MobileNetV3Params

_CHANGE_PROBABILITY = 0.1
"""Chance of each choice to change, as once-for-all has it."""

_Place = tuple[Literal["resolution", "depth"] | LayerField, int, int]
"""One choice of a genotype with its stage and layer, 0 where they say nothing."""

_T = TypeVar("_T")


class MobileNetV3Space(SearchSpace[MobileNetV3Genotype]):
    """MobileNetV3 with the choices of once-for-all (Cai et al., ICLR 2020).

    They are the depth of each stage, kernel and expansion of each layer, and the size to which images are brought;
    squeeze-and-excite may be a choice too.

    Args:
        params: Settings of the space.

    Raises:
        SearchError: A setting is out of range.
    """

    def __init__(self, params: MobileNetV3Params) -> None:
        params.check()
        self.params = params
        self._layers = tuple(params.layers(stage) for stage in range(params.stages))
        self._tables: dict[FusionRules, CountTables] = {}

    @property
    def name(self) -> str:
        """The space's name, "mobilenetv3"."""
        return "mobilenetv3"

    @property
    def identity(self) -> str:
        """Name and settings, such as "mobilenetv3 image=28x28x1 classes=10 stages=5 width=0.5 depths=2,3,4 ..."."""
        params = self.params
        choices = {
            "depths": params.depths,
            "kernels": params.kernels,
            "expansions": params.expansions,
            "resolutions": params.heights,
        }
        listed = " ".join(f"{name}={','.join(map(str, values))}" for name, values in choices.items())
        image = "x".join(map(str, params.image_shape))
        return (
            f"mobilenetv3 image={image} classes={params.classes} stages={params.stages} width={params.width:g} "
            f"{listed} squeeze_excite={params.squeeze_excite}"
        )

    @property
    def size(self) -> int:
        """Product of what each stage may be, times the resolutions."""
        return len(self.params.heights) * math.prod(sum(self._stage_sizes(stage)) for stage in range(len(self._layers)))

    def sample(self, rng: np.random.Generator) -> MobileNetV3Genotype:
        """Return a genotype, each with equal probability: there are more deep stages, so they are more frequent."""
        resolution = _drawn(self.params.heights, rng)
        stages = range(self.params.stages)
        return MobileNetV3Genotype(resolution, tuple(self._sample_stage(stage, rng) for stage in stages))

    def mutate(self, genotype: MobileNetV3Genotype, rng: np.random.Generator) -> MobileNetV3Genotype:
        """Return a copy in which each choice has another value with probability 0.1, and at least one has.

        Layers by which a stage gets deeper are drawn uniformly.
        """
        places = self._open_places(genotype)
        if not places:
            return genotype
        chosen = rng.random(len(places)) < _CHANGE_PROBABILITY
        chosen[rng.integers(len(places))] |= not chosen.any()
        changed = [place for place, change in zip(places, chosen.tolist(), strict=True) if change]
        resolution, stages = genotype.resolution, [list(stage) for stage in genotype.stages]
        # Depths come last: until then there is every layer that a place names.
        for what, stage, index in sorted(changed, key=lambda place: place[0] == "depth"):
            layers = stages[stage]
            if what == "resolution":
                resolution = _other(self.params.heights, resolution, rng)
            elif what == "depth":
                depth = _other(self.params.depths, len(layers), rng)
                added = [_drawn(self._layers[stage], rng) for _ in range(depth - len(layers))]
                stages[stage] = [*layers[:depth], *added]
            else:
                value = _other(self.params.options(what, stage), getattr(layers[index], what), rng)
                layers[index] = layers[index]._replace(**{what: value})
        return MobileNetV3Genotype(resolution, tuple(map(tuple, stages)))

    def crossover(
        self, first: MobileNetV3Genotype, second: MobileNetV3Genotype, rng: np.random.Generator
    ) -> MobileNetV3Genotype:
        """Return a child that has each choice from the first or the second parent with equal probability.

        A layer that only one parent has comes from that one.
        """

        def either(ours: _T, theirs: _T) -> _T:
            return theirs if rng.random() < 0.5 else ours

        def cross(left: Stage, right: Stage) -> Stage:
            pairs = itertools.zip_longest(left, right)
            layers = [
                Layer(*(either(getattr(ours, field), getattr(theirs, field)) for field in LAYER_FIELDS))
                if ours and theirs
                else ours or theirs
                for ours, theirs in pairs
            ]
            return tuple(layers[: either(len(left), len(right))])

        stages = zip(first.stages, second.stages, strict=True)
        return MobileNetV3Genotype(either(first.resolution, second.resolution), tuple(cross(*pair) for pair in stages))

    def lower(self, genotype: MobileNetV3Genotype) -> Network:
        """Return the network: resizing where it is chosen, stem, the layers of each stage, logits."""
        return _lowering.lower(self.params, genotype)

    def input_parts(self, genotype: MobileNetV3Genotype) -> dict[str, tuple[str, ...]]:
        """Return nothing: no operator of this space reads a concatenation."""
        return {}

    def covering(self) -> Iterator[MobileNetV3Genotype]:
        """Yield the largest genotype, and it again with each other kernel everywhere and at each other resolution."""
        kernels = sorted(self.params.kernels, reverse=True)
        heights = sorted(self.params.heights, reverse=True)
        for turn in range(max(len(kernels), len(heights))):
            yield self._uniform(heights[turn % len(heights)], kernels[turn % len(kernels)])

    def largest(self) -> MobileNetV3Genotype:
        """Return the genotype in which every choice has its largest value."""
        return self._uniform(max(self.params.heights), max(self.params.kernels))

    def features(self, genotypes: Sequence[MobileNetV3Genotype]) -> npt.NDArray[np.float64]:
        """Return a one-hot row for each choice; those of layers that are not there are 0.

        Returns:
            Resolution first, then of each stage its depth, and of each layer its kernel, expansion and squeeze-and-
            excite. Shape: (n, resolutions + stages * (depths + most layers * (kernels + expansions + 1 or 2))).
        """
        return features(self.params, genotypes)

    def kernel_counts(
        self, genotypes: Sequence[MobileNetV3Genotype] | npt.NDArray[Any], rules: FusionRules
    ) -> tuple[tuple[Kernel, ...], KernelCounts]:
        """Return how often the networks of genotypes have each kernel, without lowering them.

        Under rules that fuse one layer with the next they are lowered all the same; see `SearchSpace.kernel_counts`.
        """
        if not follows(rules):
            return super().kernel_counts(genotypes, rules)
        if rules not in self._tables:
            self._tables[rules] = CountTables(self.params, rules)
        return self._tables[rules].count(list(genotypes))

    def encode(self, genotype: MobileNetV3Genotype) -> dict[str, object]:
        """Return {"resolution": ..., "stages": [[[kernel, expansion, excite], ...], ...]}."""
        return _encoding.encode(genotype)

    def decode(self, encoded: object) -> MobileNetV3Genotype:
        """Return the genotype that a JSON value encodes."""
        return _encoding.decode(self.params, encoded)

    def _stage_sizes(self, stage: int) -> list[int]:
        """Return how many different stages there are of each depth."""
        return [len(self._layers[stage]) ** depth for depth in self.params.depths]

    def _sample_stage(self, stage: int, rng: np.random.Generator) -> Stage:
        sizes = self._stage_sizes(stage)
        number, depth = int(rng.integers(sum(sizes))), 0
        while number >= sizes[depth]:
            number, depth = number - sizes[depth], depth + 1
        layers: list[Layer] = []
        for _ in range(self.params.depths[depth]):
            number, code = divmod(number, len(self._layers[stage]))
            layers.append(self._layers[stage][code])
        return tuple(layers)

    def _open_places(self, genotype: MobileNetV3Genotype) -> list[_Place]:
        """Return the choices of a genotype that have more than one value to choose from."""
        places: list[_Place] = [("resolution", 0, 0)] if len(self.params.heights) > 1 else []
        for stage, layers in enumerate(genotype.stages):
            if len(self.params.depths) > 1:
                places.append(("depth", stage, 0))
            fields = [field for field in LAYER_FIELDS if len(self.params.options(field, stage)) > 1]
            places += [(field, stage, index) for index in range(len(layers)) for field in fields]
        return places

    def _uniform(self, resolution: int, kernel: int) -> MobileNetV3Genotype:
        """Return the genotype of most and widest layers that has one kernel everywhere."""
        params = self.params
        widest = [Layer(kernel, max(params.expansions), max(params.excites(stage))) for stage in range(params.stages)]
        return MobileNetV3Genotype(resolution, tuple((layer,) * max(params.depths) for layer in widest))


def _drawn(options: Sequence[_T], rng: np.random.Generator) -> _T:
    return options[int(rng.integers(len(options)))]


def _other(options: Sequence[_T], value: _T, rng: np.random.Generator) -> _T:
    """Return another one of the options than a value, each with equal probability."""
    return _drawn([option for option in options if option != value], rng)

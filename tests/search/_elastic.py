"""A small space of networks with fewer channels and smaller windows than the shared weights have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from profiler.network import (
    Conv2d,
    Dense,
    DepthwiseConv2d,
    GlobalAvgPool2d,
    HardSigmoid,
    HardSwish,
    Mul,
    Network,
    PRelu,
    Reshape,
    TensorSpec,
)
from search.space import SearchSpace

KERNELS, WIDTHS = (1, 3, 5), (2, 4, 6)


@dataclass(frozen=True)
class ElasticGenotype:
    kernel: int
    width: int

    @property
    def key(self) -> str:
        return f"{self.kernel}{self.width}"


class ElasticSpace(SearchSpace[ElasticGenotype]):
    """Networks for stripes; all share every weight but for its size."""

    name = "elastic"
    identity = "elastic"
    size = len(KERNELS) * len(WIDTHS)

    def sample(self, rng: np.random.Generator) -> ElasticGenotype:
        return ElasticGenotype(int(rng.choice(KERNELS)), int(rng.choice(WIDTHS)))

    def mutate(self, genotype: ElasticGenotype, rng: np.random.Generator) -> ElasticGenotype:
        return self.crossover(genotype, self.sample(rng), rng)

    def crossover(self, first: ElasticGenotype, second: ElasticGenotype, rng: np.random.Generator) -> ElasticGenotype:
        return ElasticGenotype(first.kernel, second.width)

    def lower(self, genotype: ElasticGenotype) -> Network:
        width, window = genotype.width, (genotype.kernel, genotype.kernel)
        operators = [
            Conv2d("stem", ("image",), 4),
            HardSwish("stem.act", ("stem",)),
            Conv2d("expand", ("stem.act",), width, (1, 1)),
            PRelu("expand.act", ("expand",)),
            DepthwiseConv2d("depthwise", ("expand.act",), window),
            GlobalAvgPool2d("excite.pool", ("depthwise",)),
            Dense("excite", ("excite.pool",), width),
            HardSigmoid("excite.gate", ("excite",)),
            Reshape("excite.map", ("excite.gate",), (1, 1, 1, width)),
            Mul("excited", ("depthwise", "excite.map")),
            Conv2d("groups", ("excited",), width, window, groups=2),
            GlobalAvgPool2d("pool", ("groups",)),
            Dense("logits", ("pool",), 4),
        ]
        return Network("elastic", [TensorSpec("image", (1, 8, 8, 1))], operators, ["logits"])

    def input_parts(self, genotype: ElasticGenotype) -> dict[str, tuple[str, ...]]:
        return {}

    def covering(self) -> Iterator[ElasticGenotype]:
        yield ElasticGenotype(max(KERNELS), min(WIDTHS))
        yield ElasticGenotype(min(KERNELS), max(WIDTHS))

    def largest(self) -> ElasticGenotype:
        return ElasticGenotype(max(KERNELS), max(WIDTHS))

    def features(self, genotypes: Sequence[ElasticGenotype]) -> np.ndarray:
        return np.array([(genotype.kernel, genotype.width) for genotype in genotypes], dtype=np.float64)

    def encode(self, genotype: ElasticGenotype) -> dict[str, object]:
        return asdict(genotype)

    def decode(self, encoded: object) -> ElasticGenotype:
        assert isinstance(encoded, dict)
        return ElasticGenotype(**encoded)


ELASTIC = ElasticSpace()
ALL_ELASTIC = [ElasticGenotype(*choices) for choices in product(KERNELS, WIDTHS)]

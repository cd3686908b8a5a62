"""The exported genotype is the evaluated one: what the supernet scores is what the files compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.augmentation import to_torch
from search.spaces import CarsGenotype, CarsParams, CarsSpace
from search.supernet import Supernet
from tests.runtimes import run_litert, run_onnxruntime, run_torch
from tests.search._stripes import stripes_data, stripes_supernet

SPACE = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=4, cells=4, channels=4, nodes=3))
DATA = stripes_data()
SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def supernet() -> Supernet[CarsGenotype]:
    """A supernet after an epoch, so that no batch norm is the identity any more."""
    trained = stripes_supernet(space=SPACE)
    trained.learn(lambda rng: [SPACE.sample(rng)], epochs=6, rng=np.random.default_rng(0))
    return trained


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare within 1e-4 of the largest logit: rounding grows with the values it happens to."""
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))


@settings(deadline=None, max_examples=40)
@given(SEEDS)
def test_inherited_network_computes_what_was_scored(supernet: Supernet[CarsGenotype], seed: int) -> None:
    genotype = SPACE.sample(np.random.default_rng(seed))
    scored = supernet.logits(genotype, to_torch(DATA.val_x)).numpy()
    network = supernet.inherit(genotype)
    assert_same(run_torch(network, [DATA.val_x])[0], scored)
    assert network.key == SPACE.lower(genotype).key


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_written_files_compute_what_was_scored(supernet: Supernet[CarsGenotype], seed: int) -> None:
    # A trip through JSON, as a search's checkpoint and result make it.
    genotype = SPACE.decode(SPACE.encode(SPACE.sample(np.random.default_rng(seed))))
    network = supernet.inherit(genotype)
    for image in DATA.val_x[:3, None]:
        scored = supernet.logits(genotype, to_torch(image)).numpy()
        assert_same(run_litert(network, [image])[0], scored)
        assert_same(run_onnxruntime(network, [image])[0], scored)


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_none_is_the_same_as_a_branch_of_zeros(supernet: Supernet[CarsGenotype], seed: int) -> None:
    """Leaving dead nodes out is what zeros in their channels would do: the blocks of their kernels do not act."""
    genotype = SPACE.sample(np.random.default_rng(seed))
    images = to_torch(DATA.val_x[:8])
    before = supernet.logits(genotype, images)
    used = supernet.weights_of(genotype).keys()
    with torch.no_grad():
        kept = {name: weight.clone() for name, weight in supernet.weights.items()}
        for name, weight in supernet.weights.items():
            if name not in used:
                weight.fill_(torch.nan)
        after = supernet.logits(genotype, images)
        for name, weight in supernet.weights.items():
            weight.copy_(kept[name])
    torch.testing.assert_close(after, before, rtol=0, atol=0)

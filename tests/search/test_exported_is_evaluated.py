"""The exported genotype is the evaluated one: what the supernet scores is what the files compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.network import Concat, Conv2d, Network, Relu
from search.augmentation import to_torch
from search.spaces import CarsGenotype, CarsParams, CarsSpace
from search.spaces.cars import Cell
from search.supernet import Supernet
from search.unfolded import FixedStatistics, RecordingStatistics, UnfoldedNetwork
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
    """Leaving dead nodes out is what zeros in their channels and the whole kernels behind them compute."""
    rng = np.random.default_rng(seed)
    sampled = SPACE.sample(rng)
    genotype = CarsGenotype(with_a_dead_node(sampled.normal, rng), with_a_dead_node(sampled.reduction, rng))
    images = to_torch(DATA.val_x)
    reference, zeros = with_branches_of_zeros(genotype)
    weights = {name: weight.detach() for name, weight in supernet.weights.items()} | zeros
    assert reference.weight_shapes.keys() <= weights.keys()
    recording = RecordingStatistics()
    reference.run(weights, to_torch(DATA.train_x[: supernet.params.calibration_images]), recording)
    expected = reference.run(weights, images, FixedStatistics(recording.statistics()))
    assert_same(supernet.logits(genotype, images).numpy(), expected.numpy())


def with_a_dead_node(cell: Cell, rng: np.random.Generator) -> Cell:
    """Put "none" on both edges of a node, of which few that are drawn are dead; some other node stays alive."""
    for dead in rng.permutation(len(cell.nodes)):
        nodes = list(cell.nodes)
        first, second = nodes[dead]
        nodes[dead] = (replace(first, operation="none"), replace(second, operation="none"))
        if Cell(tuple(nodes)).live_nodes:
            return Cell(tuple(nodes))
    return cell


def with_branches_of_zeros(genotype: CarsGenotype) -> tuple[UnfoldedNetwork, dict[str, torch.Tensor]]:
    """Build a genotype's network with all nodes of each cell behind it, the dead ones as zeros.

    Returns:
        The network, whose readers of cells have kernels with a block for every node, and the weights that
        make the zeros.
    """
    network = SPACE.lower(genotype)
    operators = {operator.name: operator for operator in network.operators}
    zeros: dict[str, torch.Tensor] = {}
    parts: dict[str, tuple[str, ...]] = {}
    for index in range(SPACE.params.cells):
        cell = genotype.reduction if index in SPACE.params.reductions else genotype.normal
        last = index == SPACE.params.cells - 1
        readers = ["pool"] if last else [f"cells.{index + 1}.in1", f"cells.{index + 2}.in0"]
        readers = [reader for reader in readers if reader in operators]
        if not readers:
            continue
        (read,) = operators[readers[0]].inputs
        output = read if last else operators[read].inputs[0]
        live = iter(operators[output].inputs if len(cell.live_nodes) > 1 else (output,))
        nodes = [next(live) if node in cell.live_nodes else f"zeros.{index}" for node in range(SPACE.params.nodes)]
        if f"zeros.{index}" in nodes:
            source = next(node for node in nodes if node in operators)
            channels = network.tensors[source].shape[-1]
            operators[f"zeros.{index}"] = Conv2d(f"zeros.{index}", (source,), channels, (1, 1), use_bias=False)
            zeros[f"zeros.{index}/kernel"] = torch.zeros(channels, channels, 1, 1)
        whole = operators[f"whole.{index}"] = Concat(f"whole.{index}", tuple(nodes))
        operators[f"whole.{index}.relu"] = Relu(f"whole.{index}.relu", (whole.name,))
        for reader in readers:
            operators[reader] = replace(operators[reader], inputs=(whole.name if last else f"{whole.name}.relu",))
            parts["logits" if last else reader] = tuple(f"node{node}" for node in range(SPACE.params.nodes))
    return UnfoldedNetwork(Network("whole", network.inputs, list(operators.values()), network.outputs), parts), zeros

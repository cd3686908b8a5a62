"""Catalogue texts as networks: their size is the published one, and their shapes fit."""

from __future__ import annotations

import pytest

from profiler.catalogues import FbnetChoices, MbconvBlock, NasBench201Cell
from profiler.errors import ArchitectureTextError, NetworkError


def test_all_convolutions_have_the_parameters_and_work_that_the_benchmark_says() -> None:
    """NAS-Bench-201's largest cell on CIFAR-10: 1.532 MB of parameters, 220.12 M multiply-adds."""
    cell = NasBench201Cell(("nor_conv_3x3",) * 6)
    cost = cell.to_network().cost()
    assert cost.macs == pytest.approx(220.1e6, rel=0.01)
    assert cost.parameters == pytest.approx(1.53e6, rel=0.01)


def test_a_cell_of_connections_only_is_its_skeleton() -> None:
    network = NasBench201Cell(("none", "none", "none", "skip_connect", "none", "none")).to_network()
    assert not any("edge" in operator.name for operator in network.operators)
    assert network.cost().parameters == pytest.approx(0.073e6, rel=0.02)


def test_dead_parts_and_work_on_zeros_are_left_out() -> None:
    written = NasBench201Cell(("none", "nor_conv_1x1", "nor_conv_3x3", "skip_connect", "avg_pool_3x3", "none"))
    plain = NasBench201Cell(("none", "none", "none", "skip_connect", "none", "none"))
    assert written.to_network().key == plain.to_network().key


def test_a_cell_of_zeros_is_no_network() -> None:
    with pytest.raises(NetworkError, match="zeros"):
        NasBench201Cell(("skip_connect", "none", "none", "none", "none", "none")).to_network()


@pytest.mark.parametrize("block", FbnetChoices.BLOCKS)
def test_every_fbnet_block_fits_everywhere(block: str) -> None:
    by_name = FbnetChoices.parse("|".join([block] * FbnetChoices.POSITIONS))
    number = str(FbnetChoices.BLOCKS.index(block))
    assert FbnetChoices.parse(" ".join([number] * FbnetChoices.POSITIONS)) == by_name
    network = by_name.to_network()
    assert network.tensors["logits"].shape == (1, 100)
    assert network.tensors["head"].shape == (1, 4, 4, 1504)


def test_fbnet_blocks_cost_what_they_expand_to() -> None:
    macs = {block: FbnetChoices((block,) * 22).to_network().cost().macs for block in FbnetChoices.BLOCKS}
    assert macs["skip"] < macs["k3_e1_g2"] < macs["k3_e1"] < macs["k3_e3"] < macs["k3_e6"] < macs["k5_e6"]


@pytest.mark.parametrize("text", ["", "1 2 3", " ".join(["9"] * 22), "|".join(["k7_e1"] * 22)])
def test_other_texts_are_no_fbnet(text: str) -> None:
    with pytest.raises(ArchitectureTextError):
        FbnetChoices.parse(text)


def test_a_block_has_its_shapes_and_its_work() -> None:
    network = MbconvBlock.parse("conv_56_24_48_4_2_hard_swish_5_se").to_network()
    assert network.tensors["project"].shape == (1, 28, 28, 48)
    expand, depthwise, project, short = 56 * 56 * 24 * 96, 28 * 28 * 96 * 25, 28 * 28 * 96 * 48, 28 * 28 * 24 * 48
    assert network.cost().macs == pytest.approx(expand + depthwise + project + short, rel=0.01)


def test_a_block_that_keeps_its_shape_has_a_plain_short_cut() -> None:
    network = MbconvBlock.parse("conv_28_40_40_1_1_relu_3_nose").to_network()
    assert {operator.name for operator in network.operators} == {
        *("depthwise", "depthwise/activation", "project", "block/add1"),
    }


@pytest.mark.parametrize("text", ["", "transds_4_216_168_2_4", "conv_0_8_8_1_1_relu_3_se", "conv_8_8_8_1_3_relu_3_se"])
def test_other_keys_are_no_block(text: str) -> None:
    with pytest.raises(ArchitectureTextError):
        MbconvBlock.parse(text)

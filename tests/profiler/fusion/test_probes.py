import math
from itertools import pairwise

import pytest

from profiler.fusion import PAIRS, SIZES, Chain, Probe, Size, grown
from profiler.kernels import FUSION_RULES

LONGER = grown({chain for rules in FUSION_RULES.values() for chain in rules.chains}, ())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.side}x{size.channels}")
def test_a_probe_is_the_chain_and_its_parts(size: Size) -> None:
    for chain in (*PAIRS, *LONGER):
        _check(Probe(chain, size), chain)


def _check(probe: Probe, chain: Chain) -> None:
    *before, last = probe.whole.operators
    assert probe.before.operators == tuple(before)
    assert probe.before.outputs == tuple(last.inputs)
    assert [operator.kind for operator in probe.last.operators] == [chain[-1]]
    assert [spec.shape for spec in probe.last.inputs] == [probe.whole.tensors[name].shape for name in last.inputs]
    # The chain itself: each operator reads the one before it, and nobody else does.
    carried = [operator for operator in probe.whole.operators if not operator.name.startswith("twin/")]
    assert tuple(operator.kind for operator in carried) == chain
    for writer, reader in pairwise(carried):
        assert reader.inputs[0] == writer.name
        assert probe.whole.consumers(writer.name) == (reader,)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size.side}x{size.channels}")
def test_what_is_in_question_moves_much(size: Size) -> None:
    for chain in (pair for pair in PAIRS if pair[0] != "pad"):
        whole = Probe(chain, size).whole
        assert math.prod(whole.tensors[whole.outputs[0]].shape) >= 150_000


def test_both_branches_of_a_sum_are_alike() -> None:
    whole = Probe(("conv2d", "relu", "add"), SIZES[0]).whole
    assert [operator.kind for operator in whole.operators] == ["conv2d", "relu", "conv2d", "relu", "add"]

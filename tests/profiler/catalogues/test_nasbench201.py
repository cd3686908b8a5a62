from __future__ import annotations

import pytest

from profiler.catalogues import NasBench201Cell
from profiler.errors import ArchitectureTextError

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"


def test_operations_are_in_the_order_of_the_edges() -> None:
    operations = dict(zip(NasBench201Cell.EDGES, NasBench201Cell.parse(CELL).operations, strict=True))
    assert operations[(0, 1)] == "nor_conv_3x3"
    assert operations[(1, 2)] == "skip_connect"
    assert operations[(2, 3)] == "avg_pool_3x3"


def test_live_keeps_what_reaches_the_output() -> None:
    assert NasBench201Cell.parse(CELL).live() == NasBench201Cell.parse(CELL)
    unread = CELL.replace("avg_pool_3x3~2", "none~2")
    assert set(NasBench201Cell.parse(unread).live().operations) == {"none", "nor_conv_1x1"}


def test_live_keeps_operations_on_nothing() -> None:
    """What an operation gets as input is not what decides whether it runs."""
    cell = NasBench201Cell.parse("|none~0|+|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|")
    assert cell.live() == cell


@pytest.mark.parametrize(
    "text",
    ["", "|a~0|", CELL.replace("~1|+", "~0|+"), CELL.replace("avg_pool_3x3", "lstm"), CELL + "+|none~0|", "|" * 9],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ArchitectureTextError):
        NasBench201Cell.parse(text)

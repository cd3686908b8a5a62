"""A table of accuracies: lookup, what it refuses, and that it is the same source only with the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from search.errors import SearchError
from search.table_source import TableSource
from tests.search._toy import ToyGenotype

WIDE, NARROW = ToyGenotype((7,) * 5), ToyGenotype((0,) * 5)
TABLE = {"77777": 0.9, "00000": 0.4}


def test_accuracies_are_looked_up_in_order() -> None:
    source = TableSource[ToyGenotype](TABLE)
    assert source.evaluate([NARROW, WIDE, NARROW]).tolist() == [0.4, 0.9, 0.4]
    assert source.evaluate([]).shape == (0,)


def test_genotypes_may_be_named_as_the_table_does() -> None:
    source = TableSource[ToyGenotype]({"wide": 0.9}, lambda genotype: "wide" if max(genotype.widths) else "narrow")
    assert source.evaluate([WIDE]).tolist() == [0.9]
    with pytest.raises(SearchError, match="lacks narrow and 0 more"):
        source.evaluate([WIDE, NARROW])


def test_it_learns_nothing_and_has_no_state() -> None:
    source = TableSource[ToyGenotype](TABLE)
    rng = np.random.default_rng(0)
    assert source.learn(lambda _: [WIDE], epochs=3, rng=rng) == 0
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state
    assert source.state() == {}
    source.restore({})
    with pytest.raises(SearchError, match="another source"):
        source.restore({"epochs": np.array(1)})


def test_the_identity_is_that_of_the_numbers() -> None:
    backwards = dict(reversed(TABLE.items()))
    assert TableSource(TABLE).identity == TableSource(backwards).identity
    assert TableSource(TABLE).identity != TableSource(TABLE | {"00000": 0.41}).identity


@pytest.mark.parametrize("table", [{}, {"a": 1.2}, {"a": -0.1}, {"a": float("nan")}])
def test_no_table_of_accuracies_is_refused(table: dict[str, float]) -> None:
    with pytest.raises(SearchError):
        TableSource(table)

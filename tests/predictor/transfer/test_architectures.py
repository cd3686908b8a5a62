from __future__ import annotations

import numpy as np
import pytest

from predictor.errors import TrainingRowsError
from predictor.transfer._architectures import read_architectures
from profiler.errors import ArchitectureTextError


def test_cells_keep_what_is_written_and_what_is_live() -> None:
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    found = read_architectures([dead, dead.replace("none", "skip_connect")])
    assert found.choices.tolist()[0] == [3, 0, 0, 2, 0, 0]
    assert found.live.tolist()[0] == [0, 0, 0, 2, 0, 0]
    assert found.has_dead_parts
    assert not found.pruned().has_dead_parts


@pytest.mark.parametrize("form", ["{} {} {}", "{},{},{}", "[{}, {}, {}]", "{}|{}|{}"])
def test_lists_of_choices_in_any_dress(form: str) -> None:
    found = read_architectures([form.format(7, 1, 1), form.format(1, "skip", 7)])
    assert found.choices.shape == (2, 3)
    assert found.choices[0, 0] == found.choices[1, 2]
    assert found.options == 3


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ArchitectureTextError, match="2 choices where others have 3"):
        read_architectures(["1 2 3", "1 2"])


def test_keys_have_kinds_and_amounts_within_them() -> None:
    found = read_architectures(["conv_56_24_se", "conv_28_24_nose", "pool_7_3_9", "pool_14_3_9"])
    assert found.kinds.tolist() == [0, 0, 1, 1]
    assert found.amounts.shape == (4, 2)
    np.testing.assert_allclose(found.amounts[:2].mean(axis=0), 0.0, atol=1e-12)
    assert found.amounts[2:, 1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("texts", [[], ["", "a_1"]])
def test_rows_without_an_architecture_are_refused(texts: list[str]) -> None:
    with pytest.raises(TrainingRowsError, match="must name an architecture"):
        read_architectures(texts)

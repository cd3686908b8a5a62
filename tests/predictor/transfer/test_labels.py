from __future__ import annotations

import pytest

from predictor.errors import TrainingRowsError
from predictor.transfer import Labels


def test_labels_are_counted_and_repeats_are_free() -> None:
    labels = Labels({"a": "1.5", "b": "2"}, budget=1)
    assert [labels.ask("a"), labels.ask("a")] == [1.5, 1.5]
    assert labels.asked == ("a",)
    with pytest.raises(TrainingRowsError, match="all 1 labels"):
        labels.ask("b")


@pytest.mark.parametrize(
    ("text", "problem"), [("nan", "finite"), ("-3", "positive"), ("0", "positive"), ("x", "number")]
)
def test_a_label_is_judged_when_it_is_asked_for(text: str, problem: str) -> None:
    labels = Labels({"a": text}, budget=3)
    with pytest.raises(TrainingRowsError, match=problem):
        labels.ask("a")
    assert labels.asked == ()


def test_unknown_ids_have_no_label() -> None:
    with pytest.raises(TrainingRowsError, match="'z' has no label"):
        Labels({"a": "1"}, budget=1).ask("z")

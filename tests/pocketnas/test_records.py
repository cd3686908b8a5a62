"""What a result says of a predictor whose device has become another machine."""

from __future__ import annotations

from pocketnas._records import processor_check


def test_same_processor_needs_no_word() -> None:
    assert processor_check("Example CPU", "Example CPU") is None


def test_other_processor_is_named_beside_the_one_learnt_from() -> None:
    said = processor_check("Example CPU", "Other CPU")
    assert said is not None and said.startswith("OTHER-PROCESSOR: ")
    assert "fitted on Example CPU" in said and "on Other CPU" in said

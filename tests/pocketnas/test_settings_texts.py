"""Settings of trainings from KEY=VALUE texts: parts, kinds of values, and what is refused in one line."""

from __future__ import annotations

import pytest

from pocketnas.settings_texts import with_settings
from profiler.errors import ConfigError
from search.supernet import SupernetParams
from search.training import TrainingParams

OPTION = "--train-set"


def test_each_setting_can_be_given_also_within_parts() -> None:
    texts = ["mixup=0.2", "average_decay = 0.99", "schedule.first_cycle=10", "augmentation.mirror=no", "batch_size=32"]
    params = with_settings(TrainingParams(), texts, OPTION)
    assert (params.mixup, params.average_decay, params.batch_size) == (0.2, 0.99, 32)
    assert params.schedule.first_cycle == 10
    assert not params.augmentation.mirror
    assert params.label_smoothing == TrainingParams().label_smoothing


def test_settings_of_shared_weights_are_given_alike() -> None:
    assert with_settings(SupernetParams(), ["label_smoothing=0.1"], OPTION).label_smoothing == 0.1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mixup", "not of the form KEY=VALUE"),
        ("mixpu=0.2", "did you mean 'mixup'"),
        ("mixup=much", "mixup must be a number, not 'much'"),
        ("batch_size=1.5", "batch_size must be a whole number"),
        ("augmentation.mirror=2", "true or false"),
        ("schedule=1", "schedule.first_cycle"),
        ("mixup.alpha=1", "has no parts"),
        ("label_smoothing=7", "label_smoothing"),
        ("mixup=nan", "mixup"),
    ],
)
def test_what_is_no_setting_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        with_settings(TrainingParams(), [text], OPTION)

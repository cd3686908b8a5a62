"""What a law in a file must have."""

from __future__ import annotations

from pathlib import Path

import pytest

from profiler.errors import ConfigError
from profiler.phone import load_phone
from profiler.phone.description import phones_folder


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("    view: ", "    vista: ", "Input should be"),
        ("    view: {efficiency: 1, overhead_us: 1}\n", "", "lacks view"),
        ("above_c: 47", "above_c: 42", "must rise"),
        ("spike_share: 0.01", "spike_share: 1.5", "less than or equal to 1"),
        ("cores: [7], frequency_hz", "cores: [6], frequency_hz", "names, cores and highest frequencies"),
        ("frequency_hz: 2_841_600_000", "frequency_hz: 2_841_600_001", "names, cores and highest frequencies"),
        ("run_sigma: 0.02", "run_sigma: .nan", "finite number"),
    ],
)
def test_a_wrong_law_is_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    text = (phones_folder() / "pixel4.yaml").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "mine.yaml").write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_phone(str(tmp_path / "mine.yaml"))


def test_phones_with_one_chip_have_one_law_of_its_processors() -> None:
    pixel4, mi9 = load_phone("pixel4").soc, load_phone("mi9").soc
    assert (pixel4.clusters, pixel4.memory, pixel4.routines) == (mi9.clusters, mi9.memory, mi9.routines)
    assert pixel4.gpu == mi9.gpu

"""The law beside latencies that others measured on the real phones: the promised errors, and those in the README."""

from __future__ import annotations

import math
import re
from types import ModuleType

import pytest

from profiler.phone import load_phone
from tests._source import ROOT
from tests.bench_modules import bench_module
from tests.profiler.catalogues._phone_data import PHONE_DATA, needs_phone_data

README = ROOT / "data" / "phones" / "README.md"
COLUMNS = {"pixel4": slice(0, 4), "mi9": slice(4, 8)}
FAMILIES = 12


@pytest.fixture
def bench() -> ModuleType:
    return bench_module("phone_law")


def _written(phone: str) -> dict[str, list[float]]:
    """The errors in README's table, in %, by family."""
    rows = re.findall(r"^\| (\w+) \|((?: [\d.–]+ \|){8})$", README.read_text(encoding="utf-8"), re.MULTILINE)
    cells = {family: [cell.strip() for cell in numbers.split("|")[:-1]][COLUMNS[phone]] for family, numbers in rows}
    numbers = {family: [math.nan if cell == "–" else float(cell) for cell in own] for family, own in cells.items()}
    return {family: own for family, own in numbers.items() if not math.isnan(own[0])}


def test_the_readme_gives_the_twelve_families_all_and_one_unseen() -> None:
    written = _written("pixel4")
    assert len(written) == FAMILIES + 2
    assert written["all"][0] <= 6.0
    assert max(row[0] for row in written.values()) <= 12.0
    assert len(_written("mi9")) == FAMILIES + 1, "shufflenetv2 has no rows there"


@needs_phone_data
@pytest.mark.slow
@pytest.mark.parametrize("phone", ["pixel4", "mi9"])
def test_errors_are_within_their_limits_and_as_written(phone: str, bench: ModuleType) -> None:
    folder = PHONE_DATA / "nn-meter"
    calibration = bench.CALIBRATIONS[phone]
    networks, others = bench.read_measured(folder, calibration)
    errors = 100 * bench.errors_by_family(load_phone(phone).soc, calibration.placement, networks, others)
    assert errors.loc["all", "open"] <= 100 * bench.MAX_ERROR
    assert errors["open"].max() <= 100 * bench.MAX_FAMILY_ERROR
    assert errors.loc["all", "held out"] <= errors.loc["all", "calibrated"] + 1.0, "not fitted to its own networks"
    written = _written(phone)
    assert set(written) == set(errors.index)
    for family, row in written.items():
        assert errors.loc[family].to_numpy() == pytest.approx(row, abs=0.051, nan_ok=True)


def test_the_free_numbers_are_numbers_of_the_law(bench: ModuleType) -> None:
    for phone, calibration in bench.CALIBRATIONS.items():
        content = load_phone(phone).soc.model_dump(mode="json")
        for path, (least, most) in calibration.ranges.items():
            value = content
            for part in path.split("."):
                value = value[int(part)] if isinstance(value, list) else value[part]
            assert least <= value <= most, f"{phone}: {path}"

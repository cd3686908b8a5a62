"""`pocketnas table` and `fit` on a store that holds rows of this computer and of phones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pocketnas.cli import run
from profiler.measure import Protocol, measure
from profiler.store import Store
from profiler.workload import Source
from tests.known_law_backend import KnownLawBackend, Law, workloads

PROTOCOL = Protocol(rounds=4, max_rounds=4, runs_per_block=6, warmup_runs=1)


@pytest.fixture
def both(tmp_path: Path) -> str:
    """A store of one computer and one emulated phone."""
    places: tuple[tuple[str, Source], ...] = (("host", "measured"), ("phone", "emulated"))
    with Store(tmp_path / "both.db") as store:
        for name, source in places:
            measure(KnownLawBackend(Law(), name=name, source=source), workloads(2), PROTOCOL, store)
    return str(tmp_path / "both.db")


@pytest.mark.parametrize("command", [["table"], ["fit"]])
def test_sources_are_not_mixed_and_the_way_out_is_named(
    command: list[str], both: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--store", both]) == 2
    said = capsys.readouterr().err
    assert "emulated, measured" in said and "'host', 'phone'" in said and "device or source" in said


@pytest.mark.parametrize("choice", [["--device", "phone"], ["--source", "emulated"]])
def test_one_device_of_such_a_store_is_had_by_its_name_or_source(
    choice: list[str], both: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["table", "--store", both, *choice, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {(row["device"], row["source"]) for row in rows} == {("phone", "emulated")}
    # Two rows are too few to learn from, and it is these two that fit speaks of.
    assert run(["fit", "--store", both, *choice, "--out", str(tmp_path / "p.safetensors")]) == 2
    assert "sources" not in capsys.readouterr().err


def test_rows_of_different_types_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "types.db"
    with Store(place) as store:
        measure(KnownLawBackend(Law()), workloads(1), PROTOCOL, store)
        int8 = [replace(workload, dtype="int8") for workload in workloads(1)]
        measure(KnownLawBackend(Law()), int8, PROTOCOL, store)
    assert run(["table", "--store", str(place)]) == 0
    shown = capsys.readouterr().out
    assert "float32" in shown and "int8" in shown and "1 thread" in shown

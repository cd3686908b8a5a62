"""The benchmark's command: what it may read of the new device, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from tests.bench_modules import bench_module
from tests.predictor.transfer._catalogue import cell_text, device_costs, latencies, random_cells

CELLS = random_cells(300, np.random.default_rng(0))
COSTS = device_costs(4, np.random.default_rng(1))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return bench_module("phone_transfer")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    table = pd.DataFrame({"cell": np.arange(300), "arch": [cell_text(cell.operations) for cell in CELLS]})
    for place, costs in enumerate(COSTS[:3]):
        table[f"phone{place}"] = latencies(CELLS, costs)
    table.to_csv(tmp_path / "table.csv.gz", index=False)
    labels = pd.DataFrame({"id": np.arange(300), "latency_ms": latencies(CELLS, COSTS[3])})
    labels.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def _run(bench: ModuleType, folder: Path, labels: str = "labels.csv", **changed: str) -> int:
    options = {
        "id": "cell",
        "architecture": "arch",
        "sources": "phone0,phone1,phone2",
        "source-architectures": "120",
        "k": "8",
        **changed,
    }
    line = [part for name, value in options.items() for part in (f"--{name}", value)]
    line += [
        "--table",
        str(folder / "table.csv.gz"),
        "--labels",
        str(folder / labels),
        "--out",
        str(folder / "out.csv"),
    ]
    return int(bench.main([*line, "--seed", "3"]))


def test_all_rows_but_the_asked_are_predicted(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(bench, files) == 0
    asked = json.loads(capsys.readouterr().out.splitlines()[-1])["asked"]
    out = pd.read_csv(files / "out.csv")
    assert list(out.columns) == ["id", "latency_ms"]
    assert len(out) == 300 - 8
    assert set(out["id"]) | {int(one) for one in asked} == set(range(300))
    truth_ms = latencies(CELLS, COSTS[3])[out["id"]]
    assert np.median(np.abs(out["latency_ms"] / truth_ms - 1)) < 0.05


def test_labels_that_were_not_asked_for_cannot_change_anything(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(bench, files)
    asked = json.loads(capsys.readouterr().out.splitlines()[-1])["asked"]
    before = (files / "out.csv").read_bytes()
    labels = pd.read_csv(files / "labels.csv", dtype=str)
    others = ~labels["id"].isin(asked)
    labels.loc[others, "latency_ms"] = np.random.default_rng(0).permutation(["nan", "-1", "secret", ""] * 73)
    labels.to_csv(files / "others.csv", index=False)
    assert _run(bench, files, "others.csv") == 0
    assert (files / "out.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"sources": "phone9"}, "phone9"), ({"id": "key"}, "key"), ({"architecture": "net"}, "net"), ({"id": "arch"}, "")],
)
def test_columns_that_are_not_there_are_named(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, str], said: str
) -> None:
    found = _run(bench, files, **changed)
    error = capsys.readouterr().err
    assert found == 2
    assert said in error
    assert len(error.splitlines()) == 1


def test_labels_without_their_column_are_refused(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "us.csv").write_text("id,latency_us\n1,5\n")
    assert _run(bench, files, "us.csv") == 2
    assert "latency_ms" in capsys.readouterr().err


def test_absent_phone_data_is_said(bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--data", str(tmp_path / "none")]) == 2
    assert "is absent" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["1", "2", "3"])
def test_fewer_labels_than_factors_are_enough(bench: ModuleType, files: Path, count: str) -> None:
    assert _run(bench, files, k=count) == 0
    assert len(pd.read_csv(files / "out.csv")) == 300 - int(count)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"k": "301"}, "cannot choose 301 of 300"),
        ({"k": "0"}, "--k"),
        ({"source-architectures": "-5"}, "--source-architectures"),
        ({"source-architectures": "7"}, "measure 20"),
    ],
)
def test_numbers_that_cannot_be_met_are_said(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, str], said: str
) -> None:
    assert _run(bench, files, **changed) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("wrong", ["INVALID", "", "nan", "-2", "0", "inf"])
def test_a_label_asked_for_that_is_no_latency_is_named(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    _run(bench, files)
    asked = json.loads(capsys.readouterr().out.splitlines()[-1])["asked"][0]
    labels = pd.read_csv(files / "labels.csv", dtype=str)
    labels.loc[labels["id"] == asked, "latency_ms"] = wrong
    labels.to_csv(files / "wrong.csv", index=False)
    assert _run(bench, files, "wrong.csv") == 2
    error = capsys.readouterr().err
    assert f"'{asked}'" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("name", ["table.csv.gz", "labels.csv"])
def test_an_id_that_is_there_twice_is_refused(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    rows = pd.read_csv(files / name, dtype=str)
    pd.concat([rows, rows.iloc[:1]]).to_csv(files / name, index=False)
    assert _run(bench, files) == 2
    assert "twice" in capsys.readouterr().err


def test_a_source_with_missing_values_is_used_and_one_without_numbers_named(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.read_csv(files / "table.csv.gz", dtype=str)
    rows.loc[40:90, "phone1"] = ""
    rows.to_csv(files / "table.csv.gz", index=False)
    assert _run(bench, files) == 0
    rows.loc[7, "phone1"] = "fast"
    rows.to_csv(files / "table.csv.gz", index=False)
    assert _run(bench, files) == 2
    assert "phone1" in capsys.readouterr().err

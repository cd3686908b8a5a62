"""The benchmark's command: files in, files out, and one line for what cannot be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from tests.bench_modules import bench_module
from tests.predictor.operator_lists._synthetic import FAMILIES, graphs, latency_ms

_ROWS = 90
_ANSWER = ["device", "model", "latency_ms", "low_ms", "high_ms", "in_domain"]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return bench_module("phone_networks")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of graphs, labels of most of them, and the rest to predict."""
    networks, families = graphs(_ROWS, seed=1)
    models = [f"{family}_{number}" for number, family in enumerate(families)]
    folder = tmp_path / "graphs"
    folder.mkdir()
    for family in FAMILIES:
        own = {model: graph for model, graph, of in zip(models, networks, families, strict=True) if of == family}
        with gzip.open(folder / f"{family}.json.gz", "wt", encoding="utf-8") as file:
            json.dump(own, file)
    rows = pd.DataFrame({"device": "phone", "family": families, "model": models, "latency_ms": latency_ms(networks)})
    rows.iloc[:75].assign(std_ms=0.1).to_csv(tmp_path / "fit.csv", index=False)
    rows.iloc[75:].drop(columns="latency_ms").to_csv(tmp_path / "rows.csv", index=False)
    rows.iloc[75:].to_csv(tmp_path / "truth.csv", index=False)
    return tmp_path


def _run(bench: ModuleType, folder: Path, **changed: str) -> int:
    names = {"graphs": "graphs", "fit": "fit.csv", "rows": "rows.csv", "out": "out.csv", **changed}
    return int(bench.main([part for name, value in names.items() for part in (f"--{name}", str(folder / value))]))


def test_it_answers_every_row(bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(bench, files) == 0
    answer, truth = pd.read_csv(files / "out.csv"), pd.read_csv(files / "truth.csv")
    assert answer.columns.tolist() == _ANSWER
    assert answer["model"].tolist() == truth["model"].tolist()
    assert (answer["low_ms"] < answer["latency_ms"]).all()
    assert (answer["latency_ms"] < answer["high_ms"]).all()
    assert np.mean(np.abs(answer["latency_ms"] / truth["latency_ms"] - 1.0) <= 0.1) >= 0.9
    assert json.loads(capsys.readouterr().out)["rows"] == len(truth)


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        ("fit.csv", {"drop": "latency_ms"}, "latency_ms"),
        ("rows.csv", {"drop": "family"}, "family"),
        ("rows.csv", {"model": "no_such_model"}, "no_such_model"),
        ("rows.csv", {"device": "another"}, "another"),
        ("fit.csv", {"latency_ms": "NaN"}, "latency_ms"),
        ("fit.csv", {"latency_ms": "-1"}, "latency_ms"),
        ("fit.csv", {"family": "no_such_family"}, "no_such_family"),
    ],
)
def test_bad_rows_end_with_one_line(
    bench: ModuleType,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    changes: dict[str, str],
    told: str,
) -> None:
    table = pd.read_csv(files / file, dtype=str)
    for column, value in changes.items():
        if column == "drop":
            table = table.drop(columns=value)
        else:
            table.loc[3, column] = value
    table.to_csv(files / file, index=False)
    _ends_with_one_line(bench, files, capsys, told)


@pytest.mark.parametrize("content", ["", "device,family,model,latency_ms\n"])
def test_a_file_without_rows_ends_with_one_line(
    bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (files / "fit.csv").write_text(content, encoding="utf-8")
    _ends_with_one_line(bench, files, capsys, "error: ")


def test_a_missing_option_is_named(bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--graphs", str(files / "graphs"), "--fit", str(files / "fit.csv")]) == 2
    assert "--rows" in capsys.readouterr().err


def _ends_with_one_line(bench: ModuleType, files: Path, capsys: pytest.CaptureFixture[str], told: str) -> None:
    assert _run(bench, files) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert told in error
    assert not (files / "out.csv").exists()

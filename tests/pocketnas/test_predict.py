"""`pocketnas predict`: every number says which device it is of, and what kind of rows it was learnt from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pocketnas.cli import run
from predictor import NetworkPredictor
from profiler.table import LatencyTable
from tests.predictor._synthetic import law_table


@pytest.mark.parametrize(("source", "shown"), [("measured", "on bench, "), ("emulated", "on bench (emulated), ")])
def test_what_was_learnt_from_an_emulated_phone_says_so(
    source: str, shown: str, tflite: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, predictor = tmp_path / "m.tflite", tmp_path / "p.safetensors"
    model.write_bytes(tflite)
    rows = law_table(120, networks=12).frame.assign(source=source)
    NetworkPredictor().fit(LatencyTable(rows)).save(predictor)
    arguments = ["predict", str(model), "--predictor", str(predictor)]
    assert run(arguments) == 0
    assert shown in capsys.readouterr().out
    assert run([*arguments, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    assert (found["source"], found["learnt_from"]) == ("predicted", source)

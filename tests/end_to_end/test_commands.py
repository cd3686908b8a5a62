"""Search, verify and profile as commands, on the host's real processor."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pocketnas.cli import run
from profiler.formats import write_tflite
from profiler.zoo import mobilenet_v2
from tests.end_to_end.conftest import BUDGET_MS, Road

SMALL = ["--cells", "3", "--channels", "4", "--nodes", "1", "--population", "4", "--generations", "1"]
SMALL += ["--warmup-epochs", "1", "--generation-epochs", "1"]


def _json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert run([*arguments, "--json"]) == 0
    out = capsys.readouterr().out
    found: dict[str, object] = json.loads(out)
    return found


def _names(found: dict[str, object]) -> list[tuple[str, float]]:
    front = found["front"]
    assert isinstance(front, list)
    # Predictions are made in other batches, and sums in another order differ in their last digits.
    return [(candidate["name"], round(candidate["predicted_ms"], 9)) for candidate in front]


def test_search_then_verify(road: Road, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found"
    search = ["search", "--predictor", str(road.folder / "predictor.safetensors"), "--out", str(out), *SMALL]
    found = _json([*search, "--budget-ms", str(BUDGET_MS)], capsys)
    assert found["budget_ms"] == BUDGET_MS and found["front"]
    resumed = _json([*search, "--budget-ms", str(BUDGET_MS), "--resume"], capsys)
    assert _names(resumed) == _names(found)

    result = _json(["verify", str(out), "--finalists", "1", "--epochs", "2", "--rounds", "6"], capsys)
    assert len(result["finalists"]) == 1  # type: ignore[arg-type]
    assert (out / "report.html").is_file() and (out / "result.json").is_file()


def test_budget_by_default_is_chosen_and_its_reason_kept(
    road: Road, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = str(road.folder / "predictor.safetensors")
    found = _json(["search", "--predictor", predictor, "--out", str(tmp_path / "found"), *SMALL], capsys)
    assert 0 < float(str(found["budget_ms"])) < 1
    assert "40 % of random networks" in str(found["budget_reason"])


def test_profile_of_a_model_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, store = tmp_path / "model.tflite", tmp_path / "a.db"
    network = mobilenet_v2(64, 0.35, 10).with_random_weights(np.random.default_rng(0))
    path.write_bytes(write_tflite(network))
    arguments = ["profile", "--network", str(path), "--kernels", "3", "--store", str(store)]
    arguments += ["--runs", "3", "--max-rounds", "6"]
    found = _json(arguments, capsys)
    assert sum(found["verdicts"].values()) == 4  # type: ignore[attr-defined]
    rows = _json(["table", "--store", str(store)], capsys)["rows"]
    assert [row["level"] for row in rows].count("network") == 1  # type: ignore[attr-defined]


def test_operators_inside_a_model_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.tflite"
    network = mobilenet_v2(64, 0.35, 10).with_random_weights(np.random.default_rng(0))
    path.write_bytes(write_tflite(network))
    found = _json(["profile", "--network", str(path), "--operators"], capsys)
    (profile,) = found["networks"]  # type: ignore[misc]
    assert found["source"] == "measured"
    assert len(profile["operators"]) > 50 and all(
        entry["mean_ms"] is None or entry["mean_ms"] > 0 for entry in profile["operators"]
    )


def test_operators_need_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "--operators"]) == 2
    assert "--network" in capsys.readouterr().err


def test_devices_command_asks_the_host(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "devices.yaml"
    config.write_text("devices:\n  here: {backend: host}\n  gone: {backend: host, python: /nowhere/python}\n")
    here, gone = _json(["devices", "--config", str(config)], capsys)["devices"]  # type: ignore[misc]
    assert here["source"] == "measured" and here["facts"]["runtime"] == "litert" and here["state"] == "device"
    assert gone["facts"] is None and gone["state"] == "error" and "/nowhere/python" in gone["detail"]
    assert run(["devices", "--config", str(config)]) == 0
    assert "/nowhere/python" in capsys.readouterr().out

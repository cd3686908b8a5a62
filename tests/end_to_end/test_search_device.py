"""`pocketnas search` with devices, as a command on emulated phones in small settings: measured, compared, resumable."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pocketnas.cli import run
from pocketnas.front import FoundFront
from pocketnas.result import SearchResult
from profiler.store import Store
from tests._source import ROOT

pytestmark = pytest.mark.slow

DEVICES = """\
devices:
  pixel4-emulated: {backend: emulated, phone: pixel4}
  other: {backend: emulated, phone: galaxy_a50}
"""
SMALL = ["--data", "digits", "--limit-images", "300", "--population", "6", "--generations", "2", "--warmup-epochs", "1"]
SMALL += ["--generation-epochs", "1", "--epochs", "2", "--finalists", "1", "--loop-rounds", "1", "--workers", "2"]
SPACES = {
    "cars": ["--space", "cars", "--cells", "3", "--nodes", "1", "--channels", "4"],
    "spos": ["--space", "shufflenetv2", "--width", "0.25", "--algorithm", "spos"],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two emulated phones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))
    Path("devices.yaml").write_text(DEVICES)
    return tmp_path


def searched(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["search", *SMALL, *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def check_result(folder: Path) -> str:
    """Run the independent script on a result, and return what it printed."""
    script = [sys.executable, str(ROOT / "scripts" / "check-result"), str(folder)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", SPACES)
def test_finalists_are_measured_and_beside_known_networks(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    device = ["--device", "pixel4-emulated", "--budget-ms", "0.5", "--out", "out"]
    found = searched([*SPACES[name], *device], capsys)
    assert found["source"] == "emulated" and found["algorithm"] == {"cars": "cars", "spos": "spos"}[name]
    (finalist,) = found["finalists"]
    assert finalist["measured_high_ms"] <= 0.5 and finalist["device"] == "pixel4-emulated"
    assert finalist["accuracy_low"] <= finalist["accuracy"] <= finalist["accuracy_high"]
    assert {rival["family"] for rival in found["baselines"]} == {"shufflenet_v2", "mobilenet_v3_small"}
    for rival in found["baselines"]:
        assert rival["against"] == finalist["name"] and rival["source"] == "emulated"
        assert rival["measured_high_ms"] >= finalist["measured_ms"]
        assert Path("out", rival["tflite"]).is_file() and Path("out", rival["onnx"]).is_file()
    front = FoundFront.load(Path("out"))
    assert len(front.known) > 0, "the search measured on the way"
    known = {candidate.name for candidate in front.front if candidate.network_key in front.known}
    assert known.isdisjoint(point["name"] for point in found["predictor"]["calibration"])
    assert check_result(Path("out")).count("ok ") >= 1
    page = Path("out", "report.html").read_text(encoding="utf-8")
    assert "Beside known networks" in page and "shufflenet_v2" in page
    lines = Path("out", "progress.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == list(range(1, len(steps) + 1)) and json.loads(lines[-1])["steps"] == len(steps)

    before = blocks(Path("out"))
    again = searched([*SPACES[name], *device, "--resume"], capsys)
    assert blocks(Path("out")) == before, "nothing is measured twice"
    assert again["finalists"] == found["finalists"] and again["baselines"] == found["baselines"]


def blocks(folder: Path) -> int:
    with Store(folder / "measurements.db") as store:
        return sum(len(store.blocks(campaign.id)) for campaign in store.campaigns())


@pytest.mark.usefixtures("here")
def test_infeasible_budget_ends_with_4_and_another_may_be_tried_in_the_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    device = ["--device", "pixel4-emulated", "--baselines", "0", "--out", "out"]
    assert run(["search", *SMALL, *SPACES["cars"], *device, "--budget-ms", "0.001"]) == 4
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith("error: ") and "closest misses it by" in err[-1] and " ms" in err[-1]
    before = blocks(Path("out"))
    found = searched([*SPACES["cars"], *device, "--budget-ms", "0.5"], capsys)
    assert found["finalists"] and blocks(Path("out")) > before


@pytest.mark.usefixtures("here")
def test_each_budget_and_each_device_gets_its_network(capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--device", "pixel4-emulated", "--device", "other", "--baselines", "1", "--out", "out"]
    found = searched([*SPACES["cars"], *both, "--budget-ms", "0.2,0.5"], capsys)
    asked = [(tuple(choice["devices"]), choice["budget_ms"]) for choice in found["choices"]]
    assert asked == [((device,), budget) for device in ("pixel4-emulated", "other") for budget in (0.5, 0.2)]
    result = SearchResult.load(Path("out"))
    assert {entry.device for entry in result.devices} == {"pixel4-emulated", "other"}
    for choice in result.choices:
        (latency,) = result.latencies(result.finalist(choice.chosen), choice.devices)
        assert latency.measured_high_ms <= choice.budget_ms
    check_result(Path("out"))
    assert run(["verify", "out", "--finalists", "1", "--epochs", "2"]) == 0
    assert "chosen for each budget and device" in capsys.readouterr().out
    assert run(["report", "out"]) == 0
    assert "One network for each budget" in Path("out", "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("here")
def test_one_network_for_all_devices_holds_on_each(capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--device", "pixel4-emulated", "--device", "other", "--for-all", "--baselines", "0", "--out", "out"]
    found = searched([*SPACES["cars"], *both, "--budget-ms", "0.5"], capsys)
    (choice,) = found["choices"]
    assert choice["devices"] == ["pixel4-emulated", "other"]
    (finalist,) = found["finalists"]
    measured = {latency["device"]: latency["measured_ms"] for latency in finalist["latencies"]}
    assert set(measured) == {"pixel4-emulated", "other"} and finalist["measured_ms"] in measured.values()
    assert all(latency["measured_high_ms"] <= 0.5 for latency in finalist["latencies"])
    check_result(Path("out"))


@pytest.mark.usefixtures("here")
def test_killed_searches_go_on_to_the_same_result(capsys: pytest.CaptureFixture[str]) -> None:
    device = ["--device", "pixel4-emulated", "--budget-ms", "0.5", "--baselines", "1"]
    whole = searched([*SPACES["cars"], *device, "--out", "whole"], capsys)
    command = [sys.executable, "-m", "pocketnas", "search", *SMALL, *SPACES["cars"], *device, "--out", "out"]
    waits_s = iter([8.0, 14.0, 20.0, 26.0])
    for wait_s in waits_s:
        with subprocess.Popen([*command, "--resume"], stderr=subprocess.DEVNULL, start_new_session=True) as process:
            time.sleep(wait_s)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
    found = searched([*SPACES["cars"], *device, "--out", "out", "--resume"], capsys)
    for key in ("finalists", "baselines", "choices", "front", "generations"):
        assert found[key] == whole[key], key

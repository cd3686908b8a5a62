"""The road from measuring to exported networks, run for real: what it leaves behind is true and can be had again."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pocketnas.cli import run
from pocketnas.front import FoundFront, space_for
from pocketnas.quickstart import quickstart
from pocketnas.result import SearchResult
from pocketnas.verify import verify
from predictor.errors import DeviceMismatchError
from profiler.devices import HostDevice
from profiler.errors import ConfigError
from profiler.formats import read_model
from profiler.store import Store
from search.errors import InfeasibleError
from search.images import load_images
from tests._source import ROOT
from tests.end_to_end.conftest import BUDGET_MS, PLAN, Nobody, Road


def test_result_file_is_the_result(road: Road) -> None:
    assert SearchResult.load(road.folder) == road.result
    assert road.result.device == "host" and road.result.source == "measured"
    assert road.result.budget_ms == BUDGET_MS


def test_every_finalist_was_measured_within_the_budget(road: Road) -> None:
    assert road.result.finalists
    for finalist in road.result.finalists:
        assert 0 < finalist.measured_low_ms <= finalist.measured_ms <= finalist.measured_high_ms <= BUDGET_MS
        assert 0 < finalist.predicted_low_ms <= finalist.predicted_ms <= finalist.predicted_high_ms <= BUDGET_MS


def test_finalists_are_ordered_by_validation_accuracy(road: Road) -> None:
    found = [finalist.validation_accuracy for finalist in road.result.finalists]
    assert found == sorted(found, reverse=True)


def test_nothing_of_the_front_is_lost(road: Road) -> None:
    named = [entry.name for entry in (*road.result.finalists, *road.result.dropped)]
    assert sorted(named) == sorted(candidate.name for candidate in road.result.front)


def test_predictor_of_this_processor_raises_no_doubt(road: Road) -> None:
    assert not [check for check in road.result.measurement.checks if check.startswith("OTHER-PROCESSOR")]


def test_no_candidate_on_the_front_is_beaten_by_another(road: Road) -> None:
    assert any(candidate.on_front for candidate in road.result.front)
    for member in (candidate for candidate in road.result.front if candidate.on_front):
        for other in road.result.front:
            as_good = other.search_accuracy >= member.search_accuracy and other.predicted_ms <= member.predicted_ms
            better = other.search_accuracy > member.search_accuracy or other.predicted_ms < member.predicted_ms
            assert not (as_good and better), f"{other.name} beats {member.name}"


def test_result_tells_what_an_image_and_a_class_are(road: Road) -> None:
    images = load_images("digits", seed=road.result.seed)
    data = road.result.data
    assert data.class_names == images.class_names and data.classes == len(data.class_names)
    assert data.pixel_range == (0.0, 1.0) and images.test_x.min() >= 0 and images.test_x.max() <= 1


def test_files_agree_with_the_result_when_run_by_an_independent_script(road: Road) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check-result"), str(road.folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok cars-") == len(road.result.finalists)


def test_independent_script_notices_a_wrong_accuracy_and_a_missed_budget(road: Road, tmp_path: Path) -> None:
    for change in ({"accuracy": 0.01}, {"measured_high_ms": BUDGET_MS * 2}):
        document = road.result.to_json()
        document["finalists"] = [
            {**finalist.model_dump(), **change} | _absolute(finalist.tflite, finalist.onnx, road.folder)
            for finalist in road.result.finalists[:1]
        ]
        document["data"] = {**road.result.data.model_dump(), "test_file": str(road.folder / "test_images.npz")}
        (tmp_path / "result.json").write_text(json.dumps(document))
        script = [sys.executable, str(ROOT / "scripts" / "check-result"), str(tmp_path)]
        done = subprocess.run(script, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and done.stdout.startswith("FAILED"), done.stdout + done.stderr


def _absolute(tflite: str, onnx: str, folder: Path) -> dict[str, str]:
    return {"tflite": str(folder / tflite), "onnx": str(folder / onnx)}


def test_exported_networks_are_the_genotypes_that_were_evaluated(road: Road) -> None:
    found = FoundFront.load(road.folder)
    space = space_for(found.space, found.images.load(found.seed))
    for finalist in road.result.finalists:
        lowered = space.lower(space.decode(finalist.genotype))
        assert lowered.key == finalist.network_key
        for path in (finalist.tflite, finalist.onnx):
            assert read_model(road.folder / path).cost().macs == lowered.cost().macs == finalist.macs


def test_test_images_are_the_held_out_ones(road: Road) -> None:
    saved = np.load(road.folder / road.result.data.test_file, allow_pickle=False)
    data = load_images("digits", seed=3)
    assert np.array_equal(saved["images"], data.test_x) and np.array_equal(saved["labels"], data.test_y)
    assert len(data.test_y) == road.result.data.test_images


def test_calibration_and_kernels_are_there(road: Road) -> None:
    assert len(road.result.predictor.calibration) == len(road.result.front)
    chosen_ms = sum(kernel.predicted_ms for kernel in road.result.kernels)
    assert 0 < chosen_ms <= road.result.chosen.predicted_ms * 1.001
    assert road.result.operators or road.result.operators_note.startswith("Not available")
    assert [entry.generation for entry in road.result.generations] == [1, 2]


def test_same_call_again_measures_and_trains_nothing_and_ends_alike(road: Road, device: HostDevice) -> None:
    before = _work_done(road.folder)
    again = quickstart(device, "digits", road.folder, Nobody(), PLAN, budget_ms=BUDGET_MS, seed=3)
    assert _work_done(road.folder) == before
    assert again.finalists == road.result.finalists
    assert [dropped.name for dropped in again.dropped] == [dropped.name for dropped in road.result.dropped]


def _work_done(folder: Path) -> tuple[int, list[tuple[str, int]]]:
    """Blocks in the store, and when each training was last written."""
    with Store(folder / "measurements.db") as store:
        blocks = sum(len(store.blocks(campaign.id)) for campaign in store.campaigns())
    return blocks, sorted((path.name, path.stat().st_mtime_ns) for path in (folder / "training").iterdir())


def test_folder_of_other_settings_is_refused(road: Road, device: HostDevice) -> None:
    with pytest.raises(ConfigError, match="other settings"):
        quickstart(device, "digits", road.folder, Nobody(), PLAN, budget_ms=BUDGET_MS, seed=4)


def test_verify_refuses_another_device_and_another_runtime(road: Road) -> None:
    with pytest.raises(DeviceMismatchError):
        verify(road.folder, [HostDevice(name="phone")], Nobody(), PLAN.road.verify)
    with pytest.raises(ConfigError, match="onnxruntime"):
        verify(road.folder, [HostDevice(name="host", runtime="onnxruntime")], Nobody(), PLAN.road.verify)


def test_nothing_within_the_measured_budget_is_said_with_its_gap(
    road: Road, device: HostDevice, tmp_path: Path
) -> None:
    found = FoundFront.load(road.folder)
    targets = tuple(target.model_copy(update={"budget_ms": 1e-6}) for target in found.targets)
    found.model_copy(update={"budget_ms": 1e-6, "targets": targets}).save(tmp_path)
    for name in ("predictor.safetensors", "measurements.db"):
        (tmp_path / name).write_bytes((road.folder / name).read_bytes())
    with pytest.raises(InfeasibleError) as caught:
        verify(tmp_path, [device], Nobody(), replace(PLAN.road.verify, epochs=1))
    assert caught.value.exit_code == 4 and 0 < caught.value.gap < BUDGET_MS
    assert not (tmp_path / "result.json").exists() and not (tmp_path / "finalists").exists()


def test_report_command_makes_the_page(road: Road, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", str(road.folder), "--json"]) == 0
    path = Path(json.loads(capsys.readouterr().out)["report"])
    assert road.result.chosen.name in path.read_text(encoding="utf-8")


def test_predict_command_agrees_with_the_result(road: Road, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = road.result.chosen
    predictor = str(road.folder / "predictor.safetensors")
    assert run(["predict", str(road.folder / chosen.tflite), "--predictor", predictor, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    assert found["latency_ms"] == pytest.approx(chosen.predicted_ms, rel=0.02)
    assert found["source"] == "predicted"


def test_table_command_shows_what_was_measured(road: Road, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store, export = str(road.folder / "measurements.db"), tmp_path / "all.csv"
    assert run(["table", "--store", store, "--level", "network", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["source"] for row in rows} == {"measured"} and len(rows) >= PLAN.road.profile.networks
    assert run(["table", "--store", store, "--export", str(export)]) == 0
    assert run(["fit", "--table", str(export), "--out", str(tmp_path / "p.safetensors"), "--json"]) == 0

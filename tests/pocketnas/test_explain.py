"""`pocketnas explain`: what it shows and writes, and how it refuses bad input with one line."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from pocketnas.cli import run
from predictor import NetworkPredictor
from profiler.formats import write_onnx
from profiler.network import Conv2d, HardSwish, Network, TensorSpec
from profiler.table import LatencyTable
from tests.pocketnas.test_bad_input import _Canary, refused
from tests.predictor._synthetic import kernel_rows, law_table, table_of_rows


@pytest.fixture
def model(tflite: bytes, tmp_path: Path) -> str:
    path = tmp_path / "m.tflite"
    path.write_bytes(tflite)
    return str(path)


def document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["explain", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_shares_sum_to_the_prediction(model: str, predictor_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = document([model, "--predictor", str(predictor_file)], capsys)["models"]
    assert found["source"] == "predicted" and found["learnt_from"] == "measured"
    for parts in (found["kernels"], found["kinds"]):
        assert sum(part["latency_ms"] for part in parts) + found["call_ms"] == pytest.approx(found["latency_ms"])
    assert {kernel["bound"] for kernel in found["kernels"]} <= {"compute", "memory", "overhead", None}
    assert run(["predict", model, "--predictor", str(predictor_file), "--json"]) == 0
    (predicted,) = json.loads(capsys.readouterr().out)["models"]
    assert [kernel["bound"] for kernel in predicted["kernels"]] == [kernel["bound"] for kernel in found["kernels"]]
    assert predicted["latency_ms"] == found["latency_ms"]


def test_screen_shows_kinds_call_sum_and_roofline(
    model: str, predictor_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", model, "--predictor", str(predictor_file)]) == 0
    shown = capsys.readouterr().out
    for text in ("conv2d+relu", "call of the network", "sum", "it waits for:", "roofline of bench", "GMAC/s", "GB/s"):
        assert text in shown
    assert "bound" in shown.splitlines()[1]


def test_without_a_model_the_device_is_explained(
    predictor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_card = document(["--predictor", str(predictor_file)], capsys)
    assert of_card["models"] == [] and of_card["device"]["roofline"]["kernels"] == 120
    table = tmp_path / "t.csv"
    law_table(120, networks=12).write(table)
    of_table = document(["--table", str(table)], capsys)
    assert of_table["device"]["roofline"]["peak_gmac_per_s"] == pytest.approx(
        of_card["device"]["roofline"]["peak_gmac_per_s"]
    )
    assert of_card["device"]["families"] == [] and of_table["device"]["families"] != []


def test_rows_beside_a_predictor_are_those_of_its_configuration(
    model: str, predictor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, page = tmp_path / "t.csv", tmp_path / "page.html"
    own, other = law_table(60).frame, law_table(60, seed=1).frame.assign(device="other")
    LatencyTable(own).joined(LatencyTable(other)).write(table)
    arguments = [model, "--predictor", str(predictor_file), "--table", str(table), "--html", str(page)]
    found = document(arguments, capsys)
    assert sum(family["kernels"] for family in found["device"]["families"]) == 60
    assert found["html"] == str(page)
    assert "conv2d, measured" in page.read_text(encoding="utf-8")
    LatencyTable(other).write(table)
    line = refused(["explain", *arguments], capsys)
    assert "has no rows of device bench" in line


def test_a_table_of_several_devices_asks_for_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    other = LatencyTable(law_table(60, seed=1).frame.assign(device="other"))
    law_table(60).joined(other).write(table)
    assert "bench, other" in refused(["explain", "--table", str(table)], capsys)
    found = document(["--table", str(table), "--device", "other"], capsys)
    assert found["device"]["device"] == "other"


def test_a_predictor_of_networks_alone_says_that_it_knows_no_limits(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, table = tmp_path / "p.safetensors", law_table(0, networks=60)
    NetworkPredictor().fit(table).save(path)
    assert run(["explain", model, "--predictor", str(path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "no kernel was measured alone" in shown and "is not known" in shown


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_kernels_of_kinds_never_measured_are_called_bounds(
    command: str, predictor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    operators = [Conv2d("conv", ("image",), 16, (3, 3)), HardSwish("swish", ("conv",))]
    network = Network("new", [TensorSpec("image", (1, 28, 28, 8))], operators, ["swish"])
    path = tmp_path / "new.onnx"
    path.write_bytes(write_onnx(network.with_random_weights(np.random.default_rng(0))))
    assert run([command, str(path), "--predictor", str(predictor_file), "--allow-unknown"]) == 0
    out, err = capsys.readouterr()
    assert "never measured: a bound" in out and "out of domain" in err


def test_16_pickle_in_the_place_of_a_predictor_is_never_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary, path = tmp_path / "canary", tmp_path / "predictor.safetensors"
    path.write_bytes(pickle.dumps(_Canary(canary)))
    assert "predictor.safetensors" in refused(["explain", "m.tflite", "--predictor", str(path)], capsys)
    assert not canary.exists()


def test_20_predictor_of_another_device_is_refused_unless_forced_and_then_labelled(
    model: str, predictor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [model, "--predictor", str(predictor_file), "--device", "phone-b"]
    line = refused(["explain", *arguments], capsys)
    assert "'bench'" in line and "'phone-b'" in line and "force" in line
    page = tmp_path / "page.html"
    (found,) = document([*arguments, "--force", "--html", str(page)], capsys)["models"]
    assert found["label"] == "predicted for 'bench', not for 'phone-b'"
    assert "predicted for &#39;bench&#39;, not for &#39;phone-b&#39;" in page.read_text(encoding="utf-8")
    assert run(["explain", *arguments, "--force"]) == 0
    assert "predicted for 'bench', not for 'phone-b'" in capsys.readouterr().out


def test_files_that_are_not_there_or_too_many(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "predictor.safetensors" in refused(["explain"], capsys)
    assert "gone.db" in refused(["explain", "--store", "gone.db"], capsys)
    assert "gone.csv" in refused(["explain", "--table", "gone.csv"], capsys)
    assert "not both" in refused(["explain", "--table", "a.csv", "--store", "a.db"], capsys)


def test_three_rows_are_too_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    law_table(3).write(table)
    assert "too few" in refused(["explain", "--table", str(table)], capsys)


def test_hostile_text_of_a_table_is_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    from profiler.kernels import random_kernels

    table, page = tmp_path / "t.csv", tmp_path / "page.html"
    rng = np.random.default_rng(0)
    hostile = "Pixel\x1b[2J</script><script>alert(1)</script>"
    table_of_rows(kernel_rows(random_kernels(40, rng), rng, device=hostile, processor=hostile)).write(table)
    assert run(["explain", "--table", str(table), "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "<script>alert(1)" not in page.read_text(encoding="utf-8")

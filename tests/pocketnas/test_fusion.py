"""`pocketnas fusion`, and where what it found goes from there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketnas.cli import run
from profiler.formats import write_tflite
from profiler.fusion import fusion_file_of, read_fusion_file
from profiler.kernels import FUSION_RULES
from profiler.network import Add, Conv2d, HardSwish, Network, Relu, TensorSpec
from profiler.store import Store

DEVICE = "pixel4-emulated"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    operators = [
        Conv2d("a", ("x",), 16), Relu("r", ("a",)), Conv2d("b", ("r",), 16), HardSwish("h", ("b",)),
        Add("s", ("h", "x")), Relu("t", ("s",)),
    ]  # fmt: skip
    network = Network("small", [TensorSpec("x", (1, 16, 16, 16))], operators, ["t"])
    path = tmp_path_factory.mktemp("model") / "small.tflite"
    path.write_bytes(write_tflite(network.with_random_weights(np.random.default_rng(0))))
    return path


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("store")
    place = folder / "phones.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["fusion", "--device", DEVICE, "--store", str(place), "--model", str(model), "--shapes", "1"]) == 0
        yield place


def test_findings_of_a_table_that_was_replaced_do_not_stay_beside_the_new_one(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, table = tmp_path / "plain.db", tmp_path / "plain.csv"
    once = ["--protocol", "rapid", "--rounds", "1", "--max-rounds", "1", "--store", str(store)]
    assert run(["profile", "--device", DEVICE, "--network", str(model), *once]) == 0
    table.with_name("plain.fusion.json").write_text("of another store", encoding="utf-8")
    assert run(["table", "--store", str(store), "--export", str(table)]) == 0
    assert sorted(path.name for path in tmp_path.glob("plain.*")) == ["plain.csv", "plain.db"]


def test_chains_of_a_model_are_found_shown_and_exported(
    store: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = ask(capsys, "fusion", "--device", DEVICE, "--store", str(store), "--show")["findings"]
    assert (found["device"], found["source"], found["runtime"]) == (DEVICE, "emulated", "benchmark_model")
    verdicts = {chain["chain"]: chain["verdict"] for chain in found["chains"]}
    assert verdicts == {"conv2d+relu": "fused", "conv2d+hard_swish": "apart", "add+relu": "fused"}
    for chain in found["chains"]:
        assert chain["source"] == "emulated"
        assert chain["agrees"] and not chain["contradicted"]
        assert {evidence["how"] for evidence in chain["evidence"]} == {"operator profile", "pair test"}

    assert run(["fusion", "--device", DEVICE, "--store", str(store), "--show"]) == 0
    shown = capsys.readouterr().out
    assert "conv2d+hard_swish" in shown and "emulated" in shown and "95 % interval" in shown

    # Pair tests are no rows to learn from; ordinary ones of the same device are, and the findings go with them.
    assert ask(capsys, "table", "--store", str(store))["rows"] == []
    table = store.with_name("phones.csv")
    kernels = ["profile", "--device", DEVICE, "--network", str(model), "--kernels", "4", "--rounds", "1"]
    assert run([*kernels, "--max-rounds", "1", "--store", str(store)]) == 0
    exported = ask(capsys, "table", "--store", str(store), "--export", str(table))
    assert exported["rows"] > 0
    assert exported["fusion"] == str(fusion_file_of(table))
    (beside,) = read_fusion_file(fusion_file_of(table))
    assert beside.rules == FUSION_RULES["benchmark_model"]


def test_the_same_command_again_measures_nothing_more(store: Path, model: Path) -> None:
    with Store(store) as opened:
        before = [len(opened.blocks(campaign.id)) for campaign in opened.campaigns()]
    assert run(["fusion", "--device", DEVICE, "--store", str(store), "--model", str(model), "--shapes", "1"]) == 0
    with Store(store) as opened:
        assert [len(opened.blocks(campaign.id)) for campaign in opened.campaigns()] == before


@pytest.mark.parametrize("made", [False, True])
def test_a_store_that_knows_nothing_says_how_to_find_out(
    made: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "empty.db"
    if made:
        Store(place).close()
    assert run(["fusion", "--device", DEVICE, "--store", str(place), "--show"]) == 2
    said = capsys.readouterr().err
    assert "pocketnas fusion --device" in said
    assert len(said.splitlines()) == 1
    assert place.exists() == made


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shapes", "0"], "--shapes"),
        (["--shapes", "4"], "--shapes"),
        (["--how", "guess"], "--how"),
        (["--time-budget-s", "0"], "--time-budget-s"),
        (["--time-budget-s", "nan"], "--time-budget-s"),
        (["--suppress", "EMULATED"], "suppress"),
        (["--device", "nobody"], "nobody"),
        (["--model", "no such.tflite"], "no such.tflite"),
    ],
)
def test_bad_options_end_with_2(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["fusion", "--device", DEVICE, *options]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_is_told_by_pair_tests_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], model: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text("devices:\n  mi9: {backend: emulated, phone: mi9, delegate: gpu}\n")
    command = ["fusion", "--device", "mi9", "--store", "gpu.db", "--shapes", "1", "--model", str(model)]
    assert run([*command, "--how", "profile"]) == 2
    assert "does not show the operators" in capsys.readouterr().err
    (found,) = ask(capsys, *command)["findings"]
    corrected = {chain["chain"] for chain in found["chains"] if not chain["agrees"]}
    assert "conv2d+hard_swish" in corrected
    assert "conv2d+hard_swish" in found["rules"]

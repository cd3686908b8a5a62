"""From one emulated phone to another with twenty rows: the error it states holds on fresh networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pocketnas.cli import run
from predictor import NetworkPredictor
from profiler.backends import open_backend
from profiler.devices import load_devices
from profiler.measure import Protocol, measure
from profiler.store import Store
from profiler.workload import Workload
from search.spaces import CarsParams, CarsSpace

PHONES = """
devices:
  pixel: {backend: emulated, phone: pixel4}
  galaxy: {backend: emulated, phone: galaxy_a50}
"""
FRESH = 200
TRUTH = Protocol(name="fresh", rounds=5, max_rounds=5, runs_per_block=20, references=False)
SPACE = CarsSpace(CarsParams((8, 8, 1), 10))


def fresh_networks(known: set[str]) -> list[Workload]:
    rng = np.random.default_rng(2026)
    drawn = (SPACE.lower(SPACE.sample(rng)) for _ in range(3 * FRESH))
    found = {network.key: Workload(network) for network in drawn if network.key not in known}
    return list(found.values())[:FRESH]


@pytest.mark.slow
def test_the_stated_error_holds_on_fresh_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    (tmp_path / "phones.yaml").write_text(PHONES, encoding="utf-8")
    store, out = str(tmp_path / "phones.db"), tmp_path / "galaxy.safetensors"
    where = ["--config", str(tmp_path / "phones.yaml"), "--store", store, "--json"]
    assert run(["profile", "--device", "pixel", "--kernels", "200", "--networks", "24", *where]) == 0
    capsys.readouterr()
    assert run(["fit", "--device", "galaxy", "--from", "pixel", "--budget", "20", "--out", str(out), *where]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["stands_on"] == ["pixel"] and card["kernel_rows"] + card["network_rows"] == 20

    predictor = NetworkPredictor.load(out)
    fresh = fresh_networks({row["key"] for row in card["chosen"]})
    device = load_devices(tmp_path / "phones.yaml")["galaxy"]
    with open_backend(device) as backend, Store(tmp_path / "fresh.db") as opened:
        truth = np.array([row.median_ms for row in measure(backend, fresh, TRUTH, opened)])
    predictions = predictor.predict_many([work.network for work in fresh])
    errors = np.array([one.latency_ms for one in predictions]) / truth - 1
    covered = np.mean([one.low_ms <= ms <= one.high_ms for one, ms in zip(predictions, truth, strict=True)])
    mape = 100 * float(np.abs(errors).mean())
    assert len(truth) == FRESH and 0.8 <= covered <= 1.0
    assert mape <= 1.5 * card["networks"]["mape_percent"], f"{mape:.2f} %, stated {card['networks']['mape_percent']} %"

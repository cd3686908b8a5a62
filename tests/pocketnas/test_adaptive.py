"""Measuring by choice: the loop on a device whose law is known, and the command on an emulated phone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pocketnas._observer import Advance
from pocketnas.adaptive import AdaptiveOutcome, AdaptiveSettings, measure_adaptively
from pocketnas.cli import run
from pocketnas.cli._adaptive import with_few_rounds
from predictor import NetworkPredictor
from profiler.backends import BlockRequest
from profiler.errors import DeviceOfflineError
from profiler.kernels import FUSION_RULES
from profiler.measure import PROTOCOLS, Protocol
from profiler.network import Network
from profiler.store import Store
from profiler.table import table
from profiler.workload import Workload
from tests.known_law_backend import KnownLawBackend, Law, rows
from tests.predictor._synthetic import some_networks

RULES = FUSION_RULES["litert"]
PROTOCOL = replace(PROTOCOLS["kernels"], rounds=3, max_rounds=3, runs_per_block=5, warmup_runs=1, references=False)
LAW = Law(run_sigma=0.02)


class _Notes:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def progress(self, title: str) -> Iterator[Advance]:
        yield lambda *_: None


@pytest.fixture(scope="module")
def targets() -> list[Network]:
    drawn = some_networks(40, np.random.default_rng(0))
    return list({network.key: network for network in drawn}.values())


def _measured(
    folder: Path,
    targets: list[Network],
    settings: AdaptiveSettings,
    *,
    backend: KnownLawBackend | None = None,
    protocol: Protocol = PROTOCOL,
    notes: _Notes | None = None,
) -> AdaptiveOutcome:
    """Measure on a device whose seconds are those that its runs take."""
    device = backend or KnownLawBackend(LAW, fresh_noise=False)
    ticks = iter(range(10**9))
    with Store(folder / "a.db") as store:
        return measure_adaptively(
            device, targets, RULES, protocol, store, settings, notes or _Notes(), clock=lambda: float(next(ticks))
        )


def test_it_stops_at_the_stated_error_which_holds(targets: list[Network], tmp_path: Path) -> None:
    notes = _Notes()
    outcome = _measured(tmp_path, targets, AdaptiveSettings(budget_s=1e9, target_error=0.04), notes=notes)
    assert outcome.stop == "target"
    last = outcome.batches[-1]
    assert last.stated.error <= 0.04 < outcome.batches[0].stated.error
    assert last.stated.held_out == last.networks >= 6
    assert [report.kernels for report in outcome.batches] == sorted(report.kernels for report in outcome.batches)
    assert f"stated error {last.stated.error:.1%}" in notes.notes[-1]
    device = KnownLawBackend()
    fresh = some_networks(60, np.random.default_rng(7))
    with Store(tmp_path / "a.db") as store:
        found = table(store)
    # Plain rows: fitting takes them like any others, once they name a runtime with fusion rules.
    predictor = NetworkPredictor().fit(type(found)(found.frame.assign(runtime="litert")))
    predicted_ms = np.array([prediction.latency_ms for prediction in predictor.predict_many(fresh)])
    true_ms = np.array([device.true_ms(Workload(network)) for network in fresh])
    assert np.abs(np.log(predicted_ms / true_ms)).mean() < 0.06


def test_it_stops_when_the_time_is_spent_and_the_rows_stay(targets: list[Network], tmp_path: Path) -> None:
    settings = AdaptiveSettings(budget_s=100.0)
    outcome = _measured(tmp_path, targets, settings)
    assert outcome.stop == "budget"
    assert 90 < sum(len(found.blocks) for found in outcome.measurements) <= 110


def test_an_interrupted_call_goes_on_to_the_same_rows(targets: list[Network], tmp_path: Path) -> None:
    settings = AdaptiveSettings(budget_s=1e9, most_kernels=40, most_networks=4)
    places = [tmp_path / "whole", tmp_path / "cut"]
    for place in places:
        place.mkdir()
    whole = _measured(places[0], targets, settings)
    for blocks in (30, 45):
        with pytest.raises(DeviceOfflineError):
            _measured(places[1], targets, settings, backend=_Fading(LAW, fresh_noise=False, fades_after=blocks))
    cut = _measured(places[1], targets, settings)
    assert whole.stop == cut.stop == "most kernels"
    assert rows(cut.measurements) == rows(whole.measurements)


class _Fading(KnownLawBackend):
    """A device that is lost after some blocks."""

    def __init__(self, law: Law, *, fresh_noise: bool, fades_after: int) -> None:
        super().__init__(law, fresh_noise=fresh_noise)
        self._left = fades_after

    def run_blocks(self, requests: list[BlockRequest]) -> Iterator[object]:  # type: ignore[override]
        for result in super().run_blocks(requests):
            if self._left == 0:
                raise DeviceOfflineError(self.name, "gone")
            self._left -= 1
            yield result


def test_the_end_is_the_end(targets: list[Network], tmp_path: Path) -> None:
    settings = AdaptiveSettings(budget_s=1e9, most_kernels=30, most_networks=2)
    first = _measured(tmp_path, targets, settings)
    assert len({found.workload.key for found in first.measurements if found.workload.kind != "network"}) == 30
    again = _measured(tmp_path, targets, settings)
    assert again.measurements == first.measurements
    assert len(again.batches) == 1


def test_few_networks_are_measured_to_the_last(tmp_path: Path) -> None:
    """Whoever has one network and no kernels around it ends when there is nothing more."""
    outcome = _measured(tmp_path, some_networks(1, np.random.default_rng(1)), AdaptiveSettings(1e9, 0.5))
    assert outcome.stop in ("target", "all measured")
    assert any(found.workload.kind == "network" for found in outcome.measurements)


def test_what_fails_is_not_asked_again(targets: list[Network], tmp_path: Path) -> None:
    broken = KnownLawBackend(LAW, fresh_noise=False, answers={})
    first = _measured(tmp_path, targets, AdaptiveSettings(budget_s=1e9, most_kernels=24, most_networks=0))
    keys = [found.workload.key for found in first.measurements][:5]
    broken.answers = dict.fromkeys(keys, (math.nan,) * 5)
    folder = tmp_path / "broken"
    folder.mkdir()
    settings = AdaptiveSettings(budget_s=1e9, most_kernels=24, most_networks=0)
    second = _measured(folder, targets, settings, backend=broken)
    assert second.stop == "most kernels"
    assert sum(found.verdict == "INVALID" for found in second.measurements) == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--adaptive"], "--time-budget-s"),
        (["--adaptive", "--time-budget-s", "nan"], "--time-budget-s"),
        (["--adaptive", "--time-budget-s", "60", "--target-error", "0"], "--target-error"),
        (["--adaptive", "--time-budget-s", "60", "--target-error", "nan"], "--target-error"),
        (["--adaptive", "--time-budget-s", "60", "--target-error", "-3"], "--target-error"),
        (["--target-error", "3"], "--adaptive"),
        (["--adaptive", "--time-budget-s", "60", "--operators"], "--operators"),
        (["--adaptive", "--time-budget-s", "60", "--device", "host", "--device", "pixel4-emulated"], "one device"),
    ],
)
def test_bad_options_are_one_line_and_nothing_is_stored(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["profile", "--store", "a.db", *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and said in err
    assert not (tmp_path / "a.db").exists()


def test_imprecise_kernels_get_few_further_rounds() -> None:
    assert with_few_rounds(PROTOCOLS["kernels"]).max_rounds == 2 * PROTOCOLS["kernels"].rounds
    assert with_few_rounds(PROTOCOL) == PROTOCOL


def test_the_command_on_an_emulated_phone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [
        "profile", "--device", "pixel4-emulated", "--adaptive", "--time-budget-s", "600", "--target-error", "5",
        "--cells", "3", "--channels", "4", "--nodes", "2", "--rounds", "2", "--max-rounds", "2", "--networks", "6",
        "--store", "a.db", "--json",
    ]  # fmt: skip
    assert run(command) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["source"], document["stop"]) == ("emulated", "target")
    assert document["stated_error_percent"] <= 5
    assert document["batches"][-1]["networks"] == 6
    assert run(["fit", "--store", "a.db", "--out", "p.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["networks"]["cases"] == 6
    # The same command has nothing left to do.
    assert run(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["verdicts"] == document["verdicts"] and len(again["batches"]) == 1

"""`pocketnas fit --from`: few rows are chosen and measured on a new device, which then stands on others."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pocketnas.cli import run
from predictor import NetworkPredictor
from profiler.backends import BACKENDS, Backend, DeviceFacts, Failure
from profiler.devices import Device
from profiler.network import Network
from profiler.store import Store
from profiler.table import table
from profiler.workload import Workload
from tests.known_law_backend import KnownLawBackend, Law

SPACE = ["--cells", "3", "--channels", "4", "--nodes", "1"]
PACE = {"new": 3.0, "near": 1.2}
LAW = Law(run_sigma=0.002)


@dataclass
class Bench:
    """Devices with a known law, and what is changed of them."""

    folder: Path
    backends: dict[str, list[KnownLawBackend]]
    changes: dict[str, dict[str, Any]]
    facts: dict[str, dict[str, Any]]

    def opened(self, device: Device, **_: Any) -> Backend:
        scale = PACE.get(device.name, 1.0)
        backend = _Known(LAW, name=device.name, scale=scale, fresh_noise=False, **self.changes.get(device.name, {}))
        backend.changed = self.facts.get(device.name, {})
        self.backends.setdefault(device.name, []).append(backend)
        return backend

    def asked(self, name: str) -> list[str]:
        """Workloads of the blocks that a device ran, of all its openings, without the reference kernels."""
        return [
            key
            for backend in self.backends.get(name, [])
            for key, occasion in zip(backend.asked, backend.occasions, strict=True)
            if "reference" not in occasion
        ]

    def fit(self, *arguments: str) -> int:
        return run(["fit", "--config", str(self.folder / "phones.yaml"), *arguments, "--out", str(self.out)])

    def transfer(self, *arguments: str, sources: str = "old") -> int:
        return self.fit("--device", "new", "--from", sources, "--store", str(self.store), *arguments)

    @property
    def store(self) -> Path:
        return self.folder / "a.db"

    @property
    def out(self) -> Path:
        return self.folder / "new.safetensors"


class _Known(KnownLawBackend):
    """Takes a call, its work and its traffic, so that kernels without arithmetic take some time, too."""

    changed: dict[str, Any]

    def packed_ms(self, workload: Workload) -> float:
        cost = workload.network.cost()
        return self.scale * (cost.macs / 1e6 + cost.bytes_moved / 1e6)

    def facts(self) -> DeviceFacts:
        return replace(DeviceFacts("imagined", 1, 2**30, "none", "litert", "1", 1, "none"), **self.changed)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the device "old" has measured kernels and networks of a small space."""
    folder = tmp_path_factory.mktemp("measured")
    with pytest.MonkeyPatch.context() as patch:
        bench = _bench(folder, patch)
        where = ["--config", str(folder / "phones.yaml"), "--store", str(bench.store)]
        limits = ["--kernels", "40", "--networks", "12", "--rounds", "3", "--max-rounds", "3"]
        for name in ("old", "near"):
            assert run(["profile", "--device", name, *where, *limits, *SPACE, "--json"]) == 0
    return bench.store


def _bench(folder: Path, patch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(folder, {}, {}, {})
    patch.setenv("POCKETNAS_LOCK_DIR", str(folder / "locks"))
    patch.setitem(BACKENDS, "host", bench.opened)
    lines = "".join(f"  {name}: {{backend: host}}\n" for name in ("old", "near", "new"))
    (folder / "phones.yaml").write_text("devices:\n" + lines, encoding="utf-8")
    return bench


@pytest.fixture
def bench(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return _bench_with(measured, tmp_path, monkeypatch)


def _bench_with(measured: Path, folder: Path, patch: pytest.MonkeyPatch) -> Bench:
    folder.mkdir(exist_ok=True)
    bench = _bench(folder, patch)
    bench.store.write_bytes(measured.read_bytes())
    return bench


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def worst_error(bench: Bench) -> float:
    """Largest relative error on the networks that the old device measured."""
    with Store(bench.store) as store:
        rows = table(store, device="old").networks().frame
    predictor = NetworkPredictor.load(bench.out)
    truth = _Known(LAW, scale=PACE["new"])
    networks = [Network.from_json(config) for config in rows["config"]]
    predicted = predictor.predict_many(networks)
    return max(
        abs(one.latency_ms / truth.true_ms(Workload(network)) - 1)
        for one, network in zip(predicted, networks, strict=True)
    )


def refused(bench: Bench, capsys: pytest.CaptureFixture[str], *arguments: str, sources: str = "old") -> str:
    """Run a transfer that must be refused in one line before anything is measured."""
    assert bench.transfer(*arguments, sources=sources) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith(("warning: ", "fitting "))]
    assert out == "" and len(lines) == 1 and lines[0].startswith("error: "), err
    assert not bench.asked("new") and not bench.out.exists()
    return lines[0]


def test_a_new_device_is_learned_from_few_rows(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.transfer("--budget", "12", "--json") == 0
    found = document(capsys)
    assert found["stands_on"] == ["old"] and found["device"] == "new" and found["source"] == "measured"
    assert len(found["chosen"]) == 12 and found["rows_before"] == 0 and found["rows_refused"] == 0
    assert found["kernel_rows"] + found["network_rows"] == 12 and found["network_rows"] >= 6
    assert len(set(bench.asked("new"))) == 12 and not bench.asked("old")
    assert worst_error(bench) < 0.05
    assert found["networks"]["mape_percent"] < 5


def test_people_are_told_what_was_measured(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.transfer("--budget", "4") == 0
    out, err = capsys.readouterr()
    assert "measured for it" in out and "whole networks" in out and "VALID" in out
    assert "stands on old: 4 rows" in err and "fewer than the" in err


def test_the_same_command_measures_nothing_twice(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.transfer("--budget", "8", "--json") == 0
    first, asked = document(capsys), bench.asked("new")
    written = bench.out.read_bytes()
    assert bench.transfer("--budget", "8", "--json") == 0
    assert document(capsys) == first and bench.asked("new") == asked and bench.out.read_bytes() == written
    assert bench.transfer("--budget", "10", "--json") == 0
    assert len(set(bench.asked("new"))) == 10 and set(asked) < set(bench.asked("new"))


@pytest.mark.parametrize("blocks", [13, 60])
def test_after_an_interruption_it_goes_on_and_ends_the_same(
    blocks: int, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = _bench_with(measured, tmp_path / "whole", monkeypatch)
    assert whole.transfer("--budget", "8", "--json") == 0
    expected = document(capsys)
    cut = _bench_with(measured, tmp_path / "cut", monkeypatch)
    cut.changes = {"new": {"gone_after": blocks}}
    assert cut.transfer("--budget", "8") != 0 and not cut.out.exists()
    capsys.readouterr()
    cut.changes = {}
    assert cut.transfer("--budget", "8", "--json") == 0
    assert {**document(capsys), "predictor": ""} == {**expected, "predictor": ""}
    assert cut.out.read_bytes() == whole.out.read_bytes()
    once, pieces = (
        [occasion for backend in one.backends["new"] for occasion in backend.occasions if "gap" not in occasion]
        for one in (whole, cut)
    )
    # A block without the reference that follows it is not stored yet; no other is measured twice.
    assert set(pieces) == set(once) and len(pieces) <= len(once) + 1


def test_rows_that_are_there_count_first(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--config", str(bench.folder / "phones.yaml"), "--store", str(bench.store)]
    limits = ["--kernels", "20", "--networks", "4", "--rounds", "3", "--max-rounds", "3", "--seed", "9"]
    assert run(["profile", "--device", "new", *where, *limits, *SPACE, "--json"]) == 0
    capsys.readouterr()
    before = set(bench.asked("new"))
    assert bench.transfer("--budget", "10", "--json") == 0
    enough = document(capsys)
    assert enough["chosen"] == [] and enough["rows_before"] == 24 and set(bench.asked("new")) == before
    assert bench.transfer("--budget", "30", "--json") == 0
    more = document(capsys)
    assert len(more["chosen"]) == 6 and more["rows_before"] == 24 and more["kernel_rows"] + more["network_rows"] == 30


def test_what_cannot_be_measured_is_replaced_and_never_learned_from(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _bench_with(measured, tmp_path / "sound", monkeypatch).transfer("--budget", "6", "--json") == 0
    chosen = [f"{row['key']}-float32" for row in document(capsys)["chosen"]]
    bench = _bench_with(measured, tmp_path / "crashing", monkeypatch)
    bench.changes = {"new": {"failures": dict.fromkeys(chosen[:2], Failure("CRASHED", "signal 11", 11))}}
    assert bench.transfer("--budget", "6", "--json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["rows_refused"] == 2 and len(found["chosen"]) == 8
    assert found["kernel_rows"] + found["network_rows"] == 6
    assert "2 of 6 chosen workloads are INVALID; others take their place" in err
    asked = bench.asked("new")
    assert bench.transfer("--budget", "6", "--json") == 0
    assert bench.asked("new") == asked, "what was tried in vain is not tried again"


def test_where_too_few_remain_it_says_so(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(bench.store) as store:
        keys = [f"{key}-float32" for key in table(store, device="old").frame["key"]]
    crash = Failure("CRASHED", "signal 11", 11)
    bench.changes = {"new": {"failures": dict.fromkeys(keys[3:], crash)}}
    assert bench.transfer("--budget", str(len(keys)), "--json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["kernel_rows"] + found["network_rows"] == 3
    assert f"only 3 of {len(keys)} rows can be learned from" in err and "fewer than the" in err


def test_where_none_remain_nothing_is_learned(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(bench.store) as store:
        keys = [f"{key}-float32" for key in table(store, device="old").frame["key"]]
    bench.changes = {"new": {"failures": dict.fromkeys(keys, Failure("CRASHED", "signal 11", 11))}}
    assert bench.transfer("--budget", "3") == 2
    assert "could be measured" in capsys.readouterr().err and not bench.out.exists()


def test_several_sources_and_files_of_predictors(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    near = bench.folder / "near.safetensors"
    assert run(["fit", "--store", str(bench.store), "--device", "near", "--out", str(near), "--json"]) == 0
    capsys.readouterr()
    assert bench.transfer("--budget", "8", "--json", sources=f"old, {near}") == 0
    assert document(capsys)["stands_on"] == ["old", "near"] and worst_error(bench) < 0.05


def test_predictor_files_alone_need_no_rows(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """What to measure is then chosen from the default search space, as far as the source knows its kernels."""
    near = bench.folder / "near.safetensors"
    assert run(["fit", "--store", str(bench.store), "--device", "near", "--out", str(near), "--json"]) == 0
    capsys.readouterr()
    place = bench.folder / "empty.db"
    assert bench.fit("--device", "new", "--from", str(near), "--store", str(place), "--budget", "5", "--json") == 0
    found = document(capsys)
    assert found["stands_on"] == ["near"] and len(found["chosen"]) == 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--budget", "0"], "greater than or equal to 1"),
        (["--budget", "-3"], "greater than or equal to 1"),
        (["--budget", "many"], "valid integer"),
        (["--dtype", "int8"], "no rows in int8"),
        (["--config", "none.yaml"], "none.yaml"),
    ],
)
def test_bad_arguments_are_one_line(
    bench: Bench, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(bench, capsys, *arguments)


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ("nobody", "'near', 'old'"),
        ("old,nobody", "neither a device with rows in the store"),
        ("new", "cannot stand on itself"),
        ("old,,near", "empty name"),
        ("", "empty name"),
        ("gone.safetensors", "cannot be read"),
        ("\x1b[2Jold", "neither a device"),
    ],
)
def test_unknown_sources_are_one_line(
    bench: Bench, sources: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(bench, capsys, sources=sources)


@pytest.mark.parametrize("device", ["new", "old"])
def test_no_device_stands_on_a_predictor_that_rests_on_its_own_rows(
    device: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.transfer("--budget", "3") == 0
    capsys.readouterr()
    before = bench.out.read_bytes()
    asked = ["--device", device, "--from", str(bench.out), "--store", str(bench.store), "--budget", "9"]
    measured = len(bench.asked(device))
    assert bench.fit(*asked) == 2
    assert f"the predictor of 'new' rests on rows of {device!r} itself" in capsys.readouterr().err
    assert len(bench.asked(device)) == measured and bench.out.read_bytes() == before


def test_a_predictor_that_could_not_be_kept_is_not_measured_for(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["fit", "--config", str(bench.folder / "phones.yaml"), "--device", "new", "--from", "old"]
    out = bench.folder / "nowhere" / "new.safetensors"
    assert run([*asked, "--store", str(bench.store), "--budget", "3", "--out", str(out)]) == 2
    assert "--out: there is no folder" in capsys.readouterr().err
    assert not bench.asked("new")


def test_options_that_do_not_go_together_are_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--from", "old", "--store", str(bench.store)],
        ["--from", "old", "--device", "new", "--table", "a.csv"],
        ["--budget", "3", "--store", str(bench.store)],
    ):
        assert bench.fit(*arguments) == 2
        assert "--from" in capsys.readouterr().err
    assert bench.fit("--from", "old", "--device", "other", "--store", str(bench.store)) == 2
    assert "other" in capsys.readouterr().err


@pytest.mark.parametrize(("what", "value"), [("runtime", "onnxruntime"), ("threads", 4)])
def test_a_device_that_runs_networks_otherwise_is_refused(
    bench: Bench, what: str, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.facts = {"new": {what: value}}
    assert what in refused(bench, capsys)


def test_emulated_and_measured_rows_are_never_mixed(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.changes = {"new": {"source": "emulated"}}
    told = refused(bench, capsys)
    assert "source measured" in told and "emulated" in told and "not mixed" in told


def test_another_accelerator_is_pointed_out(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.facts = {"new": {"accelerator": "gpu"}}
    assert bench.transfer("--budget", "3") == 0
    assert "old computes with none, new with gpu" in capsys.readouterr().err

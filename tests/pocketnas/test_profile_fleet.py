"""`pocketnas profile` on several devices: all that can be stored is, and the exit code is that of the worst failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pocketnas.cli import run
from profiler.backends import BACKENDS, Backend
from profiler.devices import Device
from profiler.errors import ConfigError, DeviceBusyError, DeviceOfflineError
from profiler.network import Network
from profiler.store import Store
from tests.known_law_backend import KnownLawBackend, Law

ERRORS = {
    "gone": DeviceOfflineError("gone", "went away\x1b[2J"),
    "busy": DeviceBusyError("busy", "process 7"),
    "wrong": ConfigError("no such program", key="wrong"),
}


@pytest.fixture
def arguments(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A short profile with the devices "a", "b" and three that fail."""

    def opened(device: Device, **_: Any) -> Backend:
        if device.name in ERRORS:
            raise ERRORS[device.name]
        return KnownLawBackend(Law(run_sigma=0.001), name=device.name)

    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setitem(BACKENDS, "host", opened)
    monkeypatch.setattr(KnownLawBackend, "facts", _litert_facts)
    config = tmp_path / "phones.yaml"
    names = ["a", "b", *ERRORS]
    config.write_text("devices:\n" + "".join(f"  {name}: {{backend: host}}\n" for name in names), encoding="utf-8")
    (tmp_path / "small.json").write_text(network.to_json(), encoding="utf-8")
    given = ["--config", str(config), "--network", str(tmp_path / "small.json"), "--store", str(tmp_path / "a.db")]
    return ["profile", *given, "--protocol", "kernels", "--rounds", "3", "--max-rounds", "3"]


def _litert_facts(self: KnownLawBackend) -> Any:
    from profiler.backends import DeviceFacts

    return DeviceFacts("imagined", 1, 2**30, "none", "litert", "1", 1, "none")


def on(*names: str) -> list[str]:
    return [word for name in names for word in ("--device", name)]


def test_all_well(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, *on("a", "b", "a"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [device["device"] for device in found["devices"]] == ["a", "b"]
    assert all(device["error"] is None and device["source"] == "measured" for device in found["devices"])
    assert all(sum(device["verdicts"].values()) == 1 for device in found["devices"])
    with Store(tmp_path / "a.db") as store:
        assert sorted(record.configuration.device for record in store.campaigns()) == ["a", "b"]


@pytest.mark.parametrize(
    ("names", "code"),
    [(["a", "busy"], 73), (["gone", "a", "busy"], 75), (["gone", "wrong", "busy", "a", "b"], 2)],
    ids=lambda value: str(value),
)
def test_failures_are_told_one_by_one_and_the_worst_is_the_exit_code(
    names: list[str], code: int, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, *on(*names), "--json"]) == code
    out, err = capsys.readouterr()
    found = {device["device"]: device for device in json.loads(out)["devices"]}
    for name in names:
        assert found[name]["exit_code"] == (ERRORS[name].exit_code if name in ERRORS else 0)
    told = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(told) == len(set(names) & set(ERRORS)) and "\x1b" not in err
    with Store(tmp_path / "a.db") as store:
        for record in store.campaigns():
            assert record.finished_unix_s is not None
            assert len(store.blocks(record.id)) == 3


def test_a_person_is_shown_each_device(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, *on("a", "gone", "b")]) == 75
    out, err = capsys.readouterr()
    assert "1 workloads measured on a" in out and "1 workloads measured on b" in out
    assert "measuring on 3 devices" in err
    assert r"error: device 'gone': went away\x1b[2J" in err


def test_one_device_that_fails_is_the_command_failing(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, *on("busy"), "--json"]) == 73
    assert capsys.readouterr().out == ""


def test_a_device_that_does_not_exist_stops_all_before_the_start(arguments: list[str], tmp_path: Path) -> None:
    assert run([*arguments, *on("a", "x; touch canary")]) == 2
    assert not (tmp_path / "a.db").exists()


def test_operators_are_timed_on_one_device(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, *on("a", "b"), "--operators"]) == 2
    assert "one --device" in capsys.readouterr().err

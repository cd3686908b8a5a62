"""Rows 1, 2, 3 and 21 at the command line, and a phone that is served with a script of faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pocketnas.cli import run
from profiler.adb import DirectTransport, _backoff
from profiler.backends import adb as adb_backend
from profiler.errors import DeviceOfflineError
from profiler.phone import Fault, Phone, PhoneServer, load_phone
from profiler.phone.programs import virtual_program
from tests.conformance.networks import tiny
from tests.served_phone import phone_served


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"))


@pytest.fixture
def config(phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A devices file with the phone, as a real one at an address."""
    monkeypatch.setenv("POCKETNAS_ADB_KEY", str(tmp_path / "adbkey"))
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))
    program = tmp_path / "benchmark_model"
    program.write_bytes(virtual_program("benchmark_model"))
    path = tmp_path / "devices.yaml"
    with PhoneServer(phone) as served:
        settings = {"backend": "adb", "serial": served.address, "program": str(program), "warmup_s": 0.0}
        path.write_text(json.dumps({"devices": {"phone": settings}}), encoding="utf-8")
        yield path


def profile(config: Path, *more: str) -> int:
    folder = config.parent
    (folder / "net.json").write_text(tiny().to_json(), encoding="utf-8")
    arguments = ["profile", "--device", "phone", "--config", str(config), "--network", str(folder / "net.json")]
    arguments += ["--store", str(folder / "a.db"), "--protocol", "kernels", "--rounds", "2", "--max-rounds", "2"]
    return run([*arguments, *more])


def test_row_01_a_job_on_an_unauthorized_phone_names_the_step(
    phone: Phone, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adb_backend, "_AUTHORIZE_S", 0.5)
    phone.faults.add(Fault("unauthorized"))
    assert profile(config) == 75
    line = capsys.readouterr().err.splitlines()[-1]
    assert "accept 'Allow USB debugging'" in line


def test_row_02_devices_wait_for_somebody_to_accept(
    phone: Phone, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone.faults.add(Fault("unauthorized", seconds=1.0, times=1))
    assert run(["devices", "--config", str(config), "--wait", "--limit-s", "30", "--json"]) == 0
    (seen,) = json.loads(capsys.readouterr().out)["devices"]
    assert seen["state"] == "device"


def test_row_02_a_job_that_waits_goes_on_once(phone: Phone, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    phone.faults.add(Fault("unauthorized", seconds=1.0, times=1))
    assert profile(config, "--wait-s", "30") == 0
    assert "error" not in capsys.readouterr().err


def test_row_03_an_offline_phone_is_infrastructure(
    phone: Phone, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_backoff, "PAUSES_S", (0.01,))
    phone.faults.add(Fault("drop_connection"))
    assert run(["devices", "--config", str(config), "--json"]) == 0
    (seen,) = json.loads(capsys.readouterr().out)["devices"]
    assert seen["state"] == "offline"


def test_row_21_a_low_battery_is_named_with_the_way_around_it(
    phone: Phone, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone.state.level_percent = 20
    assert profile(config) == 75
    line = capsys.readouterr().err.splitlines()[-1]
    assert "LOW-BATTERY" in line
    assert profile(config, "--suppress", "LOW-BATTERY") == 0


def test_a_phone_is_served_with_its_faults(tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("faults:\n  - {kind: cut_output, match: getprop, at_bytes: 40, times: 1}\n", encoding="utf-8")
    with (
        phone_served("--faults", str(script)) as serial,
        DirectTransport.tcp(serial, key_path=tmp_path / "key") as transport,
    ):
        with pytest.raises(DeviceOfflineError):
            transport.shell("getprop")
        assert "[ro.product.model]: [Pixel 4]" in transport.shell("getprop").stdout


def test_a_script_with_a_mistake_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("faults:\n  - kind: hang\n    at_bytes: 1\n", encoding="utf-8")
    assert run(["phone", "serve", "--faults", str(script)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert "faults.yaml:3" in line and "hang takes no 'at_bytes'" in line

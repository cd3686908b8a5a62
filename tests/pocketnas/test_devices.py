"""`pocketnas devices`: how each device is to be had, from looking alone; nobody is disturbed by it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pocketnas.cli import run
from profiler.adb import AdbServer
from profiler.backends import DeviceLease, Quarantine
from profiler.errors import DeviceOfflineError
from profiler.phone import Fault, Phone, PhoneServer, load_phone
from tests.adb_programs import free_port

HOSTILE = "Pixel\x1b[2J [/bold] <script>\x07"


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No adb server, no keys and no leases but the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path / "locks"))


@pytest.fixture
def served() -> Iterator[PhoneServer]:
    with PhoneServer(Phone(load_phone("pixel4"))) as server:
        yield server


def config_of(folder: Path, *serials: str) -> Path:
    path = folder / "phones.yaml"
    phones = [
        f"  phone{index}: {{backend: adb, serial: {json.dumps(serial)}, program: benchmark_model}}\n"
        for index, serial in enumerate(serials)
    ]
    path.write_text("devices:\n" + "".join(phones), encoding="utf-8")
    return path


def listed(config: Path, capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> list[dict[str, Any]]:
    assert run(["devices", "--config", str(config), "--json", *options]) == code
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["devices"]
    return found


def test_a_phone_is_listed_with_what_it_is_and_how_it_is(
    served: PhoneServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, served.address)
    (phone,) = listed(config, capsys)
    assert (phone["device"], phone["state"], phone["source"]) == ("phone0", "device", "emulated")
    assert phone["phone"]["model"] == "Pixel 4" and phone["phone"]["android"] and phone["phone"]["soc"]
    assert 0 < phone["health"]["battery_percent"] <= 100 and 0 < phone["health"]["temperature_c"] < 100
    assert [check["id"] for check in phone["checks"]] == ["EMULATED"]
    assert run(["devices", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "Pixel 4" in shown and "Android" in shown and " %" in shown and "°C" in shown and "emulated" in shown


def test_looking_changes_nothing_on_the_phone(
    served: PhoneServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed(config_of(tmp_path, served.address), capsys)
    from profiler.adb import DirectTransport, load_or_create_key

    load_or_create_key(tmp_path / "key")
    with DirectTransport.tcp(served.address, key_path=tmp_path / "key") as transport:
        assert transport.shell("ls /data/local/tmp").stdout == ""


def test_each_way_of_not_being_there_has_its_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    config = config_of(tmp_path, nobody, "x; touch canary", nobody, nobody)
    for _ in range(3):
        Quarantine("phone2").note_fault(DeviceOfflineError("phone2", "went away"))
    with DeviceLease("another name", shared=f"phone {nobody}"):
        busy, absent, aside, _ = listed(config, capsys)
    assert busy["state"] == "busy" and "process" in busy["detail"]
    assert absent["state"] == "not found"
    assert aside["state"] == "quarantined" and "went away" in aside["detail"] and "doctor" in aside["detail"]
    offline = listed(config, capsys)[0]
    assert offline["state"] == "offline" and offline["phone"] is None
    assert not (tmp_path / "canary").exists() and not Path("canary").exists()
    setback = Quarantine("phone0").setback
    assert setback is None  # looking is no job, and its failures count for nothing


def test_unauthorized_is_told_in_five_seconds_with_the_step_to_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with PhoneServer(Phone(load_phone("pixel4"), faults=[Fault("unauthorized")])) as server:
        began_s = time.monotonic()
        (phone,) = listed(config_of(tmp_path, server.address), capsys)
    assert phone["state"] == "unauthorized" and "accept" in phone["detail"]
    assert time.monotonic() - began_s < 8.0


def test_waits_until_a_phone_is_there(
    served: PhoneServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path, f"127.0.0.1:{free_port()}", served.address)
    lease = DeviceLease("job", shared=f"phone {served.address}")
    lease.__enter__()
    timer = threading.Timer(1.5, lease.__exit__, (None, None, None))
    timer.start()
    began_s = time.monotonic()
    states = [phone["state"] for phone in listed(config, capsys, "--wait", "--limit-s", "60")]
    timer.join()
    assert states == ["offline", "device"] and time.monotonic() - began_s > 1.4


def test_waiting_has_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_of(tmp_path, f"127.0.0.1:{free_port()}")
    assert run(["devices", "--config", str(config), "--wait", "--limit-s", "0.1"]) == 75
    out, err = capsys.readouterr()
    assert "offline" in out
    assert err.splitlines()[-1] == "error: no phone got ready within 0.1 s: 'phone0' is offline"


def test_without_a_phone_there_is_none_to_wait_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "host.yaml"
    path.write_text("devices:\n  here: {backend: host}\n", encoding="utf-8")
    assert [device["state"] for device in listed(path, capsys, "--wait")] == ["device"]


def test_phones_that_a_server_has_and_nobody_named_get_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = {HOSTILE: "device", "known": "offline", "R58 (2)": "unauthorized"}
    monkeypatch.setattr(AdbServer, "devices", lambda *_, **__: served)
    config = config_of(tmp_path, "known")
    assert run(["devices", "--config", str(config), "--json"]) == 0
    unnamed = json.loads(capsys.readouterr().out)["unconfigured"]
    assert [(phone["serial"], phone["state"]) for phone in unnamed] == [
        (HOSTILE, "device"),
        ("R58 (2)", "unauthorized"),
    ]
    from profiler.devices import AdbDevice, load_devices

    path = tmp_path / "added.yaml"
    path.write_text("devices:\n  " + unnamed[0]["line"] + "\n", encoding="utf-8")
    added = load_devices(path)["phone"]
    assert isinstance(added, AdbDevice) and added.serial == HOSTILE
    assert run(["devices", "--config", str(config)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "R58 (2): not in the devices file" in shown


@pytest.mark.parametrize("text", [HOSTILE, "x" * 3_000_000], ids=["moves the cursor", "endless"])
def test_text_of_a_phone_is_inert_and_capped(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    description = load_phone("pixel4")
    properties = {**description.properties, "ro.product.model": text}
    hostile = description.model_copy(update={"properties": properties})
    with PhoneServer(Phone(hostile)) as server:
        config = config_of(tmp_path, server.address)
        assert run(["devices", "--config", str(config)]) == 0
        shown = capsys.readouterr().out
        assert run(["devices", "--config", str(config), "--json"]) == 0
        document = capsys.readouterr().out
    assert "\x1b" not in shown + document and len(shown) < 20_000 and len(document) < 20_000
    json.loads(document)

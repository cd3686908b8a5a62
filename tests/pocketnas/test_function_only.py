"""Rows of emulated instructions: they are stored, shown and exported under their name, and nothing learns from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pocketnas.cli import run
from profiler.backends import BACKENDS, Backend, DeviceFacts
from profiler.devices import Device
from tests.known_law_backend import KnownLawBackend, Law

REMARK = "times under qemu say nothing of a phone"
SMALL = ["--cells", "3", "--channels", "4", "--nodes", "1"]
DEVICES = """devices:
  qemu: {backend: emulated, phone: pixel4}
  old: {backend: emulated, phone: pixel4}
"""


class _Known(KnownLawBackend):
    def facts(self) -> DeviceFacts:
        return DeviceFacts("imagined", 1, 2**30, "none", "litert", "1", 1, "none")


@pytest.fixture(autouse=True)
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a device whose instructions are emulated."""

    def opened(device: Device, **_: Any) -> Backend:
        source = "emulated-isa" if device.name == "qemu" else "emulated"
        return _Known(Law(run_sigma=0.002), name=device.name, source=source, call_ms=0.01)  # type: ignore[arg-type]

    monkeypatch.setitem(BACKENDS, "emulated", opened)
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text(DEVICES, encoding="utf-8")
    return tmp_path


def profile(*options: str) -> int:
    pace = ["--rounds", "2", "--max-rounds", "2", "--kernels", "25", "--networks", "2"]
    return run(["profile", "--config", "devices.yaml", "--device", "qemu", "--store", "a.db", *SMALL, *pace, *options])


def test_profile_says_what_its_rows_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert profile() == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"emulated-isa: {REMARK}" in shown and "nothing learns from them" in shown
    assert "whole networks, emulated-isa on qemu" in shown
    assert profile("--json") == 0
    assert json.loads(capsys.readouterr().out)["source"] == "emulated-isa"


def test_tables_and_exports_carry_the_name(phone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile() == 0
    capsys.readouterr()
    assert run(["table", "--store", "a.db"]) == 0
    assert "emulated-isa" in capsys.readouterr().out
    assert run(["table", "--store", "a.db", "--source", "emulated-isa", "--export", "a.csv"]) == 0
    header, *rows = (phone / "a.csv").read_text(encoding="utf-8").splitlines()
    place = header.split(",").index("source")
    assert rows and {row.split(",")[place] for row in rows} == {"emulated-isa"}
    capsys.readouterr()
    assert run(["table", "--store", "a.db", "--source", "emulated", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == []


@pytest.mark.parametrize("command", [["fit", "--out", "p.safetensors"], ["explain"]])
def test_nothing_learns_from_such_rows(command: list[str], phone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert profile() == 0
    capsys.readouterr()
    assert run([*command, "--store", "a.db"]) == 2
    _is_one_line(capsys, "nothing is learned")
    assert not (phone / "p.safetensors").exists()


@pytest.mark.parametrize(
    ("command", "purpose"),
    [
        (["profile", "--store", "a.db", "--adaptive", "--time-budget-s", "60", *SMALL], "choosing what to measure"),
        (["fusion", "--store", "a.db"], "finding out what is fused"),
        (["search", "--space", "cars", *SMALL, "--budget-ms", "1", "--data", "digits", "--out", "out"], "a search"),
        (["quickstart", "--fast", "--out", "out"], "a search"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_needs_latencies_refuses_the_device(
    command: list[str], purpose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--config", "devices.yaml", "--device", "qemu"]) == 2
    _is_one_line(capsys, f"'qemu' (emulated-isa): {purpose} needs latencies")


def _is_one_line(capsys: pytest.CaptureFixture[str], said: str) -> None:
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and REMARK in errors[0] and said in errors[0]

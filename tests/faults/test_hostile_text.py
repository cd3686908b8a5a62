"""Row 23 of the bad inputs: what a phone says of itself is text, whatever is in it, and has an end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pocketnas.cli import run
from profiler.phone import Phone, PhoneServer, load_phone

HOSTILE = {
    "clears the screen": "Pixel\x1b[2J\x1b]0;owned\x07 4",
    "markup": "Pixel [/x][bold red]4",
    "html": "<script>alert(1)</script>",
    "bad UTF-8": "Pixel \udcff\udcfe 4",
    "lines": "Pixel\r\nro.build.version.sdk=99\n[ro.x]: [y]",
    "right to left": "Pixel \u202e4 lexiP",
    "null": "Pixel\0 4",
}


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"))


@pytest.fixture
def config(phone: Phone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A devices file with the phone, as a real one at an address."""
    monkeypatch.setenv("POCKETNAS_ADB_KEY", str(tmp_path / "adbkey"))
    program = tmp_path / "benchmark_model"
    program.write_bytes(b"\x7fELF")
    path = tmp_path / "devices.yaml"
    with PhoneServer(phone) as served:
        settings = {"backend": "adb", "serial": served.address, "program": str(program)}
        path.write_text(json.dumps({"devices": {"phone": settings}}), encoding="utf-8")
        yield path


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_bad_input_23_text_of_a_phone_is_shown_inert(
    text: str, phone: Phone, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ro.product.model", "ro.soc.model", "ro.build.version.release"):
        phone.description.properties[name] = text
    assert run(["devices", "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert all(character.isprintable() or character == "\n" for character in out + err), (out, err)
    assert "Pixel" in out or "script" in out or "\n" in text
    assert run(["devices", "--config", str(config), "--json"]) == 0
    out, err = capsys.readouterr()
    (seen,) = json.loads(out)["devices"]
    assert seen["state"] == "device"
    out.encode("ascii")


def test_bad_input_23_a_line_without_an_end_is_capped(
    phone: Phone, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone.description.properties["ro.product.model"] = "x" * 50_000_000
    run(["devices", "--config", str(config)])
    out, err = capsys.readouterr()
    assert len(out + err) < 10_000
    run(["devices", "--config", str(config), "--json"])
    out, err = capsys.readouterr()
    assert len(out + err) < 20_000
    json.loads(out)


def test_bad_input_23_a_long_answer_is_shortened(
    phone: Phone, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone.description.properties["ro.product.model"] = "long " * 200_000
    assert run(["devices", "--config", str(config), "--json"]) == 0
    assert len(capsys.readouterr().out) < 20_000

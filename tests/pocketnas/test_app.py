"""The program starts fast, explains each command, and ends with the exit code that the way of ending has."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
import typer

from pocketnas.cli import run
from pocketnas.cli._app import app
from profiler.errors import ConfigError, DeviceBusyError, DeviceError, PocketnasError
from profiler.phone import Phone, PhoneServer, load_phone
from profiler.phone.files import SHELL_USER
from profiler.phone.programs import virtual_program
from search.errors import InfeasibleError
from tests._source import ROOT

ROAD = ["quickstart", "devices", "doctor", "profile", "table", "fit", "predict", "search", "verify", "report"]
COMMANDS = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
ROAD_OPTIONS = {"devices": ["--config"], "verify": ["--device", "--finalists"], "search": ["--budget-ms", "--resume"]}


def test_all_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert re.findall(r"^  (\w+)  ", shown.split("Commands:")[1], re.MULTILINE) == COMMANDS
    assert COMMANDS[: len(ROAD)] == ROAD


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example_and_json(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Example: pocketnas {command}" in shown
    assert "--json" in shown
    assert all(option in shown for option in ROAD_OPTIONS.get(command, []))


@pytest.mark.parametrize("command", COMMANDS)
def test_shipped_files_in_the_help_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run([command, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert [path for path in re.findall(r"\bdata/[\w./-]+", shown) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_explained(command: str) -> None:
    found = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    assert [option.name for option in found.params if not option.help] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_in_the_readme(command: str) -> None:
    assert f"pocketnas {command}" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        ["sing"],
        ["devices", "--loud"],
        ["quickstart", "--seed", "x"],
        ["predict"],
        ["table"],
        ["search", "--cells", "1"],
        ["verify", "out", "--finalists", "0"],
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ConfigError("no such key", key="devices"), 2, "error: devices: no such key\n"),
        (InfeasibleError("latency", closest="a", gap=1.0, tries=3), 4, "closest misses it by 1 ms"),
        (DeviceBusyError("phone", "process 7"), 73, "in use by process 7"),
        (DeviceError("phone", "gone"), 75, "gone"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.db"), 2, "a.db: No such file"),
        (OSError(errno.ENOSPC, "No space left on device", "a.db"), 75, "No space left"),
        (PocketnasError("line one\nline two \x1b[31m"), 2, r"error: line one\nline two \x1b[31m" + "\n"),
    ],
)
def test_each_way_of_failing_has_its_code(
    raised: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_config: object) -> None:
        raise raised

    monkeypatch.setattr("pocketnas.cli.devices.configured_devices", fail)
    assert run(["devices"]) == code
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_help_is_there_at_once() -> None:
    started_s = time.monotonic()
    subprocess.run([sys.executable, "-m", "pocketnas", "--help"], check=True, capture_output=True)
    # 0.2 s on an idle machine; the tests' machine is not idle.
    assert time.monotonic() - started_s < 3.0


def test_an_interrupted_profile_ends_with_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pocketnas", "profile", "--network", "net.json", "--store", "a.db"]
    # Rounds for some seconds, so that the interrupt falls into them on a machine of any speed.
    rounds = 300
    command += ["--protocol", "kernels", "--rounds", str(rounds), "--max-rounds", str(rounds)]
    (tmp_path / "net.json").write_text(_small_network())
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _wait_for_rows(tmp_path / "a.db", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == "" and err.splitlines()[-1] == "error: interrupted"
    before = _rows(tmp_path / "a.db")
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "1 workloads measured on host" in again.stdout
    assert 0 < before < _rows(tmp_path / "a.db") == rounds


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_leaves_a_phone_as_it_was_found(number: signal.Signals, tmp_path: Path) -> None:
    with PhoneServer(Phone(load_phone("pixel4"))) as server:
        phone = server.phone
        before = dict(phone.state.settings)
        program, config = tmp_path / "program", tmp_path / "phones.yaml"
        program.write_bytes(virtual_program("benchmark_model"))
        config.write_text(
            f"devices: {{phone: {{backend: adb, serial: '{server.address}', program: {program}}}}}\n", encoding="utf-8"
        )
        command = [sys.executable, "-m", "pocketnas", "profile", "--network", "net.json", "--store", "a.db"]
        command += ["--config", str(config), "--device", "phone", "--rounds", "300", "--max-rounds", "300"]
        (tmp_path / "net.json").write_text(_small_network())
        with _by_default(number):
            process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _wait_for_rows(tmp_path / "a.db", process)
        assert phone.state.settings != before
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
        assert (process.returncode, said.splitlines()[-1]) == (130, "error: interrupted"), said
        assert phone.state.settings == before
        assert phone.files.names("/data/local/tmp", SHELL_USER) == []


@contextmanager
def _by_default(number: signal.Signals) -> Iterator[None]:
    """Let a signal do what it does by default in programs started now, also where these tests ignore it (nohup)."""
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("words", [["devices", "--json"], ["agent", "info"]], ids=["document", "table"])
def test_a_reader_that_leaves_early_is_no_error(words: list[str]) -> None:
    command = [sys.executable, "-m", "pocketnas", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0
    assert b"Traceback" not in said and b"Exception ignored" not in said


@pytest.mark.parametrize(
    ("cause", "code", "said"),
    [(None, 75, "error: a connection broke"), (KeyboardInterrupt(), 130, "error: interrupted")],
    ids=["connection", "interrupt"],
)
def test_a_pipe_that_is_not_our_output_does_not_end_in_silence(
    cause: BaseException | None,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe") from cause

    monkeypatch.setattr(typer.core.TyperGroup, "invoke", broken)
    assert run(["devices"]) == code
    assert capsys.readouterr().err.startswith(said)


def _small_network() -> str:
    from profiler.network import Conv2d, Network, TensorSpec

    return Network("small", [TensorSpec("x", (1, 32, 32, 16))], [Conv2d("conv", ("x",), 32)], ["conv"]).to_json()


def _rows(store: Path) -> int:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(store)) as connection:
        return int(connection.execute("select count(*) from block").fetchone()[0])


def _wait_for_rows(store: Path, process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and process.poll() is None:
        if store.exists() and store.stat().st_size and _ready(store):
            return
        time.sleep(0.05)
    raise AssertionError(f"no row was stored: {process.communicate()}")


def _ready(store: Path) -> bool:
    import sqlite3

    try:
        return _rows(store) > 0
    except sqlite3.OperationalError:
        return False


def test_defaults_of_search_are_those_of_its_params(capsys: pytest.CaptureFixture[str]) -> None:
    from pocketnas.searching import SearchParams

    assert run(["search", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    told = {name: int(value) for name, value in re.findall(r"--(\S+) N (?:(?! --).)*? Default: (\d+)\.", shown)}
    sizes = ("population", "generations", "warmup_epochs", "generation_epochs")
    defaults = asdict(SearchParams().evolution)
    assert told == {name.replace("_", "-"): defaults[name] for name in sizes}

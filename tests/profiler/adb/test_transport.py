"""Both transports, on new and old phones and on Google's own daemon, keep one promise."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from profiler.adb import DirectTransport, Transport, command_line
from profiler.errors import CommandFailedError, ConfigError, DeviceError, DeviceTimeoutError, TransferError
from profiler.phone import Phone, PhoneServer, load_phone


def test_shell_gives_output_and_exit_code(transport: Transport) -> None:
    result = transport.shell("echo a; echo b; exit 7")
    assert (result.exit_code, result.stdout, result.stderr) == (7, "a\nb\n", "")
    assert transport.shell("printf 'no newline'").stdout == "no newline"
    assert transport.shell("true").stdout == ""
    assert transport.shell("(exit 255)").exit_code == 255


def test_standard_error_is_apart_where_the_phone_can(transport: Transport) -> None:
    result = transport.shell("echo out; echo err >&2")
    apart = "shell_v2" in transport.features()
    assert (result.stdout, result.stderr) == (("out\n", "err\n") if apart else ("out\nerr\n", ""))


def test_check_raises_with_all_that_was_said(transport: Transport) -> None:
    with pytest.raises(CommandFailedError, match="exit code 1") as caught:
        transport.shell("cat /nowhere", check=True)
    assert caught.value.exit_code_there == 1
    assert "No such file" in caught.value.stdout + caught.value.stderr


def test_a_syntax_error_is_an_exit_code(transport: Transport) -> None:
    assert transport.shell("echo 'open").exit_code != 0 if "shell_v2" in transport.features() else True


def test_output_that_looks_like_our_own_marks_is_output(transport: Transport) -> None:
    text = "pocketnas-0123456789abcdef 5\n0\n"
    assert transport.shell(command_line("printf", "%s", text)).stdout == text


def test_files_go_and_come_back(transport: Transport, here: str, tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(1_500_001)
    transport.push(content, f"{here}/f", mode=0o755)
    found = transport.stat(f"{here}/f")
    assert found is not None
    # adbd gives group and others the owner's permissions.
    assert (found.size_bytes, found.mode & 0o777, found.is_folder) == (len(content), 0o777, False)
    transport.pull(f"{here}/f", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    transport.push(tmp_path / "back", f"{here}/g")
    assert transport.read_file(f"{here}/g") == content
    transport.push(b"", f"{here}/empty")
    assert transport.read_file(f"{here}/empty") == b""
    assert transport.stat(f"{here}/none") is None


def test_names_of_files_are_no_commands(transport: Transport, here: str) -> None:
    for name in ("a b", "-rf", "$(id)", "a,b", "a\nb", "😀'\""):
        transport.push(name.encode(), f"{here}/{name}")
        assert transport.read_file(f"{here}/{name}") == name.encode()
        assert transport.shell(command_line("cat", f"{here}/{name}")).stdout == name


def test_refused_transfers_carry_the_phones_reason(transport: Transport, here: str, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="Permission denied"):
        transport.push(bytes(3_000_000), "/system/f")
    with pytest.raises(TransferError, match="No such file"):
        transport.pull("/nowhere", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TransferError, match="larger than"):
        transport.read_file("/proc/cpuinfo", max_bytes=10)
    with pytest.raises(ConfigError, match="cannot be used"):
        transport.push(tmp_path / "none", f"{here}/f")
    assert transport.shell("echo on").stdout == "on\n"


def test_a_command_that_hangs_is_ended_there(transport: Transport, here: str) -> None:
    transport.features()
    started = time.monotonic()
    with pytest.raises(DeviceTimeoutError, match=r"sleep 77.* 1 s") as caught:
        transport.shell(f"echo $$ > {here}/pid; sleep 77", timeout_s=1)
    assert time.monotonic() - started < 10
    assert "may still run" not in str(caught.value)
    _assert_gone(transport, int(transport.read_file(f"{here}/pid")))


def test_leaving_a_stream_early_ends_the_command(transport: Transport) -> None:
    with transport.stream("echo begun; sleep 78; echo never", timeout_s=20) as process:
        if "shell_v2" in transport.features():
            assert next(iter(process)) == ("stdout", b"begun\n")
        else:
            process._without_head(process._channel.read())
        assert process.pid is not None
    _assert_gone(transport, process.pid)


def _assert_gone(transport: Transport, pid: int) -> None:
    """Nothing of the process's group runs any more."""
    said = transport.shell(f"kill -0 -{pid}")
    assert said.exit_code != 0
    assert "No such process" in said.stdout + said.stderr


def test_threads_wait_for_one_another(transport: Transport) -> None:
    seen: dict[int, list[str]] = {}

    def ask(number: int) -> None:
        seen[number] = [transport.shell(f"echo {number} {turn}").stdout for turn in range(8)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {number: [f"{number} {turn}\n" for turn in range(8)] for number in range(4)}


def test_words_are_not_run(transport: Transport, here: str) -> None:
    word = f"$(touch {here}/canary); `x` \n'\"*😀"
    assert transport.shell(command_line("printf", "%s", word)).stdout == word
    assert transport.stat(f"{here}/canary") is None


def test_a_flood_is_ended(direct: DirectTransport, phone: Phone) -> None:
    phone.files.place("/data/local/tmp/flood", lambda: b"x" * (40 << 20))
    with pytest.raises(DeviceError, match="more than 16 MiB"):
        direct.shell("cat /data/local/tmp/flood")
    assert direct.shell("echo on").stdout == "on\n"


def test_bytes_that_are_no_text_are_shown_as_escapes(direct: DirectTransport, phone: Phone) -> None:
    phone.files.place("/data/local/tmp/odd", b"\xff\x1b[2Ja\r\nb")
    assert direct.shell("cat /data/local/tmp/odd").stdout == "\\xff\x1b[2Ja\r\nb"


def test_features_are_the_phones(served: PhoneServer, direct: DirectTransport) -> None:
    assert direct.features() == frozenset(served.phone.features)


def test_round_trips_are_quick(direct: DirectTransport) -> None:
    direct.shell("true")
    started = time.monotonic()
    for _ in range(50):
        direct.shell("true")
    assert (time.monotonic() - started) / 50 < 0.02


def test_a_port_in_use_is_named(served: PhoneServer) -> None:
    with (
        pytest.raises(DeviceError, match=f"cannot listen on 127.0.0.1:{served.port}"),
        PhoneServer(Phone(load_phone("pixel4")), port=served.port),
    ):
        pass

"""Files under the hash of their content: once, whole, and gone when asked."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from profiler.adb import DirectTransport, RemoteFolder, Transport
from profiler.errors import ConfigError, TransferError
from profiler.phone import Fault, Phone


def test_the_same_content_is_sent_once(
    transport: Transport, ours: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    push = type(transport).push

    def counted(self: Transport, source: bytes, path: str, *, mode: int, timeout_s: float) -> None:
        sent.append(path)
        push(self, source, path, mode=mode, timeout_s=timeout_s)

    monkeypatch.setattr(type(transport), "push", counted)
    for name in ("$(id).tflite", "-rf", "a\nb", "😀.tflite"):
        (tmp_path / name).write_bytes(b"model")
        path = RemoteFolder(transport, ours).put(tmp_path / name)
        assert path == f"{ours}/{hashlib.sha256(b'model').hexdigest()[:32]}"
    assert len(sent) == 1
    assert transport.read_file(path) == b"model"


def test_programs_can_be_run(transport: Transport, ours: str) -> None:
    path = RemoteFolder(transport, ours).put(b"echo it runs", executable=True)
    assert transport.shell(path).stdout == "it runs\n"


def test_what_somebody_changed_is_sent_again(transport: Transport, ours: str) -> None:
    path = RemoteFolder(transport, ours).put(b"12345")
    transport.shell(f"echo 1234 > {path}", check=True)
    assert RemoteFolder(transport, ours).put(b"12345") == path
    assert transport.read_file(path) == b"12345"


def test_nothing_is_left_behind(transport: Transport, ours: str) -> None:
    folder = RemoteFolder(transport, ours)
    folder.put(b"x")
    folder.remove()
    assert transport.stat(ours) is None
    assert transport.shell("ls -A " + folder.put(b"x")).exit_code == 0


def test_an_old_phone_checks_with_md5(direct: DirectTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = DirectTransport.shell
    monkeypatch.setattr(
        DirectTransport,
        "shell",
        lambda self, command, **options: shell(self, command.replace("sha256sum", "no-such-tool"), **options),
    )
    assert direct.read_file(RemoteFolder(direct).put(b"x")) == b"x"


def test_a_phone_that_refuses_the_folder_is_told(direct: DirectTransport, phone: Phone) -> None:
    phone.files.place("/data/local/tmp", mode=0o500)
    with pytest.raises(TransferError, match="Permission denied"):
        RemoteFolder(direct).put(b"x")


def test_a_phone_that_cannot_hash_is_told(direct: DirectTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = DirectTransport.shell
    monkeypatch.setattr(
        DirectTransport,
        "shell",
        lambda self, command, **options: shell(self, command.replace("sum ", "sun "), **options),
    )
    with pytest.raises(TransferError, match="neither"):
        RemoteFolder(direct).put(b"x")


def test_a_file_that_is_not_here_is_named(direct: DirectTransport, tmp_path: Path, phone: Phone) -> None:
    phone.faults.add(Fault("reset_on_open"))  # nothing is asked of the phone
    with pytest.raises(ConfigError, match="cannot be read"):
        RemoteFolder(direct).put(tmp_path / "none")

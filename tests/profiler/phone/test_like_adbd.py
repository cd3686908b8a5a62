"""The emulated phone says on the wire what Google's adbd says, packet for packet, where the protocol fixes it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from profiler.phone import Phone, PhoneServer, load_phone
from tests.adb_programs import own_adbd
from tests.raw_adb import Packet, RawClient, Talk

pytestmark = [pytest.mark.slow, pytest.mark.adbd]

Peers = dict[str, tuple[str, str]]
"""Address and free folder of each device."""
FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir")
TIME_S = 1_234_567_890


@pytest.fixture(scope="module")
def peers(adbd_path: Path) -> Iterator[Peers]:
    with ExitStack() as stack:
        daemon = stack.enter_context(own_adbd(adbd_path))
        phone = stack.enter_context(PhoneServer(Phone(load_phone("pixel4"), features=FEATURES, secure=False)))
        found = {"adbd": (daemon.address, str(daemon.folder)), "phone": (phone.address, "/data/local/tmp")}
        for address, folder in found.values():
            with RawClient(address) as client:
                client.talk(f"exec:mkdir {folder}/locked; chmod 500 {folder}/locked")
        yield found


def sync(kind: bytes, path: str | bytes = b"") -> bytes:
    name = path if isinstance(path, bytes) else path.encode()
    return struct.pack("<4sI", kind, len(name)) + name


def file(content: bytes) -> bytes:
    return sync(b"DATA", content) + struct.pack("<4sI", b"DONE", TIME_S)


def send(target: str, content: bytes) -> bytes:
    """Send a file to a path with a comma and a mode."""
    return sync(b"SEND", target) + file(content)


def to_stdin(text: bytes) -> bytes:
    return struct.pack("<BI", 0, len(text)) + text


CLOSE_STDIN = struct.pack("<BI", 4, 0)

SHELLS = {
    "output and code": ("shell,v2,raw:echo out; exit 3", []),
    "errors apart": ("shell,v2,raw:echo err >&2", []),
    "nothing": ("shell,v2,raw:true", []),
    "killed": ("shell,v2,raw:kill -9 $$", []),
    "killed by a term": ("shell,v2,raw:kill $$", []),
    "no such command": ("shell,v2,raw:/nowhere 2>/dev/null", []),
    "not executable": ("shell,v2,raw:/ 2>/dev/null", []),
    "code of a negative": ("shell,v2,raw:exit 300", []),
    "stdin": ("shell,v2,raw:cat", [to_stdin(b"from here\n") + to_stdin(b"and there\n"), CLOSE_STDIN]),
    "stdin in pieces": ("shell,v2,raw:cat", [to_stdin(b"abc")[:3], to_stdin(b"abc")[3:] + CLOSE_STDIN]),
    "stdin that nobody reads": ("shell,v2,raw:echo x", [to_stdin(b"x" * 1000)]),
    "script from stdin": ("shell,v2,raw:", [to_stdin(b"echo 42\nexit 5\n")]),
    "waits for stdin": ("shell,v2,raw:cat", []),
    "v1": ("shell:echo out; echo err >&2; exit 3", []),
    "exec": ("exec:printf 'a\\r\\nb'", []),
    "an option that is unknown": ("shell,v2,raw,new:echo x", []),
    "much": ("shell,v2,raw:cat; echo >&2; exit 4", [to_stdin(b"x" * 99_999)] * 3 + [CLOSE_STDIN]),
    "no such service": ("nosuch:x", []),
    "an empty service": ("", []),
    "half a service": ("shel", []),
}


@pytest.mark.parametrize("name", SHELLS)
def test_shells(peers: Peers, name: str) -> None:
    service, sent = SHELLS[name]
    heard = {}
    for peer, (address, _) in peers.items():
        with RawClient(address) as client:
            talk = client.talk(service, *sent)
        heard[peer] = (talk.opened, talk.closed, _by_kind(talk.said) if "v2" in service else talk.said)
    assert heard["phone"] == heard["adbd"]


def _by_kind(said: bytes) -> dict[int, bytes]:
    """Join what is in shell packets: how output is cut into them is a matter of time."""
    joined: dict[int, bytes] = {}
    while said:
        kind, length = struct.unpack("<BI", said[:5])
        joined[kind] = joined.get(kind, b"") + said[5 : 5 + length]
        said = said[5 + length :]
    return joined


SYNCS = {
    "stat of nothing": [sync(b"STAT", "@/none"), sync(b"STA2", "@/none"), sync(b"LST2", "@/none")],
    "stat below a file": [send("@/f,420", b"x"), sync(b"STA2", "@/f/x")],
    "list of nothing": [sync(b"LIST", "@/none"), sync(b"LIS2", "@/none")],
    "fetch of nothing": [sync(b"RECV", "@/none"), sync(b"STAT", "@/none")],
    "fetch of a folder": [sync(b"RECV", "@"), sync(b"STAT", "@/none")],
    "there and back": [send("@/f,33188", b"12345"), sync(b"STAT", "@/f"), sync(b"RECV", "@/f")],
    "permissions": [send("@/g,493", b""), sync(b"STAT", "@/g")],
    "permissions of the owner": [send("@/h,384", b""), sync(b"STAT", "@/h")],
    "permissions in octal": [send("@/i,0640", b""), sync(b"STAT", "@/i")],
    "into new folders": [send("@/a/b/c,420", b"x"), sync(b"RECV", "@/a/b/c")],
    "over a file": [send("@/f,420", b"long"), send("@/f,420", b"x"), sync(b"RECV", "@/f")],
    "over a file of other permissions": [
        send("@/f,384", b""), send("@/f,493", b""), sync(b"STAT", "@/f"),
    ],
    "in two messages": [
        sync(b"SEND", "@/f,420"), sync(b"DATA", b"12"), sync(b"DATA", b"") + file(b"3"), sync(b"RECV", "@/f"),
    ],
    "no comma": [send("@/f", b"x"), sync(b"STAT", "@/none")],
    "no mode": [send("@/f,", b"x"), sync(b"STAT", "@/none")],
    "not allowed": [send("@/locked/x,420", b"x"), sync(b"STAT", "@/none")],
    "into a new folder that is not allowed": [send("@/locked/a/b,420", b"x"), sync(b"STAT", "@/none")],
    "onto a folder": [send("@,420", b"x"), sync(b"STAT", "@/none")],
    "below a file": [send("@/f,420", b"x"), send("@/f/g,420", b"x"), sync(b"STAT", "@/none")],
    "too much at once": [sync(b"SEND", "@/f,420") + sync(b"DATA", bytes(65537)), sync(b"STAT", "@/none")],
    "neither data nor done": [sync(b"SEND", "@/f,420") + sync(b"WHAT"), sync(b"STAT", "@/none")],
    "unknown request": [sync(b"WHAT", "@"), sync(b"STAT", "@/none")],
    "path too long": [sync(b"STAT", b"/" + b"x" * 1024), sync(b"STAT", "@/none")],
    "longest path": [sync(b"STA2", b"/" + b"x/" * 511 + b"x")],
    "quit": [sync(b"QUIT"), sync(b"STAT", "@/none")],
    "half a request": [b"STA"],
}  # fmt: skip


@pytest.mark.parametrize("name", SYNCS)
def test_sync(peers: Peers, name: str) -> None:
    heard = {}
    for peer, (address, folder) in peers.items():
        with RawClient(address) as client:
            heard[peer] = client.talk("sync:", *(_placed(request, folder) for request in SYNCS[name]))
    assert heard["phone"] == heard["adbd"]


def _placed(request: bytes, folder: str) -> bytes:
    """Put a device's own folder in the place of the `@` of a request's path."""
    head, mark, rest = request.partition(b"@")
    if not mark:
        return request
    kind, length = struct.unpack("<4sI", head[-8:])
    path = folder.encode()
    return head[:-8] + struct.pack("<4sI", kind, length - 1 + len(path)) + path + rest


def test_stat_v2_has_the_same_shape(peers: Peers) -> None:
    said = {}
    for peer, (address, folder) in peers.items():
        with RawClient(address) as client:
            requests = [send(f"{folder}/s,33188", b"123"), sync(b"STA2", f"{folder}/s")]
            talk = client.talk("sync:", *requests)
        assert len(talk.said) == 8 + 72
        kind, error, _, _, mode, links, *_, size, _, modified, _ = struct.unpack("<4sI2Q4IQ3q", talk.said[8:])
        said[peer] = (kind, error, mode, links, size, modified)
    assert said["phone"] == said["adbd"] == (b"STA2", 0, 0o100666, 1, 3, TIME_S)


@pytest.mark.parametrize("version", [0x01000000, 0x01000001, 0x01000002])
def test_greetings(peers: Peers, version: int) -> None:
    said = {}
    for peer, (address, _) in peers.items():
        with RawClient(address, version) as client:
            hello = client.greeting
            words = [word.partition("=")[0] for word in hello.payload.decode().split(";")]
            talk = client.talk("exec:echo x")
            client.send(b"OPEN", 9, 0, b"exec:echo checked\0")
            sums = {packet.checksum for packet in client.replies() if packet.command == b"WRTE"}
            said[peer] = (hello.command, hello.arg0, hello.arg1, words, talk, sums)
    assert said["phone"] == said["adbd"]
    assert said["adbd"][4] == Talk(True, b"x\n")


STRAYS = {
    "data": (b"WRTE", 5, 99, b"x"),
    "okay": (b"OKAY", 5, 99, b""),
    "close": (b"CLSE", 5, 99, b""),
    "close of nothing": (b"CLSE", 0, 99, b""),
    "open without a number": (b"OPEN", 0, 0, b"exec:echo x\0"),
    "open with two numbers": (b"OPEN", 5, 6, b"exec:echo x\0"),
}


@pytest.mark.parametrize("name", STRAYS)
def test_packets_of_no_stream(peers: Peers, name: str) -> None:
    said: dict[str, list[Packet]] = {}
    for peer, (address, _) in peers.items():
        with RawClient(address) as client:
            client.send(*STRAYS[name])
            said[peer] = client.replies()
            assert client.talk("exec:echo on") == Talk(True, b"on\n")
    assert said["phone"] == said["adbd"]

"""What becomes of words and paths on their way to a phone's shell."""

from __future__ import annotations

import posixpath
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.adb import command_line, remote_folder_path
from profiler.adb.direct import split_address
from profiler.errors import ConfigError

WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20), max_size=3)


@pytest.mark.skipif(shutil.which("sh") is None, reason="no POSIX shell on this system")
@settings(max_examples=40, deadline=None)
@given(words=WORDS)
def test_a_real_shell_reads_the_words_back(words: list[str]) -> None:
    line = command_line("printf", r"%s\0", *words)
    ran = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert ran.stdout == "".join(f"{word}\0" for word in words or [""]).encode()


def test_a_nul_is_refused() -> None:
    with pytest.raises(ConfigError, match="NUL"):
        command_line("echo", "a\0b")


@pytest.mark.parametrize(
    "path",
    [
        "/system",
        "/data/local/tmp/../..",
        "/data/local/tmp",
        "/data/local/tmp/",
        "/data/local/tmp/other",
        "/data/local/tmp/pocketnas/../../..",
        "/data/local/tmp/pocketnas/../other",
        "//data/local/tmp/pocketnas",
        "data/local/tmp/pocketnas",
        "/data/local/tmp/pocketnas/a b",
        "/data/local/tmp/pocketnas/$(id)",
        "/data/local/tmp/pocketnas\n/x",
        "",
        "/",
        "~",
    ],
)
def test_folders_that_are_not_ours_are_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="not ours to write to"):
        remote_folder_path(path)


@settings(max_examples=100, deadline=None)
@given(tail=st.text("ab./-_ $\n~", max_size=30))
def test_what_is_accepted_lies_in_our_folder(tail: str) -> None:
    try:
        path = remote_folder_path(f"/data/local/tmp/pocketnas{tail}")
    except ConfigError:
        return
    assert path == posixpath.normpath(path)
    assert path.startswith("/data/local/tmp/pocketnas")
    assert ".." not in path.split("/")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:5555", ("127.0.0.1", 5555)),
        ("phone.local:1", ("phone.local", 1)),
        ("phone", ("phone", 5555)),
        ("[::1]:77", ("::1", 77)),
        ("[::1]", ("::1", 5555)),
    ],
)
def test_addresses(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address) == expected


@pytest.mark.parametrize("address", ["", ":5555", "a b:1", "a:0", "a:99999", "a:x", "a\n:1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError):
        split_address(address)

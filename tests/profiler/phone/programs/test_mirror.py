"""The folder that shows a phone's files to programs: whichever side changed is taken over by the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.phone import Phone, load_phone
from profiler.phone.files import SHELL_USER, FileSystem
from profiler.phone.programs._mirror import PUSHED, Mirror
from profiler.phone.programs._words import shown_words


@pytest.fixture
def files() -> FileSystem:
    return Phone(load_phone("pixel4")).files


@pytest.fixture
def shown(files: FileSystem) -> Iterator[tuple[Mirror, Path]]:
    mirror = Mirror(files)
    with mirror.held() as root:
        yield mirror, root / PUSHED.lstrip("/")
    assert not root.exists()


def put(files: FileSystem, name: str, content: bytes, mode: int = 0o644) -> None:
    files.append(files.create(f"{PUSHED}/{name}", SHELL_USER, mode), content)


def test_what_is_pushed_is_shown_and_what_is_written_comes_back(files: FileSystem, shown: tuple[Mirror, Path]) -> None:
    mirror, folder = shown
    files.make_folder(f"{PUSHED}/a", SHELL_USER)
    put(files, "a/in", b"in", 0o755)
    mirror.agree()
    assert (folder / "a" / "in").read_bytes() == b"in" and (folder / "a" / "in").stat().st_mode & 0o777 == 0o755
    inode = (folder / "a" / "in").stat().st_ino
    (folder / "a" / "out").write_bytes(b"out")
    mirror.agree()
    assert files.read(f"{PUSHED}/a/out", SHELL_USER) == b"out"
    assert (folder / "a" / "in").stat().st_ino == inode, "what nobody changed stays the same file, and keeps its locks"


def test_what_is_removed_on_one_side_goes_on_the_other(files: FileSystem, shown: tuple[Mirror, Path]) -> None:
    mirror, folder = shown
    for name in ("a", "a/b"):
        files.make_folder(f"{PUSHED}/{name}", SHELL_USER)
    put(files, "a/b/c", b"c")
    put(files, "d", b"d")
    mirror.agree()
    (folder / "a" / "b" / "c").unlink()
    (folder / "a" / "b").rmdir()
    (folder / "a").rmdir()
    files.remove(f"{PUSHED}/d", SHELL_USER)
    mirror.agree()
    assert files.names(PUSHED, SHELL_USER) == [] and list(folder.iterdir()) == []


def test_links_that_a_program_makes_lead_nowhere(files: FileSystem, shown: tuple[Mirror, Path], tmp_path: Path) -> None:
    mirror, folder = shown
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder").symlink_to(tmp_path)
    mirror.agree()
    assert files.names(PUSHED, SHELL_USER) == []
    put(files, "link", b"mine")
    mirror.agree()
    assert (tmp_path / "secret").read_bytes() == b"secret"


NAMES = st.sampled_from(["a", "b", "f/a", "f/b"])
STEPS = st.lists(st.tuples(st.booleans(), NAMES, st.one_of(st.none(), st.binary(max_size=6))), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_after_any_changes_both_sides_are_equal(steps: list[tuple[bool, str, bytes | None]]) -> None:
    """Each change is made on one side, and is what both sides have afterwards."""
    files = Phone(load_phone("pixel4")).files
    files.make_folder(f"{PUSHED}/f", SHELL_USER)
    mirror, wanted = Mirror(files), dict[str, bytes]()
    with mirror.held() as root:
        folder = root / PUSHED.lstrip("/")
        for on_phone, name, content in steps:
            if content is None:
                wanted.pop(name, None)
                if on_phone and files.may(f"{PUSHED}/{name}", SHELL_USER, 4):
                    files.remove(f"{PUSHED}/{name}", SHELL_USER)
                else:
                    (folder / name).unlink(missing_ok=True)
            else:
                wanted[name] = content
                if on_phone:
                    put(files, name, content)
                else:
                    (folder / name).write_bytes(content)
            mirror.agree()
            there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
            assert there == wanted
            assert {name: bytes(files.read(f"{PUSHED}/{name}", SHELL_USER)) for name in wanted} == wanted
            assert len(files.names(PUSHED, SHELL_USER)) == 1 + sum("/" not in name for name in wanted)


@pytest.mark.parametrize(
    ("words", "folder", "expected"),
    [
        (["./a", "b"], "/data/local/tmp/x", ["./a", "b"]),
        (["/data/local/tmp/x/y"], "/data/local/tmp/x", ["y"]),
        (["/data/local/tmp/x"], "/", ["data/local/tmp/x"]),
        (["../y", "../../../../../../y"], "/data/local/tmp", ["../y", "../../../y"]),
        (["--model=/data/local/tmp/m", "-x=../m", "--o=--x"], "/data/local/tmp", ["--model=m", "-x=../m", "--o=--x"]),
        (["/dev/null", "/dev/sda", "", "a..b"], "/data", ["/dev/null", "../dev/sda", "", "a..b"]),
    ],
)
def test_paths_lead_into_the_folder(words: list[str], folder: str, expected: list[str]) -> None:
    assert shown_words(words, folder) == expected


@given(st.lists(st.sampled_from(["..", ".", "a", "data", "local", "tmp", "etc", ""]), max_size=12), st.booleans())
def test_no_path_leads_out_of_the_folder(parts: list[str], absolute: bool) -> None:
    (word,) = shown_words([("/" if absolute else "") + "/".join(parts)], "/data/local/tmp")
    depth = 3
    for part in word.split("/"):
        depth += -1 if part == ".." else int(part not in ("", "."))
        assert depth >= 0 and not word.startswith("/")

"""Results go to stdout, all else to stderr, and foreign text moves no cursor."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketnas.cli._screen import Screen, fail, table
from pocketnas.cli._text import inert

HOSTILE = "Pixel\x1b[2J\x1b]0;owned\x07 [/bold] [red]8\r\n\u202e\ud800 <script>"


@given(st.text(max_size=60) | st.text(alphabet="\x00\x1b\x7f\x9b\u200b\u202e\n\r\t ab", max_size=60))
@settings(max_examples=200, deadline=None)
def test_inert_text_is_printable_and_on_one_line(text: str) -> None:
    shown = inert(text)
    assert all(character.isprintable() for character in shown)
    shown.encode("utf-8")


@given(st.text(alphabet="abc ÄΩ中", max_size=60))
@settings(max_examples=50, deadline=None)
def test_inert_leaves_ordinary_text_alone(text: str) -> None:
    assert inert(text) == text


def test_endless_text_is_cut() -> None:
    assert len(inert("x" * 50_000_000)) == 400


def test_json_goes_to_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)
    screen.note("measuring")
    screen.show("a table")
    screen.document({"device": HOSTILE})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"device": HOSTILE} and out.isascii() and "\x1b" not in out
    assert err == ""


def test_results_for_people_go_to_stdout_and_notes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.note("measuring")
    screen.show(table("devices", ["name"], [["host"]]))
    screen.document({"never": "seen"})
    out, err = capsys.readouterr()
    assert "host" in out and "never" not in out
    assert err == "measuring\n"


def test_tables_show_foreign_text_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().show(table(HOSTILE, ["name"], [[HOSTILE]]), HOSTILE)
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\r" not in out and "\x07" not in out
    assert out.count(r"Pixel\x1b[2J\x1b]0;owned\x07 [/bold] [red]8\r\n") == 3


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    fail(f"device {HOSTILE}: gone\nand more")
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and "\x1b" not in err


def test_progress_ends_with_one_line_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    with screen.progress("measuring kernels") as advance:
        for done in range(1, 4):
            advance(done, 3)
    err = capsys.readouterr().err
    assert err.startswith("measuring kernels (3): ") and err.count("\n") == 1


def test_progress_is_silent_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(as_json=True).progress("measuring") as advance:
        advance(1, 1)
    assert capsys.readouterr() == ("", "")

"""`pocketnas parse`: its document, its words for people and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from pocketnas.cli import run
from pocketnas.cli.parse import Kind
from profiler.tool_outputs import PARSERS

LOG = (
    "Inference timings in us: Init: 5, First inference: 9, Warmup (avg): 8, Inference (avg): 2.5\n"
    "node type, first, avg_ms, %, cdf%, mem KB, times called, name\n"
    "CONV [2J [/x], 1.5, 1.25, 100%, 100%, 0, 2, [<script>]:0\n\n"
)


def test_kinds_are_the_readers() -> None:
    assert set(get_args(Kind)) == set(PARSERS)


def test_document_of_benchmark_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a log.txt"
    file.write_text(LOG, encoding="utf-8")
    assert run(["parse", str(file), "--kind", "benchmark_model", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (benchmark,) = said["runs"]
    contract = ("inference_avg_us", "count", "init_us", "first_us", "warmup_avg_us")
    assert (said["complete"], said["failed"]) == (True, None)
    assert [benchmark[name] for name in contract] == [2.5, None, 5, 9, 8]
    assert benchmark["operators"] == [
        {"type": "CONV [2J [/x]", "name": "[<script>]:0", "avg_ms": 1.25, "times_called": 2}
    ]


def test_text_for_people_is_inert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log.txt"
    file.write_bytes(LOG.replace("[2J", "\x1b[2J\xff").encode("latin-1"))
    assert run(["parse", str(file), "--kind", "benchmark_model"]) == 0
    shown = capsys.readouterr().out
    assert "[<script>]:0" in shown and "2.5" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("kind", PARSERS)
def test_no_such_output_is_one_line_and_exit_code_2(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "empty.txt"
    file.write_bytes(b"")
    assert run(["parse", str(file), "--kind", kind, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {kind} output: ") and captured.err.count("\n") == 1


def test_files_and_kinds_that_are_not_there(tmp_path: Path) -> None:
    assert run(["parse", str(tmp_path / "absent"), "--kind", "df"]) == 2
    assert run(["parse", str(tmp_path), "--kind", "df"]) == 2
    assert run(["parse", str(tmp_path / "absent"), "--kind", "weather"]) == 2

"""result.json is written whole, read back equal, and refused in one clear sentence when it is not one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pocketnas.result import SearchResult
from profiler.errors import ConfigError, SchemaMismatchError
from tests.pocketnas.sample_result import sample_result


def test_round_trip(tmp_path: Path) -> None:
    result = sample_result()
    path = result.save(tmp_path)
    assert SearchResult.load(tmp_path) == result
    assert list(tmp_path.iterdir()) == [path]


def test_file_holds_the_fields_that_scripts_rely_on(tmp_path: Path) -> None:
    document = json.loads(sample_result().save(tmp_path).read_text())
    assert document["schema"] == 1
    assert {"device", "source", "budget_ms", "finalists", "dropped"} <= document.keys()
    assert {
        "name",
        "tflite",
        "onnx",
        "accuracy",
        "predicted_ms",
        "predicted_low_ms",
        "predicted_high_ms",
        "measured_ms",
        "measured_low_ms",
        "measured_high_ms",
        "verdict",
        "reasons",
        "on_front",
    } <= document["finalists"][0].keys()
    assert document["data"]["pixel_range"] == [0.0, 1.0] and document["data"]["normalisation"].startswith("none")
    assert len(document["data"]["class_names"]) == document["data"]["classes"]


def test_files_from_before_a_field_was_added_are_read(tmp_path: Path) -> None:
    document = json.loads(sample_result().save(tmp_path).read_text())
    for finalist in document["finalists"]:
        for added in ("verdict", "reasons", "on_front"):
            del finalist[added]
    for added in ("pixel_range", "class_names"):
        del document["data"][added]
    (tmp_path / "result.json").write_text(json.dumps(document))
    read = SearchResult.load(tmp_path)
    assert read.finalists[0].verdict is None and read.data.pixel_range == (0.0, 1.0)


def test_missing_result_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pocketnas verify"):
        SearchResult.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": 1, "device": 3}', "\x00"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ConfigError, match=r"result\.json"):
        SearchResult.load(tmp_path)


def test_other_schema_is_named(tmp_path: Path) -> None:
    document = sample_result().to_json() | {"schema": 2}
    (tmp_path / "result.json").write_text(json.dumps(document))
    with pytest.raises(SchemaMismatchError, match="found 2, expected 1"):
        SearchResult.load(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        SearchResult.load(tmp_path)

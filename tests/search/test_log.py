from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import pytest

from profiler.errors import ConfigError
from search.errors import CheckpointError
from search.log import LOG_NAME, SearchLog
from search.progress import SearchProgress
from search.state import GenerationRecord


def progress(step: int, *, warmup: int = 2, loss: float = 0.5, run: int = 0) -> SearchProgress:
    """A step of a search that warms up first; `run` tells two runs' numbers apart."""
    record = None
    if step > warmup:
        record = GenerationRecord(step - warmup, 8, 6, 3, 0.1 * step + 0.001 * run, 0.05 * step)
    return SearchProgress(step, 10, record, loss, 1.5 * step, 3.0, dropped=step, measured=2 * step)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LOG_NAME).read_text().splitlines()]


def write(folder: Path, steps: range, run: int = 0) -> None:
    with SearchLog(folder) as log:
        for step in steps:
            log.on_step(progress(step, run=run))


def test_each_step_is_one_line_that_is_there_at_once(tmp_path: Path) -> None:
    with SearchLog(tmp_path / "run", learning_rate=lambda: 0.25) as log:
        for step in (1, 2, 3):
            log.on_step(progress(step))
            assert [line["step"] for line in lines(tmp_path / "run")] == [*range(1, step + 1)]
    first, _, third = lines(tmp_path / "run")
    assert first["generation"] is None and first["hypervolume"] is None and first["loss"] == 0.5
    assert third["generation"] == 1 and third["hypervolume"] == pytest.approx(0.3) and third["front_size"] == 3
    assert third["dropped"] == 3 and third["measured"] == 6 and third["learning_rate"] == 0.25
    assert first.keys() == third.keys()


def test_a_loss_that_is_not_finite_is_null(tmp_path: Path) -> None:
    with SearchLog(tmp_path) as log:
        log.on_step(progress(1, loss=math.nan))
    assert lines(tmp_path)[0]["loss"] is None


@pytest.mark.parametrize("tail", ["", '{"step": 7, "hyp', "null\n", "\x00\x00\n", '{"step": "8"}\n'])
def test_a_resumed_search_cuts_the_log_back_and_goes_on(tmp_path: Path, tail: str) -> None:
    write(tmp_path, range(1, 7))
    with (tmp_path / LOG_NAME).open("a") as file:
        file.write(tail)
    write(tmp_path, range(5, 9), run=1)
    assert [line["step"] for line in lines(tmp_path)] == [*range(1, 9)]
    values = [line["hypervolume"] for line in lines(tmp_path)]
    assert values[2:] == pytest.approx([0.3, 0.4, 0.501, 0.601, 0.701, 0.801])


def test_a_half_written_line_before_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    write(tmp_path, range(1, 4))
    content = (tmp_path / LOG_NAME).read_bytes()
    (tmp_path / LOG_NAME).write_bytes(content[:-10])
    write(tmp_path, range(5, 6))
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 5]


def test_a_new_search_in_an_old_folder_starts_a_new_log(tmp_path: Path) -> None:
    write(tmp_path, range(1, 4))
    write(tmp_path, range(1, 2))
    assert [line["step"] for line in lines(tmp_path)] == [1]


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / LOG_NAME).mkdir()
    with SearchLog(tmp_path) as log, pytest.raises(CheckpointError, match=r"progress\.jsonl.*cannot be written"):
        log.on_step(progress(1))


def test_event_files_hold_every_scalar_and_a_resumed_run_hides_what_it_does_again(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for steps, run in ((range(1, 7), 0), (range(5, 9), 1)):
        with SearchLog(tmp_path, tensorboard=tmp_path / "events", learning_rate=lambda: 0.125) as log:
            for step in steps:
                log.on_step(progress(step, run=run))
    reader = accumulator.EventAccumulator(str(tmp_path / "events"))
    reader.Reload()
    assert set(reader.Tags()["scalars"]) == {
        "front/hypervolume",
        "front/size",
        "front/best_accuracy_under_budget",
        "population/feasible",
        "population/evaluated",
        "population/dropped",
        "population/measured_on_devices",
        "training/loss",
        "training/learning_rate",
    }
    found = [(event.step, event.value) for event in reader.Scalars("front/hypervolume")]
    assert [step for step, _ in found] == [3, 4, 5, 6, 7, 8]
    assert [value for _, value in found] == pytest.approx([0.3, 0.4, 0.501, 0.601, 0.701, 0.801])
    assert [event.step for event in reader.Scalars("training/loss")] == [*range(1, 9)]


def test_event_files_without_the_package_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'pocketnas\[tensorboard\]'") as caught:
        SearchLog(tmp_path, tensorboard=tmp_path)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
    SearchLog(tmp_path).close()

"""The checkpoint file: whole or not there, of this search or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from profiler.errors import SchemaMismatchError
from search.checkpoint import SCHEMA, Checkpoint, read_checkpoint, write_checkpoint
from search.errors import CheckpointError
from search.state import State, rng_state, state_to_json
from tests.search._toy import ToyGenotype, ToySpace

IDENTITY = {"space": "toy", "seed": "3"}
ARRAYS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "epochs": np.array(7),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 2)),
}


def state(step: int = 2) -> State[ToyGenotype]:
    return State(step, (), rng_state(np.random.default_rng(0)), (1.0,))


def written(path: Path, step: int = 2) -> Path:
    write_checkpoint(path, Checkpoint(IDENTITY, state(step), ARRAYS), ToySpace())
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    found = read_checkpoint(written(tmp_path / "c"), IDENTITY, ToySpace())
    assert found is not None
    assert found.state == state()
    assert found.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype


def test_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "c", IDENTITY, ToySpace()) is None


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "c")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="No space left") as caught:
        written(path, step=3)
    assert caught.value.path == path
    found = read_checkpoint(path, IDENTITY, ToySpace())
    assert found is not None
    assert found.state.step == 2


@pytest.mark.parametrize(("key", "value"), [("seed", "4"), ("space", "other")])
def test_another_search_is_refused_by_what_differs(tmp_path: Path, key: str, value: str) -> None:
    path = written(tmp_path / "c")
    with pytest.raises(CheckpointError, match=f"{key} '{IDENTITY[key]}', not '{value}'"):
        read_checkpoint(path, IDENTITY | {key: value}, ToySpace())


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(save({}, metadata={"schema": str(SCHEMA + 1), "state": "of the future"}))
    with pytest.raises(SchemaMismatchError, match="newer pocketnas") as caught:
        read_checkpoint(path, IDENTITY, ToySpace())
    assert (caught.value.found, caught.value.expected) == (SCHEMA + 1, SCHEMA)


def test_an_older_schema_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(save({}, metadata={"schema": str(SCHEMA - 1), "identity": "{}", "state": "{}"}))
    with pytest.raises(SchemaMismatchError, match="older pocketnas; start anew") as caught:
        read_checkpoint(path, IDENTITY, ToySpace())
    assert caught.value.found == SCHEMA - 1


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"schema": "one"},
        {"schema": str(SCHEMA), "identity": "{"},
        {"schema": str(SCHEMA), "identity": "[]", "state": "{}"},
        {"schema": str(SCHEMA), "identity": '{"space": "toy", "seed": "3"}', "state": "{}"},
        {"schema": str(SCHEMA), "identity": '{"space": "toy", "seed": "3"}', "state": "[]"},
    ],
)
def test_a_file_with_other_contents_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    path = tmp_path / "c"
    path.write_bytes(save({}, metadata=metadata))
    with pytest.raises(CheckpointError):
        read_checkpoint(path, IDENTITY, ToySpace())


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95 a pickle", b"\xff" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path, IDENTITY, ToySpace())


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "c")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path, IDENTITY, ToySpace())


def test_individuals_of_a_broken_state_are_refused(tmp_path: Path) -> None:
    text = state_to_json(state(), ToySpace()).replace('"population": []', '"population": [{"genotype": 3}]')
    path = tmp_path / "c"
    path.write_bytes(
        save({}, metadata={"schema": str(SCHEMA), "identity": '{"space": "toy", "seed": "3"}', "state": text})
    )
    with pytest.raises(CheckpointError):
        read_checkpoint(path, IDENTITY, ToySpace())

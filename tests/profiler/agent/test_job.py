"""Job files hold what the agent reads, and orders are those that it runs."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.agent import AgentJob, AgentModel, FrameReader, PlannedBlock, RandomWeights
from profiler.agent.order import Execution, executions, shuffle, splitmix64
from profiler.errors import ConfigError

MODEL = AgentModel((RandomWeights(7, 0.25), b"\1\2\3"), "7767517\n")


def test_a_job_is_as_it_is_written_down() -> None:
    job = AgentJob("ncnn", "fp16", [MODEL, AgentModel((b"x",))], [PlannedBlock(1, 2, 3), PlannedBlock(0, 0, 9, True)],
                   threads=2, mask=0xF0, seed=5, references=1, time_limit_s=1.5)  # fmt: skip
    reader = FrameReader()
    frames = list(reader.frames(job.to_bytes()))
    reader.finish()
    assert [frame.kind for frame in frames] == [1, 2, 2, 3, 4]
    said = dict(line.split(" ", 1) for line in frames[0].payload.decode().splitlines())
    assert said["schema"] == "1" and said["engine"] == "ncnn" and said["precision"] == "fp16"
    assert said["mask"] == "f0" and said["threads"] == "2" and said["seed"] == "5" and said["references"] == "1"
    assert float(said["time_limit_s"]) == 1.5 and "delegate" not in said
    assert frames[1].payload == (
        struct.pack("<I", 8) + b"7767517\n" + struct.pack("<IIf", 1, 7, 0.25) + struct.pack("<II", 0, 3) + b"\1\2\3"
    )
    assert frames[2].payload == struct.pack("<III", 0, 0, 1) + b"x"
    assert frames[3].payload == struct.pack("<8I", 1, 2, 3, 0, 0, 0, 9, 1)
    assert frames[4].payload == struct.pack("<II", 2, 2)


def test_litert_takes_a_delegate() -> None:
    assert b"\ndelegate builtin\n" in AgentJob("litert", "builtin", [MODEL], [PlannedBlock(0, 0, 1)]).to_bytes()


@pytest.mark.parametrize("block", [PlannedBlock(1, 0, 1), PlannedBlock(0, -1, 1), PlannedBlock(0, 0, 0)])
def test_blocks_that_cannot_be_are_refused(block: PlannedBlock) -> None:
    with pytest.raises(ConfigError):
        AgentJob("ncnn", "fp32", [MODEL], [block])


def test_numbers_are_those_of_splitmix64() -> None:
    numbers = splitmix64(1234567)
    # Source: https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    assert [next(numbers) for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 20), st.integers(0, 2**63))
def test_shuffling_loses_nothing_and_repeats_itself(count: int, seed: int) -> None:
    one, other = list(range(count)), list(range(count))
    shuffle(one, seed)
    shuffle(other, seed)
    assert sorted(one) == list(range(count)) and one == other


def test_references_stand_before_the_first_block_and_after_each() -> None:
    walk = executions(4, references=2, rounds=2, order="given", seed=0)
    assert [one.entry for one in walk] == [0, 1, 2, 0, 1, 3, 0, 1] * 2
    assert [one.position for one in walk] == list(range(16))
    assert walk[8] == Execution(8, 1, 0)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 3), st.integers(0, 6), st.integers(1, 3), st.integers(0, 99))
def test_each_block_runs_once_a_round(references: int, others: int, rounds: int, seed: int) -> None:
    walk = executions(references + others, references=references, rounds=rounds, order="shuffled", seed=seed)
    for round_ in range(rounds):
        run = [one.entry for one in walk if one.round == round_]
        assert sorted(entry for entry in run if entry >= references) == list(range(references, references + others))
        assert all(run.count(entry) == others + 1 for entry in range(references))

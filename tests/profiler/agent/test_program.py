"""The real program: what it measures, in which order, and what it says of bad models and odd devices."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.agent import AgentBuild, AgentModel, PlannedBlock, RandomWeights
from profiler.agent.records import DONE, TIME_LIMIT
from profiler.agent.toolchains import Engine, Target
from tests.profiler.agent.program_runs import LONG_RUN, Program, convolution, edited, job_of, relu

pytestmark = pytest.mark.agent


@pytest.fixture
def program(real_agent: Callable[[Engine, Target], AgentBuild], tmp_path: Path) -> Program:
    """The ncnn program of this computer, in an empty folder."""
    return Program(real_agent("ncnn", "x86_64").path, tmp_path)


def test_version_names_program_engine_and_target(program: Program) -> None:
    said = subprocess.run([program.path, "--version"], capture_output=True, text=True, check=True).stdout.split()
    assert said[:3] == ["pocketnas-agent", "1", "ncnn"] and said[4:] == ["x86_64"]


@pytest.mark.parametrize(
    "words",
    [[], ["run"], ["run", "a"], ["run", "a", "b", "--from"], ["run", "a", "b", "--from", "-1"], ["go", "a", "b"]],
)
def test_wrong_words_are_refused(program: Program, words: list[str]) -> None:
    done = subprocess.run([program.path, *words], capture_output=True, check=False)
    assert done.returncode == 2 and not done.stdout and b"use:" in done.stderr


def test_every_execution_of_a_job_has_a_block_in_its_place(program: Program) -> None:
    job = job_of(
        [convolution(4), convolution(8), relu(), convolution(16)],
        [PlannedBlock(0, 2, 5), PlannedBlock(1, 2, 6), *(PlannedBlock(index, 1, 2 + index) for index in range(4))],
        rounds=3,
        order="shuffled",
        seed=2**63 + 5,
        references=2,
    )
    program.put(job)
    outcome = program.run()
    assert outcome.code == 0 and outcome.end.reason == DONE and outcome.end.errors == 0
    due = [(one.position, one.round, one.entry) for one in job.executions()]
    assert [(one.position, one.round, one.entry) for one in outcome.blocks] == due
    assert all(len(one.samples_ns) == job.blocks[one.entry].runs for one in outcome.blocks)
    assert all(sample > 0 for one in outcome.blocks for sample in one.samples_ns)
    assert outcome.hello.positions == len(due) == outcome.end.blocks
    started = [one.started_unix_ns for one in outcome.blocks]
    assert started == sorted(started) and abs(started[-1] / 1e9 - time.time()) < 60
    assert program.stored() == outcome.records


def test_larger_models_take_longer(program: Program) -> None:
    program.put(job_of([convolution(4, 8), convolution(64, 32)], rounds=3))
    blocks = program.run().blocks
    small, large = (min(min(one.samples_ns) for one in blocks if one.entry == entry) for entry in (0, 1))
    assert large > 10 * small


def test_warm_up_goes_on_until_runs_get_no_faster(program: Program) -> None:
    plan = [PlannedBlock(0, 0, 1), PlannedBlock(1, 1, 1), PlannedBlock(2, 25, 1)]
    program.put(job_of([convolution()] * 3, plan, warmup_most_s=2.0, warmup_tolerance=0.5))
    none, some, many = (one.warmup_runs for one in program.run().blocks)
    assert none == 0 and some >= 4 and 25 <= many < 1000


def test_models_that_stayed_loaded_are_warm(program: Program) -> None:
    plan = [PlannedBlock(0, 1, 1), PlannedBlock(1, 1, 1), PlannedBlock(0, 1, 1), PlannedBlock(0, 3, 1)]
    program.put(job_of([convolution()] * 2, plan, warmup_most_s=2.0, warmup_tolerance=0.5))
    first, other, again, more = (one.warmup_runs for one in program.run().blocks)
    assert (again, more) == (1, 3) and first >= 4 and other >= 4


def test_warm_up_ends_when_its_time_is_over(program: Program) -> None:
    program.put(job_of([convolution()], [PlannedBlock(0, 3, 1)], warmup_most_s=0.0))
    assert program.run().blocks[0].warmup_runs == 3


def test_profiled_blocks_tell_each_layer(program: Program) -> None:
    program.put(job_of([convolution(32, 32)], [PlannedBlock(0, 2, 4, profiled=True)]))
    (block,) = program.run().blocks
    assert [(one.name, one.kind, len(one.ns)) for one in block.operators] == [
        ("conv", "Convolution", 4),
        ("relu", "ReLU", 4),
    ]
    for run, whole_ns in enumerate(block.samples_ns):
        assert 0 < sum(one.ns[run] for one in block.operators) <= whole_ns


@pytest.mark.parametrize("shape", ["0=7", "0=7 1=5", "0=7 1=5 2=3", "0=7 1=5 2=3 11=2"])
def test_inputs_of_every_rank_run(program: Program, shape: str) -> None:
    program.put(job_of([relu(shape)]))
    assert program.run().code == 0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_precisions_and_threads_run(program: Program, precision: str, threads: int) -> None:
    program.put(job_of([convolution(16)], accelerator=precision, threads=threads))
    outcome = program.run()
    assert outcome.code == 0 and outcome.hello.threads == threads


def test_mask_binds_to_its_cores(program: Program) -> None:
    core = max(os.sched_getaffinity(0))
    program.put(job_of([convolution()], mask=1 << core, rounds=3))
    outcome = program.run()
    assert {one.core for one in outcome.blocks} == {core} and outcome.hello.mask == 1 << core


def test_mask_without_online_cores_is_refused(program: Program) -> None:
    program.put(job_of([convolution()], mask=1 << 63))
    outcome = program.run()
    assert outcome.code == 2 and outcome.reasons == ["NO_CORES"] and outcome.errors[0].of_job


BAD_MODELS: dict[str, tuple[AgentModel, str, str]] = {
    "no text": (AgentModel(()), "INVALID_MODEL", "param"),
    "another magic": (AgentModel((), "1\n1 1\nInput in 0 1 a 0=1\n"), "INVALID_MODEL", "param"),
    "fewer layers": (AgentModel((), "7767517\n4 4\nInput in 0 1 a 0=4\nReLU r 1 1 a b\n"), "INVALID_MODEL", "param"),
    "unknown layer": (AgentModel((), "7767517\n2 2\nInput in 0 1 a 0=4\nWarp odd 1 1 a b\n"), "UNSUPPORTED", "Warp"),
    "no input": (AgentModel((), "7767517\n1 2\nReLU r 1 1 a b\n"), "INVALID_MODEL", "input"),
    "no shape": (relu(""), "INVALID_MODEL", "shape"),
    "negative shape": (relu("0=4 1=-4"), "INVALID_MODEL", "shape"),
    "weights missing": (replace(convolution(), segments=()), "INVALID_MODEL", "weights"),
    "weights cut": (replace(convolution(), segments=convolution().segments[:2]), "INVALID_MODEL", "weights"),
    "weights left": (replace(relu(), segments=(b"more",)), "INVALID_MODEL", "more weights"),
    "blob missing": (
        AgentModel((), "7767517\n2 3\nInput in 0 1 a 0=4\nReLU r 1 1 z b\n"),
        "INVALID_MODEL",
        "cannot compute",
    ),
}


@pytest.mark.parametrize("bad", BAD_MODELS)
def test_bad_models_fail_alone(program: Program, bad: str) -> None:
    model, reason, detail = BAD_MODELS[bad]
    program.put(job_of([relu(), model, relu()]))
    outcome = program.run()
    assert outcome.code == 1 and outcome.reasons == [reason] and detail in outcome.errors[0].detail
    assert [one.position for one in outcome.blocks] == [0, 2] and outcome.errors[0].position == 1
    assert outcome.end.errors == 1 and outcome.end.blocks == 2


def test_models_larger_than_the_memory_fail_alone(program: Program) -> None:
    weights = RandomWeights(2**32 - 1, 0.1)
    huge = replace(convolution(), segments=(*convolution().segments, *[weights] * 40))
    wide = relu("0=400000 1=400000 2=1")
    program.put(job_of([relu(), huge, wide, relu()]))
    outcome = program.run()
    assert outcome.code == 1 and outcome.reasons == ["OUT_OF_MEMORY"] * 2
    assert [one.position for one in outcome.blocks] == [0, 3]
    assert outcome.end.peak_rss_bytes < 200e6


def test_a_failing_reference_fails_each_time(program: Program) -> None:
    program.put(job_of([relu("0=0"), relu(), relu()], references=1))
    outcome = program.run()
    assert [one.position for one in outcome.errors] == [0, 2, 4] and len(outcome.blocks) == 2


def test_time_limit_ends_the_job(program: Program) -> None:
    program.put(job_of([convolution(64, 64)], [PlannedBlock(0, 1, 100)], rounds=10_000, time_limit_s=0.5))
    began_s = time.monotonic()
    outcome = program.run()
    assert outcome.code == 3 and outcome.end.reason == TIME_LIMIT and time.monotonic() - began_s < 5
    assert outcome.end.blocks == len(outcome.blocks) and outcome.end.elapsed_s == pytest.approx(0.5, abs=0.4)


def test_a_job_for_another_engine_is_refused(program: Program) -> None:
    program.put(job_of([AgentModel((b"model",))], engine="litert", accelerator="xnnpack"))
    outcome = program.run()
    assert outcome.code == 2 and outcome.reasons == ["BAD_JOB"] and "litert" in outcome.errors[0].detail


def test_missing_library_is_refused(real_agent: Callable[[Engine, Target], AgentBuild], tmp_path: Path) -> None:
    program = Program(real_agent("litert", "x86_64").path, tmp_path)
    program.put(job_of([AgentModel((b"model",))], engine="litert", accelerator="xnnpack"))
    outcome = program.run("--library", str(tmp_path / "libLiteRt.so"))
    assert outcome.code == 2 and outcome.reasons == ["NO_LIBRARY"] and outcome.errors[0].of_job


def test_library_without_the_functions_is_refused(
    real_agent: Callable[[Engine, Target], AgentBuild], tmp_path: Path
) -> None:
    program = Program(real_agent("litert", "x86_64").path, tmp_path)
    program.put(job_of([AgentModel((b"model",))], engine="litert", accelerator="xnnpack"))
    outcome = program.run("--library", "libm.so.6")
    assert outcome.reasons == ["NO_LIBRARY"] and "LiteRt" in outcome.errors[0].detail


class Sysfs:
    """What the kernel tells of zones and frequencies, as files of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def zone(self, index: int, name: str, millidegrees: int) -> Path:
        """Have a thermal zone."""
        zone = self.folder / "class" / "thermal" / f"thermal_zone{index}"
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "type").write_text(f"{name}\n")
        (zone / "temp").write_text(f"{millidegrees}\n")
        return zone / "temp"

    def khz(self, now: int, most: int) -> None:
        """Have all cores run at a frequency."""
        for core in os.sched_getaffinity(0):
            folder = self.folder / "devices" / "system" / "cpu" / f"cpu{core}" / "cpufreq"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "scaling_cur_freq").write_text(f"{now}\n")
            (folder / "cpuinfo_max_freq").write_text(f"{most}\n")


@pytest.fixture
def sysfs(tmp_path: Path) -> Sysfs:
    """An empty one."""
    return Sysfs(tmp_path / "sys")


def test_temperatures_and_frequencies_stand_beside_blocks(program: Program, sysfs: Sysfs) -> None:
    sysfs.zone(0, "cpu-0", 41_500)
    sysfs.zone(1, "battery, main", -2_000)
    sysfs.khz(1_800_000, 2_400_000)
    program.put(job_of([relu()], temperature_limit_c=60, frequency_share=0.7, cooldown_s=1))
    outcome = program.run("--sysfs", str(sysfs.folder))
    (block,) = outcome.blocks
    assert len(outcome.hello.zones) == 2 and outcome.hello.zones[0] == "cpu-0"
    assert block.millidegrees == (41_500, -2_000) and block.khz == (1_800_000, 1_800_000) and block.cooled_ns == 0


def test_blocks_of_a_hot_device_fail(program: Program, sysfs: Sysfs) -> None:
    sysfs.zone(0, "cpu-0", 71_000)
    sysfs.zone(1, "current", 900_000)  # no temperature: hotter than any chip
    program.put(job_of([relu(), relu()], temperature_limit_c=70, cooldown_s=0))
    outcome = program.run("--sysfs", str(sysfs.folder))
    assert outcome.code == 1 and outcome.reasons == ["THROTTLED"] * 2 and "71 degrees" in outcome.errors[0].detail


def test_blocks_of_a_slow_core_fail(program: Program, sysfs: Sysfs) -> None:
    sysfs.khz(800_000, 2_400_000)
    program.put(job_of([relu()], frequency_share=0.5, cooldown_s=0.1))
    outcome = program.run("--sysfs", str(sysfs.folder))
    assert outcome.reasons == ["THROTTLED"] and "800000 kHz" in outcome.errors[0].detail


def test_a_device_that_cools_down_goes_on(program: Program, sysfs: Sysfs) -> None:
    temperature = sysfs.zone(0, "cpu-0", 71_000)
    program.put(job_of([relu()], temperature_limit_c=70, cooldown_s=30))
    with subprocess.Popen(program.words("--sysfs", str(sysfs.folder)), stdout=subprocess.DEVNULL) as process:
        time.sleep(0.3)
        temperature.write_text("60000\n")
        assert process.wait(timeout=10) == 0
    block = program.stored()[1]
    assert 0.2e9 < block.cooled_ns < 5e9  # type: ignore[union-attr]


def test_unknown_settings_are_refused_by_name(program: Program) -> None:
    job = edited(
        job_of([relu()]).to_bytes(),
        lambda frames: [replace(frames[0], payload=frames[0].payload + b"turbo on\n"), *frames[1:]],
    )
    program.put(job)
    outcome = program.run()
    assert outcome.code == 2 and outcome.reasons == ["BAD_JOB"] and "turbo" in outcome.errors[0].detail


def test_a_long_run_is_measured_whole(program: Program) -> None:
    program.put(job_of([convolution(LONG_RUN // 4, 64)], [PlannedBlock(0, 0, 1)]))
    assert program.run().blocks[0].samples_ns[0] > 1e6

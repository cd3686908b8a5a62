"""The real program with LiteRT: its models, its profiler, and a processor that is not what it was built for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from profiler import zoo
from profiler.agent import AgentBuild, AgentModel, PlannedBlock
from profiler.agent.toolchains import Engine, Target
from profiler.formats import Quantization, write_tflite
from tests.profiler.agent.program_runs import Program, job_of

pytestmark = pytest.mark.agent
SOURCES = Path(__file__).parents[3] / "agent"

litert_job = partial(job_of, engine="litert", accelerator="xnnpack")


@pytest.fixture
def build(real_agent: Callable[[Engine, Target], AgentBuild]) -> AgentBuild:
    """LiteRT's program of this computer."""
    return real_agent("litert", "x86_64")


@pytest.fixture(scope="module")
def models() -> list[AgentModel]:
    """A small MobileNetV2 in float32 and in int8."""
    network = zoo.mobilenet_v2(32, 0.35, 10).with_random_weights(np.random.default_rng(0))
    files = write_tflite(network), write_tflite(network, quantization=Quantization.nominal(network))
    return [AgentModel((content,)) for content in files]


def test_networks_run_in_float32_and_int8(build: AgentBuild, models: list[AgentModel], tmp_path: Path) -> None:
    program = Program(build.path, tmp_path)
    program.put(litert_job(models, rounds=2, references=1))
    outcome = program.run("--library", str(build.library))
    assert outcome.code == 0 and [one.entry for one in outcome.blocks] == [0, 1, 0] * 2
    assert outcome.hello.engine == "litert" and outcome.hello.engine_version == build.engine_version


@pytest.mark.parametrize(("delegate", "kind"), [("xnnpack", "Convolution (NHWC, F32) IGEMM"), ("builtin", "CONV_2D")])
def test_profiles_name_each_operator(
    build: AgentBuild, models: list[AgentModel], tmp_path: Path, delegate: str, kind: str
) -> None:
    program = Program(build.path, tmp_path)
    program.put(litert_job(models[:1], [PlannedBlock(0, 3, 4, profiled=True)], accelerator=delegate))
    (block,) = program.run("--library", str(build.library)).blocks
    assert len(block.operators) > 60 and block.operators[0].kind == kind and block.operators[0].name == f"0:{kind}"
    for run, whole_ns in enumerate(block.samples_ns):
        assert sum(one.ns[run] for one in block.operators) < 1.05 * whole_ns


def test_files_that_are_no_models_fail_alone(build: AgentBuild, models: list[AgentModel], tmp_path: Path) -> None:
    program = Program(build.path, tmp_path)
    content = models[0].segments[0]
    assert isinstance(content, bytes)
    bad = [AgentModel((b"nonsense" * 50,)), AgentModel((content[:3000],)), AgentModel(())]
    program.put(litert_job([*bad, models[0]]))
    outcome = program.run("--library", str(build.library))
    assert outcome.code == 1 and outcome.reasons == ["INVALID_MODEL"] * 3
    assert [one.position for one in outcome.blocks] == [3]


def test_a_program_for_another_processor_is_refused(models: list[AgentModel], tmp_path: Path) -> None:
    sources = [str(path) for path in SOURCES.glob("*.cpp") if path.name != "engine_ncnn.cpp"]
    defines = ['-DPOCKETNAS_ENGINE_VERSION="0"', '-DPOCKETNAS_NEEDS_ISA="avx amx-of-mars"']
    path = tmp_path / "agent"
    subprocess.run(["g++", "-std=c++17", *defines, *sources, "-ldl", "-pthread", "-o", str(path)], check=True)
    program = Program(path, tmp_path)
    program.put(litert_job(models[:1]))
    outcome = program.run()
    assert outcome.code == 2 and outcome.reasons == ["UNKNOWN_ISA"] and "amx-of-mars" in outcome.errors[0].detail

"""Real builds: what they say they are, where they run, how large they are, and that they come out the same again."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.agent import AgentBuild, build_agent
from profiler.agent.cache import FOLDER_VARIABLE, cache_folder
from profiler.agent.sources import NCNN_TREE_SHA256, NCNN_VERSION, content_hash
from profiler.agent.toolchains import ENGINES, TARGETS, Engine, Target

pytestmark = pytest.mark.agent

RealAgent = Callable[[Engine, Target], AgentBuild]
MOST_BYTES = {"litert": 12_000_000, "ncnn": 6_000_000}
ABIS = {"aarch64": "arm64-v8a", "x86_64": "x86_64"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_phones_bundle_is_small_and_fits_all_pages(engine: Engine, real_agent: RealAgent) -> None:
    build = real_agent(engine, "aarch64")
    bundle = build.bundle()
    assert bundle.bytes == build.bundle_bytes <= MOST_BYTES[engine]
    for page_size in (4096, 16384, 65536):
        bundle.require_fits([ABIS["aarch64"]], page_size)
    assert all(part.version != "unknown" for part in build.parts)


@pytest.mark.parametrize("engine", ENGINES)
def test_program_for_this_computer_says_what_it_is(engine: Engine, real_agent: RealAgent) -> None:
    target: Target = next(target for target in TARGETS if target == platform.machine())
    _assert_says_what_it_is(real_agent(engine, target), [])


@pytest.mark.qemu
@pytest.mark.parametrize("processor", ["cortex-a53", "cortex-a76", "max"])
@pytest.mark.parametrize("engine", ENGINES)
def test_program_for_phones_says_what_it_is(engine: Engine, processor: str, real_agent: RealAgent) -> None:
    _assert_says_what_it_is(real_agent(engine, "aarch64"), ["qemu-aarch64-static", "-cpu", processor])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("engine", ENGINES)
def test_no_path_of_this_computer_is_in_a_program(engine: Engine, target: Target, real_agent: RealAgent) -> None:
    content = real_agent(engine, target).path.read_bytes()
    for path in (Path.cwd(), cache_folder(), Path.home()):
        assert os.fsencode(f"{path}/") not in content


def test_source_of_ncnn_is_what_was_recorded(real_agent: RealAgent) -> None:
    real_agent("ncnn", "aarch64")
    folder = cache_folder() / "sources" / f"ncnn-{NCNN_VERSION}-{NCNN_TREE_SHA256[:12]}"
    if folder.is_dir():  # a cache may hold programs without what they were made of
        assert content_hash((path for path in folder.rglob("*") if path.is_file()), folder) == NCNN_TREE_SHA256


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("engine", ENGINES)
def test_from_nothing_in_another_folder_it_comes_out_the_same(
    engine: Engine, target: Target, real_agent: RealAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = real_agent(engine, target)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "another, longer folder"))
    again = build_agent(engine, target, first.toolchain.split(" ")[0])  # type: ignore[arg-type]
    assert again.path != first.path
    assert again.sha256 == first.sha256


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("engine", ENGINES)
def test_zig_builds_for_phones(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(cache_folder().parent / "with zig"))
    build = build_agent(engine, "aarch64", "zig")
    assert build.bundle_bytes <= MOST_BYTES[engine]
    build.bundle().require_fits([ABIS["aarch64"]], 65536)
    for processor in ("cortex-a53", "cortex-a76", "max"):
        _assert_says_what_it_is(build, ["qemu-aarch64-static", "-cpu", processor])


def _assert_says_what_it_is(build: AgentBuild, run_by: list[str]) -> None:
    words = [*run_by, *(build.words or (f"./{build.path.name}",)), "--version"]
    done = subprocess.run(words, cwd=build.folder, capture_output=True, text=True, check=True)
    assert done.stdout == f"pocketnas-agent 1 {build.engine} {build.engine_version} {build.target}\n"

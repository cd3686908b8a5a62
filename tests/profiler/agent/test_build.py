"""What is built, kept and built again, with tools that only pretend."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from profiler.agent import AgentBuild, build_agent, built_agent, cached_builds
from profiler.agent.bundle import PROGRAM
from profiler.agent.cache import cache_folder
from profiler.errors import AgentBuildError, ConfigError


def test_a_build_says_what_it_is_and_is_kept(fake_tools: Path, cache: Path) -> None:
    build = build_agent("ncnn", "aarch64")
    assert build.path.read_bytes() == b"a program"
    assert (build.engine, build.target, build.toolchain, build.bytes) == ("ncnn", "aarch64", "gcc 12.2.0", 9)
    assert build.files == (PROGRAM,) and build.words == () and build.library is None
    assert {part.name: part.licence for part in build.parts}["ncnn"] == "BSD-3-Clause"
    assert all(part.version and part.licence for part in build.parts)
    described = json.loads((build.folder / "build.json").read_text(encoding="utf-8"))
    assert described["sha256"] == build.sha256

    calls = fake_tools.read_text(encoding="utf-8")
    assert build_agent("ncnn", "aarch64") == build
    assert built_agent("ncnn", "aarch64") == build
    assert fake_tools.read_text(encoding="utf-8") == calls, "nothing was built again"
    assert list(cached_builds()) == [build]


def test_ncnn_is_kept_when_only_our_source_changes(
    fake_tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _own_source(tmp_path, monkeypatch)
    first = build_agent("ncnn", "aarch64")
    (folder / "main.cpp").write_text("int main() { return 1; }", encoding="utf-8")
    second = built_agent("ncnn", "aarch64")
    assert second.folder != first.folder
    goals = [line for line in fake_tools.read_text(encoding="utf-8").splitlines() if line.startswith("ninja")]
    assert [goal.split()[-1] for goal in goals] == ["install", "all", "all"]


def test_the_build_that_was_asked_for_last_is_the_one_that_runs(
    fake_tools: Path, ndk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gcc = build_agent("ncnn", "aarch64", "gcc")
    monkeypatch.setenv("ANDROID_NDK_HOME", str(ndk))
    with_ndk = build_agent("ncnn", "aarch64")
    assert (with_ndk.toolchain, with_gcc.toolchain) == ("ndk 27.1.12297006", "gcc 12.2.0")
    assert built_agent("ncnn", "aarch64") == with_ndk
    time.sleep(0.01)
    build_agent("ncnn", "aarch64", "gcc")
    assert built_agent("ncnn", "aarch64") == with_gcc


def test_command_lines_of_an_ndk(fake_tools: Path, ndk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_NDK_HOME", str(ndk))
    monkeypatch.setenv("CXXFLAGS", "-march=native")
    build_agent("ncnn", "aarch64")
    of_ncnn, flags, of_program = [
        line for line in fake_tools.read_text(encoding="utf-8").splitlines() if line.startswith("cmake ")
    ][:3]
    assert flags == "cmake CXXFLAGS=[]"
    for line in (of_ncnn, of_program):
        words = line.split()
        assert f"-DCMAKE_TOOLCHAIN_FILE={ndk}/build/cmake/android.toolchain.cmake" in words
        assert {"-DANDROID_ABI=arm64-v8a", "-DANDROID_PLATFORM=android-24", "-DANDROID_STL=c++_static"} <= set(words)
        assert not [word for word in words if word.startswith(("-DCMAKE_SYSTEM_NAME", "-DCMAKE_CXX_COMPILER="))]
        assert "-DCMAKE_BUILD_TYPE=Release" in words
    # What comes later counts: the NDK has no library of threads for ncnn's small OpenMP.
    words = of_ncnn.split()
    assert words.index("-DNCNN_SIMPLEOMP=OFF") > words.index("-C")
    assert "-DLINKED=shared" in of_program.split() and "-DENGINE=ncnn" in of_program.split()


def test_a_failing_build_says_why_and_leaves_nothing_half(fake_tools: Path) -> None:
    fake_tools.with_name("calls.fail").touch()
    with pytest.raises(AgentBuildError) as caught:
        build_agent("ncnn", "aarch64")
    error = caught.value
    assert error.exit_code == 75
    assert error.log is not None and error.log.is_file()
    assert "agent/main.cpp:3:1: error: expected what is not there" in str(error) and str(error.log) in str(error)
    assert "\n" not in str(error)
    assert _left() == []
    fake_tools.with_name("calls.fail").unlink()
    assert build_agent("ncnn", "aarch64").bytes == 9


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_build_leaves_nothing_half(fake_tools: Path, number: signal.Signals) -> None:
    fake_tools.with_name("calls.hang").touch()
    process = multiprocessing.get_context("fork").Process(target=_build_in_child)
    process.start()
    assert process.pid is not None
    compiler = int(_awaited(fake_tools.with_name("calls.pid")))
    os.kill(process.pid, number)
    process.join(10)
    if number is signal.SIGINT:
        assert not Path(f"/proc/{compiler}").exists(), "the compiler ended with the build"
    else:
        os.killpg(compiler, signal.SIGKILL)
    fake_tools.with_name("calls.hang").unlink()
    assert list(cached_builds()) == []
    assert build_agent("ncnn", "aarch64").path.read_bytes() == b"a program"
    assert sorted(path.name for path in (cache_folder() / "work").iterdir()) == []


def test_two_at_once_build_once(fake_tools: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=_build_in_child) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert fake_tools.read_text(encoding="utf-8").count("ninja -j") == 2, "ncnn and the program, once each"


@pytest.mark.parametrize("damage", ["program", "description", "library"])
def test_a_damaged_build_is_made_again(fake_tools: Path, damage: str) -> None:
    build = build_agent("ncnn", "aarch64")
    if damage == "program":
        build.path.write_bytes(b"a prog")
    elif damage == "description":
        (build.folder / "build.json").write_text("{}", encoding="utf-8")
    else:
        build.path.unlink()
    assert list(cached_builds()) == []
    assert built_agent("ncnn", "aarch64") == build
    assert build.path.read_bytes() == b"a program"


def test_source_that_changes_while_it_is_compiled_is_not_mixed(
    fake_tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _own_source(tmp_path, monkeypatch)
    first = build_agent("ncnn", "aarch64")
    (folder / "main.cpp").write_text("int main() { return 1; }", encoding="utf-8")

    def change(line: str) -> None:
        if line.startswith("compiling the ncnn agent"):
            (folder / "main.cpp").write_text("int main() { return 2; }", encoding="utf-8")

    second = build_agent("ncnn", "aarch64", progress=change)
    third = built_agent("ncnn", "aarch64")
    assert len({first.source, second.source, third.source}) == 3


def test_no_compiler_is_advice(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="apt-get install g") as caught:
        build_agent("ncnn", "aarch64", "gcc")
    assert caught.value.exit_code == 2


def _own_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "agent"
    folder.mkdir()
    for name in ("main.cpp", "CMakeLists.txt", "ncnn.cmake", "layers.txt"):
        (folder / name).write_text(name, encoding="utf-8")
    monkeypatch.setattr("profiler.agent.sources.agent_folder", lambda: folder)
    monkeypatch.setattr("profiler.agent.build.agent_folder", lambda: folder)
    return folder


def _build_in_child() -> None:
    build: AgentBuild | None = None
    try:
        build = build_agent("ncnn", "aarch64")
    except KeyboardInterrupt:
        os._exit(130)
    os._exit(0 if build else 1)


def _awaited(path: Path) -> str:
    for _ in range(500):
        if path.is_file() and (text := path.read_text(encoding="utf-8").strip()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path} did not come")


def _left() -> list[str]:
    folders = [cache_folder() / name for name in ("builds", "engines", "work")]
    return [str(path) for folder in folders if folder.is_dir() for path in folder.iterdir()]

"""`pocketnas agent`: its lines, its document and its exit codes; builds themselves are tested with the profiler."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pocketnas.cli import run
from profiler.agent import AgentBuild
from profiler.agent.sources import Part
from profiler.errors import AgentBuildError

CONTRACT = {"path", "engine", "target", "sha256", "bytes"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[AgentBuild]:
    """Builds that are told as made; what is asked to be built is added."""
    made: list[AgentBuild] = []

    def build(engine: str, target: str, toolchain: str | None, progress: object) -> AgentBuild:
        folder = tmp_path / f"{engine} {target}"
        folder.mkdir()
        (folder / "pocketnas-agent").write_bytes(b"a program")
        part = Part("ncnn [bold]", "1.0", "BSD-3-Clause", "PyPI")
        path, files = folder / "pocketnas-agent", ("pocketnas-agent",)
        made.append(
            AgentBuild(path, engine, "1", target, f"{toolchain} 1", "ab" * 32, 9, files, (), (part,), "s")  # type: ignore[arg-type]
        )
        return made[-1]

    monkeypatch.setattr("profiler.agent.build_agent", build)
    monkeypatch.setattr("profiler.agent.cached_builds", lambda: iter(made))
    return made


def test_one_line_for_each_engine(builds: list[AgentBuild], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "build", "--toolchain", "zig", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["engine"], row["target"]) for row in rows] == [("litert", "aarch64"), ("ncnn", "aarch64")]
    assert all(row.keys() >= CONTRACT for row in rows)
    assert rows[-1]["path"] == str(builds[-1].path) and rows[-1]["bytes"] == 9


def test_one_engine_is_one_line(builds: list[AgentBuild], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["agent", "build", "--engine", "ncnn", "--target", "x86_64", "--toolchain", "zig"]
    assert run([*words, "--json"]) == 0
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert json.loads(line).keys() >= CONTRACT
    assert captured.err == ""


def test_info_with_nothing_built(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "info", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["builds"] == []
    assert {chain["name"] for chain in said["toolchains"]} == {"gcc", "zig", "ndk"}
    assert run(["agent", "info"]) == 0
    assert "nothing is built yet: pocketnas agent build" in capsys.readouterr().out
    assert not cache.exists(), "asking leaves nothing behind"


def test_info_of_builds(builds: list[AgentBuild], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "build", "--engine", "ncnn", "--toolchain", "zig"]) == 0
    assert str(builds[0].path) in capsys.readouterr().out
    assert run(["agent", "info"]) == 0
    shown = capsys.readouterr().out
    assert "abababababab" in shown and "BSD-3-Clause" in shown and "ncnn [bold]" in shown
    assert run(["agent", "info", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["builds"]
    assert row.keys() >= {*CONTRACT, "toolchain", "engine_version", "parts", "bundle_bytes"}
    assert row["parts"][0].keys() == {"name", "version", "licence", "origin"}


@pytest.mark.parametrize(
    "words",
    [
        ["agent"],
        ["agent", "remove"],
        ["agent", "build", "--engine", "tflite"],
        ["agent", "build", "--target", "armv7"],
        ["agent", "build", "--toolchain", "msvc"],
        ["agent", "build", "--toolchain", "ndk"],
        ["agent", "build", "--toolchain", "ndk", "--engine", "ncnn"],
        ["agent", "build", "--toolchain", "ndk", "--engine", "ncnn", "--target", "x86_64"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    words: list[str], builds: list[AgentBuild], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert builds == []


def test_failing_build_names_its_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*arguments: object, **settings: object) -> AgentBuild:
        raise AgentBuildError("compiling ncnn failed", log=Path("/logs/ncnn.log"), tail="a.cpp:1: error: no")

    monkeypatch.setattr("profiler.agent.build_agent", fail)
    assert run(["agent", "build", "--engine", "ncnn", "--toolchain", "zig"]) == 75
    said = capsys.readouterr().err
    assert said == "error: compiling ncnn failed: a.cpp:1: error: no (all of it in /logs/ncnn.log)\n"

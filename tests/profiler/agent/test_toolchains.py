"""Which compiler builds what, how to get one, and how zig is made to look like gcc."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from profiler.agent.sources import agent_folder
from profiler.agent.toolchains import ENGINES, TARGETS, Engine, choose_toolchain, toolchains
from profiler.errors import ConfigError


def test_a_users_own_ndk_comes_first_where_the_engine_allows_it(
    fake_tools: Path, ndk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_toolchain(None, "ncnn", "aarch64").name == "gcc"
    monkeypatch.setenv("ANDROID_NDK_HOME", str(ndk))
    assert choose_toolchain(None, "ncnn", "aarch64").name == "ndk"
    assert choose_toolchain(None, "litert", "aarch64").name == "gcc"
    assert choose_toolchain(None, "ncnn", "x86_64").name in ("gcc", "zig")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("target", TARGETS)
def test_without_compilers_zig_is_fetched(
    engine: Engine, target: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    chosen = choose_toolchain(None, engine, target)  # type: ignore[arg-type]
    assert chosen.name == "zig"
    assert "411 MB" in chosen.detail


@pytest.mark.parametrize(
    ("named", "engine", "target", "said"),
    [
        ("ndk", "litert", "aarch64", "glibc"),
        ("ndk", "ncnn", "x86_64", "aarch64 only"),
        ("ndk", "ncnn", "aarch64", "ANDROID_NDK_HOME is not set"),
        ("gcc", "ncnn", "aarch64", "apt-get install g"),
    ],
)
def test_a_named_toolchain_that_cannot_is_refused(
    named: str, engine: str, target: str, said: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=said) as caught:
        choose_toolchain(named, engine, target)  # type: ignore[arg-type]
    assert caught.value.key == "--toolchain"


@pytest.mark.parametrize("missing", ["folder", "build/cmake/android.toolchain.cmake", "source.properties"])
def test_a_variable_that_names_no_ndk_is_said(
    missing: str, cache: Path, ndk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing != "folder":
        (ndk / missing).unlink()
    monkeypatch.setenv("ANDROID_NDK_HOME", str(ndk if missing != "folder" else ndk / "absent"))
    with pytest.raises(ConfigError, match="is no NDK"):
        choose_toolchain(None, "ncnn", "aarch64")
    assert [chain.version for chain in toolchains("aarch64") if chain.name == "ndk"] == [None]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("-march=armv8-a", "-mcpu=generic"),
        ("-march=armv8.2-a+fp16", "-mcpu=generic+v8_2a+fullfp16"),
        ("-march=armv8.2-a+fp16+fp16fml", "-mcpu=generic+v8_2a+fullfp16+fp16fml"),
        ("-march=armv8.4-a+fp16+dotprod+i8mm", "-mcpu=generic+v8_4a+fullfp16+dotprod+i8mm"),
        ("-march=armv8.6-a+fp16+dotprod+sve", "-mcpu=generic+v8_6a+fullfp16+dotprod+sve"),
        ("-mavx2", "-mavx2"),
        ('-DTEXT="a b"', '-DTEXT="a b"'),
    ],
)
def test_zig_gets_extensions_by_its_own_names(given: str, expected: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    compiler = tmp_path / "c++"
    compiler.write_bytes((agent_folder() / "zig-compiler").read_bytes())
    for program in (python, compiler):
        program.chmod(0o755)
    environment = {**os.environ, "ZIG_PYTHON": str(python), "ZIG_TARGET": "aarch64-linux-musl"}
    said = subprocess.run(
        [compiler, "-O3", given, "-c", "a b.cpp"], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said[:5] == ["-m", "ziglang", "c++", "-target", "aarch64-linux-musl"]
    assert said[6:] == ["-O3", expected, "-c", "a b.cpp"]

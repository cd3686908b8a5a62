"""Agents for tests: real ones, built when a test asks for them, and tools that only pretend to build."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.agent import AgentBuild, built_agent
from profiler.agent.toolchains import Engine, Target

# A tool says how it was called; ninja makes what it is asked for, or fails, or does not end.
_FAKE_CMAKE = '#!/bin/sh\necho "cmake $*" >>"$CALLS"\necho "cmake CXXFLAGS=[$CXXFLAGS]" >>"$CALLS"\n'
_FAKE_NINJA = """#!/bin/sh
echo "ninja $*" >>"$CALLS"
if [ -e "$CALLS.hang" ]; then
    echo $$ >"$CALLS.pid"
    touch pocketnas-agent
    sleep 60
fi
if [ -e "$CALLS.fail" ]; then
    echo "compiling one"
    echo "agent/main.cpp:3:1: error: expected what is not there"
    exit 1
fi
case $* in
*install*) mkdir -p ../ncnn/lib && echo library >../ncnn/lib/libncnn.a ;;
*) printf 'a program' >pocketnas-agent ;;
esac
"""


@pytest.fixture(scope="session")
def real_agent() -> Callable[[Engine, Target], AgentBuild]:
    """Give the real build of an engine for a target, from the user's cache; only for tests marked agent."""
    return functools.cache(built_agent)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, without a user's NDK."""
    monkeypatch.setenv("POCKETNAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def fake_tools(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put tools and compilers that only pretend in the place of real ones; returns the file of their calls.

    With `.hang` or `.fail` after its name there, ninja does so.
    """
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, text in {
        "cmake": _FAKE_CMAKE,
        "ninja": _FAKE_NINJA,
        "aarch64-linux-gnu-g++": "#!/bin/sh\necho 12.2.0\n",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    calls = tmp_path / "calls"
    source = tmp_path / "ncnn"
    source.mkdir()
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("profiler.agent.build.install_tools", lambda *_: folder)
    monkeypatch.setattr("profiler.agent.build.ncnn_source", lambda *_: source)
    return calls


@pytest.fixture
def ndk(tmp_path: Path) -> Path:
    """What an Android NDK is known by."""
    folder = tmp_path / "ndk"
    (folder / "build" / "cmake").mkdir(parents=True)
    (folder / "build" / "cmake" / "android.toolchain.cmake").touch()
    (folder / "source.properties").write_text(
        "Pkg.Desc = Android NDK\nPkg.Revision = 27.1.12297006\n", encoding="utf-8"
    )
    return folder

"""Owns the compilers that can build an agent: Debian's gcc, zig from PyPI, and a user's own Android NDK."""

from __future__ import annotations

import os
import platform
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, get_args

from profiler.agent._commands import BuildLog, output_of
from profiler.agent._progress import Progress
from profiler.agent.cache import cache_folder
from profiler.agent.sources import Part, agent_folder
from profiler.agent.tools import ZIG_MEGABYTES, ZIG_TOOLS, ZIG_VERSION, install_tools, is_installed, tools_folder
from profiler.errors import ConfigError

Engine = Literal["litert", "ncnn"]
Target = Literal["aarch64", "x86_64"]
ToolchainName = Literal["gcc", "zig", "ndk"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
TARGETS: tuple[Target, ...] = get_args(Target)

NDK_VARIABLE = "ANDROID_NDK_HOME"
_CMAKE_FILE = Path("build") / "cmake" / "android.toolchain.cmake"
# Android 7: the oldest on which pocketnas looks for what it needs of the shell.
_ANDROID_PLATFORM = "android-24"
# Of glibc, programs for phones bring one from which its threads are no library apart; on a computer there is the
# computer's own, and LiteRT's wheels ask for 2.27.
_GLIBC: Mapping[Target, str] = {"aarch64": "2.34", "x86_64": "2.27"}


@dataclass(frozen=True, slots=True)
class CompilerSettings:
    """How a compiler is called.

    Attributes:
        cmake: Arguments of CMake.
        environment: Variables that CMake and ninja need beside ours.
        linked: "static" or "shared".
        parts: What of the compiler's own ends up in the program.
    """

    cmake: tuple[str, ...]
    linked: Literal["static", "shared"]
    environment: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()


class Toolchain(ABC):
    """A compiler for a target.

    Attributes:
        name: What it is called on the command line.
        target: What it compiles for.
    """

    name: ClassVar[ToolchainName]

    def __init__(self, target: Target) -> None:
        self.target = target

    @property
    @abstractmethod
    def version(self) -> str | None:
        """The compiler's version; None where it is not here."""

    @property
    @abstractmethod
    def detail(self) -> str:
        """Where it is, or how to get it."""

    @abstractmethod
    def settings(self, engine: Engine, log: BuildLog, progress: Progress) -> CompilerSettings:
        """Return how to build an engine's program with it; fetches what is missing, for the sole builder.

        Raises:
            AgentBuildError: It cannot be had.
        """

    def refusal(self, engine: Engine) -> str | None:
        """Say why it cannot build this engine for its target; None where it can."""
        return None if self.version else self.detail


class _Gcc(Toolchain):
    """g++ of the system: the cross compiler, or the native one where the target is this machine's."""

    name = "gcc"

    @property
    def _prefix(self) -> str | None:
        prefixes = [f"{self.target}-linux-gnu-", *([""] if platform.machine() == self.target else [])]
        return next((prefix for prefix in prefixes if shutil.which(f"{prefix}g++")), None)

    @property
    def version(self) -> str | None:
        return None if self._prefix is None else output_of([f"{self._prefix}g++", "-dumpfullversion"])

    @property
    def detail(self) -> str:
        if self._prefix is not None:
            return f"{shutil.which(f'{self._prefix}g++')}"
        package = "g++" if platform.machine() == self.target else f"g++-{self.target.replace('_', '-')}-linux-gnu"
        return f"not installed; on Debian: apt-get install {package}"

    def settings(self, engine: Engine, log: BuildLog, progress: Progress) -> CompilerSettings:
        cmake = (f"-DCMAKE_C_COMPILER={self._prefix}gcc", f"-DCMAKE_CXX_COMPILER={self._prefix}g++")
        if engine == "litert":
            return CompilerSettings((*_system(self.target), *cmake), "shared")
        version = f"of gcc {self.version}"
        parts = (
            Part("glibc", version, "LGPL-2.1-or-later", "the compiler, linked in"),
            Part("libstdc++ and libgcc", version, "GPL-3.0-or-later WITH GCC-exception-3.1", "the compiler, linked in"),
        )
        return CompilerSettings((*_system(self.target), *cmake), "static", parts=parts)


class _Zig(Toolchain):
    """zig's C++ compiler, which PyPI has for every machine: large, but nothing has to be installed."""

    name = "zig"

    @property
    def version(self) -> str:
        return ZIG_VERSION

    @property
    def detail(self) -> str:
        if is_installed(ZIG_TOOLS):
            return str(tools_folder(ZIG_TOOLS))
        return f"fetched from PyPI when it is used ({ZIG_MEGABYTES} MB in the cache)"

    def settings(self, engine: Engine, log: BuildLog, progress: Progress) -> CompilerSettings:
        if not is_installed(ZIG_TOOLS):
            progress(f"zig {ZIG_VERSION} takes {ZIG_MEGABYTES} MB in {cache_folder()}")
        python = install_tools(ZIG_TOOLS, log, progress) / "python"
        links = tools_folder(ZIG_TOOLS) / "compiler"
        links.mkdir(exist_ok=True)
        for name in ("cc", "c++", "ar", "ranlib"):
            shutil.copyfile(agent_folder() / "zig-compiler", links / name)
            (links / name).chmod(0o755)
        tools = {"C_COMPILER": "cc", "CXX_COMPILER": "c++", "AR": "ar", "RANLIB": "ranlib"}
        libc = f"gnu.{_GLIBC[self.target]}" if engine == "litert" else "musl"
        environment = {
            "ZIG_PYTHON": str(python),
            "ZIG_TARGET": f"{self.target}-linux-{libc}",
            "ZIG_GLOBAL_CACHE_DIR": str(cache_folder() / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(cache_folder() / "zig"),
        }
        parts = (
            *([] if engine == "litert" else [Part("musl", f"of zig {ZIG_VERSION}", "MIT", "the compiler, linked in")]),
            Part(
                "libc++ and compiler-rt",
                f"of zig {ZIG_VERSION}",
                "Apache-2.0 WITH LLVM-exception",
                "the compiler, linked in",
            ),
        )
        cmake = (f"-DCMAKE_{name}={links / link}" for name, link in tools.items())
        linked: Literal["static", "shared"] = "shared" if engine == "litert" else "static"
        return CompilerSettings((*_system(self.target), *cmake), linked, environment, parts)


class _Ndk(Toolchain):
    """The user's own Android NDK, for phones."""

    name = "ndk"

    @property
    def _folder(self) -> Path | None:
        named = os.environ.get(NDK_VARIABLE)
        return Path(named).absolute() if named else None

    @property
    def version(self) -> str | None:
        if self._folder is None or not (self._folder / _CMAKE_FILE).is_file():
            return None
        try:
            properties = (self._folder / "source.properties").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        pairs = (line.partition("=") for line in properties.splitlines())
        return next((value.strip() for key, _, value in pairs if key.strip() == "Pkg.Revision"), None)

    @property
    def detail(self) -> str:
        if self._folder is None:
            return f"not used: ${NDK_VARIABLE} is not set"
        if self.version is None:
            return f"${NDK_VARIABLE}={self._folder} is no NDK: it needs {_CMAKE_FILE} and source.properties"
        return str(self._folder)

    def refusal(self, engine: Engine) -> str | None:
        if self.target != "aarch64":
            return "it builds for phones, so for aarch64 only"
        if engine == "litert":
            return "LiteRT's library needs glibc, which the NDK has not; give --engine ncnn, or take gcc or zig"
        return super().refusal(engine)

    def settings(self, engine: Engine, log: BuildLog, progress: Progress) -> CompilerSettings:
        cmake = (
            f"-DCMAKE_TOOLCHAIN_FILE={self._folder}/{_CMAKE_FILE}",
            "-DANDROID_ABI=arm64-v8a",
            f"-DANDROID_PLATFORM={_ANDROID_PLATFORM}",
            "-DANDROID_STL=c++_static",
            "-DANDROID_SUPPORT_FLEXIBLE_PAGE_SIZES=ON",
            # ncnn's small OpenMP asks for a library of threads, which Android has none of; the NDK has a whole OpenMP.
            "-DNCNN_SIMPLEOMP=OFF",
        )
        version = f"of NDK {self.version}"
        licence = "Apache-2.0 WITH LLVM-exception"
        parts = (Part("libc++, OpenMP and compiler-rt", version, licence, "the compiler, linked in"),)
        return CompilerSettings(cmake, "shared", parts=parts)


_TOOLCHAINS: Mapping[ToolchainName, type[Toolchain]] = {"ndk": _Ndk, "gcc": _Gcc, "zig": _Zig}


def toolchains(target: Target) -> tuple[Toolchain, ...]:
    """Return all toolchains for a target, whether they are here or not; the first that can is the default."""
    return tuple(kind(target) for kind in _TOOLCHAINS.values())


def choose_toolchain(name: ToolchainName | None, engine: Engine, target: Target) -> Toolchain:
    """Return the named toolchain, or the default: a user's own NDK, else gcc where it is here, else zig.

    Raises:
        ConfigError: The named one cannot build this, or $ANDROID_NDK_HOME names no NDK.
    """
    if name is not None:
        chosen = _TOOLCHAINS[name](target)
        if problem := chosen.refusal(engine):
            raise ConfigError(f"{name} cannot build {engine} for {target}: {problem}", key="--toolchain")
        return chosen
    if os.environ.get(NDK_VARIABLE) and _Ndk(target).version is None:
        raise ConfigError(f"{_Ndk(target).detail}; unset it or name the folder of one")
    return next(chain for chain in toolchains(target) if chain.refusal(engine) is None)


def _system(target: Target) -> tuple[str, ...]:
    return ("-DCMAKE_SYSTEM_NAME=Linux", f"-DCMAKE_SYSTEM_PROCESSOR={target}")

"""Owns how an agent is built, and which builds there are.

A build is kept under a hash of all that it is made of: our source and recipe, the engine, the compiler and the target.
Made again from the same, its program is the same, byte for byte.  ncnn alone is kept apart from the program, because it
takes minutes and the program seconds.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from profiler.agent._commands import BuildLog, Words
from profiler.agent._progress import Progress, unseen
from profiler.agent.bundle import PROGRAM, AgentBundle
from profiler.agent.cache import cache_folder, put_whole, sole_builder, work_folder
from profiler.agent.libraries import LITERT_LIBRARY, LOADER, Libraries, litert_library, litert_version, loader_libraries
from profiler.agent.sources import (
    NCNN_PART,
    NCNN_TREE_SHA256,
    NCNN_VERSION,
    Part,
    agent_folder,
    content_hash,
    copy_files,
    engine_recipe,
    ncnn_source,
    program_sources,
)
from profiler.agent.toolchains import CompilerSettings, Engine, Target, Toolchain, ToolchainName, choose_toolchain
from profiler.agent.tools import BUILD_TOOLS, install_tools
from profiler.errors import AgentBuildError

_DESCRIPTION = "build.json"
_SCHEMA = 1
_KEY_CHARACTERS = 16
# What of this package decides how a program comes out; raised when it changes so that old builds are not the same.
_RECIPE = 1


@dataclass(frozen=True)
class AgentBuild:
    """A program that is ready to run, with all that it needs in its folder.

    Attributes:
        path: The program.
        engine: What runs models in it.
        engine_version: Which.
        target: What it is for.
        toolchain: What compiled it, as in "gcc 12.2.0".
        sha256: Hash of the program, in hex.
        bytes: Size of the program.
        files: Names of what a device needs, the program first.
        words: What starts it in its folder, before its own arguments; none for the program itself.
        parts: What of others it holds, with versions and licences.
        source: Hash of our source and recipe that it was made of.
    """

    path: Path
    engine: Engine
    engine_version: str
    target: Target
    toolchain: str
    sha256: str
    bytes: int
    files: tuple[str, ...]
    words: tuple[str, ...]
    parts: tuple[Part, ...]
    source: str

    @property
    def folder(self) -> Path:
        """Where all its files are."""
        return self.path.parent

    @property
    def library(self) -> Path | None:
        """The engine's library that the program opens; None where the engine is in the program."""
        return self.folder / LITERT_LIBRARY if LITERT_LIBRARY in self.files else None

    @property
    def bundle_bytes(self) -> int:
        """Size of all that a device needs."""
        return sum((self.folder / name).stat().st_size for name in self.files)

    def bundle(self) -> AgentBundle:
        """Read what is put on a device."""
        return AgentBundle({name: (self.folder / name).read_bytes() for name in self.files}, self.words)


def built_agent(engine: Engine, target: Target, progress: Progress = unseen) -> AgentBuild:
    """Return the build that was made, or asked for, last; makes it where there is none of the present source.

    Args:
        engine: What runs models in it.
        target: What it is for.
        progress: Told, line by line, what is going on.

    Raises:
        AgentBuildError: It cannot be built.
        ConfigError: $ANDROID_NDK_HOME names no NDK.
    """
    source, version = _source_hash(engine, agent_folder()), engine_version(engine)
    for build in cached_builds():
        if (build.engine, build.target, build.source, build.engine_version) == (engine, target, source, version):
            return build
    return build_agent(engine, target, progress=progress)


def cached_builds() -> Iterator[AgentBuild]:
    """Yield every build in the cache, the one that was asked for last first; damaged ones are left out."""
    described = [path for path in cache_folder().glob(f"builds/*/{_DESCRIPTION}") if path.is_file()]
    for path in sorted(described, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        if build := _read_build(path.parent):
            yield build


def build_agent(
    engine: Engine, target: Target, toolchain: ToolchainName | None = None, progress: Progress = unseen
) -> AgentBuild:
    """Build an agent, unless the cache has it.

    Args:
        engine: What runs models in it.
        target: What it is for.
        toolchain: What compiles it; None for a user's own NDK, else gcc where it is installed, else zig.
        progress: Told, line by line, what is going on.

    Returns:
        The build, from now on the one that `built_agent` returns for this engine and target.

    Raises:
        AgentBuildError: It cannot be built, or what it is built from cannot be had.
        ConfigError: The toolchain cannot build it.
    """
    chain = choose_toolchain(toolchain, engine, target)
    place = _place(engine, chain, agent_folder())
    if build := _read_build(place):
        os.utime(place / _DESCRIPTION)
        return build
    with sole_builder(progress), work_folder() as source:
        # From here on nobody's changes count; and another process may have built it meanwhile.
        copy_files((*program_sources(agent_folder()), *engine_recipe(agent_folder())), source)
        place = _place(engine, chain, source)
        if _read_build(place) is None:
            _build(engine, chain, source, place, progress)
    if build := _read_build(place):
        return build
    raise AgentBuildError(f"{place} went away while it was built; give the command again")


def engine_version(engine: Engine) -> str:
    """Return the version that agents are built with: the package's of ncnn, the installed one of LiteRT.

    Raises:
        AgentBuildError: LiteRT is not installed here.
    """
    return litert_version() if engine == "litert" else NCNN_VERSION


def _build(engine: Engine, chain: Toolchain, source: Path, place: Path, progress: Progress) -> None:
    started_s = time.monotonic()
    log = BuildLog(f"{engine}-{chain.target}-{chain.name}")
    tools = install_tools(BUILD_TOOLS, log, progress)
    settings = chain.settings(engine, log, progress)
    make = _CMake(tools, settings, log)
    libraries = _libraries(engine, chain.target, log, progress)
    ncnn = _built_ncnn(chain, source, make, progress) if engine == "ncnn" else None
    progress(f"compiling the {engine} agent for {chain.target} with {chain.name} {chain.version}")
    with work_folder() as work:
        made = work / "agent"
        made.mkdir()
        arguments = (
            f"-DENGINE={engine}",
            f"-DENGINE_VERSION={engine_version(engine)}",
            f"-DLINKED={settings.linked}",
            *([f"-Dncnn_DIR={ncnn / 'lib' / 'cmake' / 'ncnn'}"] if ncnn else []),
        )
        make.run(source, work / "build", arguments, ("all",), f"compiling the {engine} agent", ncnn)
        copy_files([work / "build" / PROGRAM, *libraries.files], made)
        parts = (*([NCNN_PART] if ncnn else []), *settings.parts, *libraries.parts)
        _describe(made, engine, chain, parts, libraries, _source_hash(engine, source))
        put_whole(made, place)
    progress(f"built the {engine} agent for {chain.target} in {time.monotonic() - started_s:.0f} s")


class _CMake:
    """CMake and ninja with a compiler's settings, made to leave no path of this machine in what they make."""

    def __init__(self, tools: Path, settings: CompilerSettings, log: BuildLog) -> None:
        self._tools, self._settings, self.log = tools, settings, log

    def run(
        self,
        source: Path,
        folder: Path,
        arguments: Sequence[str],
        goals: Sequence[str],
        what: str,
        library: Path | None = None,
    ) -> None:
        """Configure a source and build goals of it.

        Args:
            source: Folder of its CMakeLists.txt.
            folder: Where it is built.
            arguments: Of CMake, beside the compiler's.
            goals: Of ninja.
            what: What this does, as in "compiling ncnn".
            library: Another folder whose paths could get into what is made.

        Raises:
            AgentBuildError: It failed.
        """
        folder.mkdir()
        named = {source: "source", folder: "build", **({library: "library"} if library else {})}
        flags = " ".join(f'"-ffile-prefix-map={path}={name}"' for path, name in named.items())
        words: Words = [
            self._tools / "cmake",
            "-GNinja",
            f"-DCMAKE_MAKE_PROGRAM={self._tools / 'ninja'}",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DCMAKE_C_FLAGS={flags}",
            f"-DCMAKE_CXX_FLAGS={flags}",
            *arguments,
            *self._settings.cmake,
            source,
        ]
        # No flags of the user's own, and no dates.
        environment = {**self._settings.environment, "SOURCE_DATE_EPOCH": "0"}
        environment |= dict.fromkeys(("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS"), "")
        self.log.run(words, f"{what}: CMake", folder=folder, environment=environment)
        cores = len(os.sched_getaffinity(0))
        ninja: Words = [self._tools / "ninja", f"-j{cores}", *goals]
        self.log.run(ninja, what, folder=folder, environment=environment)


def _built_ncnn(chain: Toolchain, recipe: Path, make: _CMake, progress: Progress) -> Path:
    """Return the folder of ncnn's library and headers for a target."""
    place = cache_folder() / "engines" / f"ncnn-{chain.target}-{_engine_key(chain, recipe)}"
    if place.is_dir():
        return place
    source = ncnn_source(make.log, progress)
    progress(f"compiling ncnn {NCNN_VERSION} for {chain.target}, which takes a few minutes")
    with work_folder() as work:
        arguments = (
            f"-DNCNN_SOURCE={source}",
            "-C",
            str(recipe / "ncnn.cmake"),
            f"-DNCNN_VERSION={NCNN_VERSION.rpartition('.')[2]}",
            f"-DCMAKE_INSTALL_PREFIX={work / 'ncnn'}",
            "-DCMAKE_INSTALL_LIBDIR=lib",
        )
        make.run(source, work / "build", arguments, ("install",), f"compiling ncnn for {chain.target}")
        put_whole(work / "ncnn", place)
    return place


def _libraries(engine: Engine, target: Target, log: BuildLog, progress: Progress) -> Libraries:
    """Return what a program needs beside it; on phones there is no glibc, so LiteRT's brings one and its loader."""
    if engine == "ncnn":
        return Libraries((), ())
    library = litert_library(target, log, progress)
    if target != "aarch64":
        return library
    loader = loader_libraries(log, progress)
    return Libraries((*library.files, *loader.files), (*library.parts, *loader.parts))


def _describe(
    folder: Path, engine: Engine, chain: Toolchain, parts: Sequence[Part], libraries: Libraries, source: str
) -> None:
    program = (folder / PROGRAM).read_bytes()
    names = (PROGRAM, *(file.name for file in libraries.files))
    description = {
        "schema": _SCHEMA,
        "engine": engine,
        "engine_version": engine_version(engine),
        "target": chain.target,
        "toolchain": f"{chain.name} {chain.version}",
        "sha256": hashlib.sha256(program).hexdigest(),
        "bytes": len(program),
        "files": names,
        "words": (f"./{LOADER}", "--library-path", ".", f"./{PROGRAM}") if LOADER in names else (),
        "parts": [asdict(part) for part in parts],
        "source": source,
    }
    (folder / _DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _read_build(folder: Path) -> AgentBuild | None:
    """Return a build of the cache; None where there is none, or it is not what its description says."""
    try:
        said = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
        if said.pop("schema") != _SCHEMA:
            return None
        program = (folder / PROGRAM).read_bytes()
        said |= {name: tuple(said[name]) for name in ("files", "words")}
        said["parts"] = tuple(Part(**part) for part in said["parts"])
        build = AgentBuild(path=folder / PROGRAM, **said)
        whole = hashlib.sha256(program).hexdigest() == build.sha256 and build.bundle_bytes > 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return build if whole else None


def _place(engine: Engine, chain: Toolchain, source: Path) -> Path:
    made_of = {"engine": engine, "version": engine_version(engine), "source": _source_hash(engine, source)}
    key = _key({**made_of, **_compiler(chain), **({"ncnn": NCNN_TREE_SHA256} if engine == "ncnn" else {})})
    return cache_folder() / "builds" / f"{engine}-{chain.target}-{key}"


def _source_hash(engine: Engine, source: Path) -> str:
    files = (*program_sources(source), *(engine_recipe(source) if engine == "ncnn" else ()))
    return _key({"recipe": _RECIPE, "files": content_hash(files, source)})


def _engine_key(chain: Toolchain, recipe: Path) -> str:
    made_of = {"source": NCNN_TREE_SHA256, "recipe": content_hash(engine_recipe(recipe), recipe)}
    return _key({**made_of, **_compiler(chain)})


def _compiler(chain: Toolchain) -> Mapping[str, object]:
    return {"toolchain": chain.name, "compiler": chain.version, "target": chain.target, "recipe_number": _RECIPE}


def _key(made_of: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:_KEY_CHARACTERS]

"""`pocketnas agent`: the program of ours that measures on phones and on this computer, built here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pocketnas.cli._options import Json
from pocketnas.cli._screen import Screen, table

if TYPE_CHECKING:
    from profiler.agent import AgentBuild

_MIB = 1 << 20
_BUILDS = ("engine", "target", "program", "with libraries", "compiler", "sha256", "folder")
_PARTS = ("part", "version", "licence", "from")
_COMPILERS = ("target", "compiler", "version", "")


def command(
    action: Annotated[
        Literal["build", "info"],
        typer.Argument(metavar="build|info", help="Build it, or say what is built and what it can be built with."),
    ],
    engine: Annotated[
        Literal["litert", "ncnn"] | None,
        typer.Option("--engine", help="What runs models in it. Default: a program for each.", show_default=False),
    ] = None,
    toolchain: Annotated[
        Literal["gcc", "zig", "ndk"] | None,
        typer.Option(
            "--toolchain",
            help="Compiler. Default: your own NDK where ANDROID_NDK_HOME names one and the engine allows it, else gcc "
            "where it is installed, else zig, which is fetched from PyPI (411 MB).",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        Literal["aarch64", "x86_64"],
        typer.Option("--target", help="Processor: aarch64 for phones, x86_64 for most computers."),
    ] = "aarch64",
    as_json: Json = False,
) -> None:
    """Build the agent, the program that measures on a phone, or say what is built; `profile` builds what it needs, too.

    All comes from packages: ncnn's source and LiteRT's library from PyPI, and what they need on a phone from Debian.
    A build is kept, with the versions and licences of its parts in build.json beside it, and made again only when
    something of it changes.  $POCKETNAS_CACHE says where; nothing is written elsewhere.

    With --json, build prints a line for each program: {"path", "engine", "target", "sha256", "bytes", "toolchain",
    "engine_version", "files", "bundle_bytes", "parts"}, where files lie beside the program; info prints one document
    {"cache", "builds", "toolchains"}, the toolchains being those for --target.

    Example: pocketnas agent build

    Example: pocketnas agent build --engine ncnn --toolchain zig --json
    """
    screen = Screen(as_json=as_json)
    if action == "info":
        _show_info(screen, target)
        return
    from profiler.agent import build_agent
    from profiler.agent.toolchains import ENGINES, choose_toolchain

    engines = (engine,) if engine else ENGINES
    # All is refused before anything is built.
    for wanted in engines:
        choose_toolchain(toolchain, wanted, target)
    for wanted in engines:
        build = build_agent(wanted, target, toolchain, progress=screen.note)
        screen.show(f"{build.path}  {build.engine} {build.engine_version}, {build.target}, {build.sha256}")
        screen.line(_row(build))


def _row(build: AgentBuild) -> dict[str, Any]:
    row = asdict(build)
    del row["source"], row["words"]
    return {**row, "path": str(build.path), "bundle_bytes": build.bundle_bytes}


def _show_info(screen: Screen, target: Literal["aarch64", "x86_64"]) -> None:
    from profiler.agent import cached_builds
    from profiler.agent.cache import cache_folder
    from profiler.agent.toolchains import toolchains

    builds, chains = list(cached_builds()), toolchains(target)
    newest: dict[tuple[str, ...], AgentBuild] = {}
    for build in builds:
        newest.setdefault((build.engine, build.target, build.toolchain), build)
    rows = [
        [
            f"{build.engine} {build.engine_version}",
            build.target,
            f"{build.bytes / _MIB:.1f} MiB",
            f"{build.bundle_bytes / _MIB:.1f} MiB",
            build.toolchain,
            build.sha256[:12],
            build.folder,
        ]
        for build in newest.values()
    ]
    if rows:
        parts = dict.fromkeys(part for build in newest.values() for part in build.parts)
        screen.show(table("", _BUILDS, rows, right=_BUILDS[2:4], whole=_BUILDS[:1]))
        screen.show(table("", _PARTS, [[part.name, part.version, part.licence, part.origin] for part in parts]))
    else:
        screen.show("nothing is built yet: pocketnas agent build")
    if older := len(builds) - len(newest):
        screen.show(f"{older} of earlier sources are kept beside them; {cache_folder()} may be removed at any time")
    screen.show(table("", _COMPILERS, [[target, chain.name, chain.version or "-", chain.detail] for chain in chains]))
    found = [
        {"name": chain.name, "target": target, "version": chain.version, "detail": chain.detail} for chain in chains
    ]
    screen.document({"cache": str(cache_folder()), "builds": [_row(build) for build in builds], "toolchains": found})

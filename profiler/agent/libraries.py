"""Owns the libraries that programs of LiteRT need beside them: LiteRT's own, and on phones a loader with glibc."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import platform
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from profiler.agent._commands import BuildLog, output_of
from profiler.agent._progress import Progress
from profiler.agent.cache import cache_folder, put_whole, work_folder
from profiler.agent.sources import Part, copy_files
from profiler.agent.tools import BUILD_TOOLS, install_tools, pip_download, temporary
from profiler.errors import AgentBuildError

LITERT_LIBRARY = "libLiteRt.so"
LOADER = "ld-linux-aarch64.so.1"
_LITERT = "ai-edge-litert"
_IN_WHEEL = f"ai_edge_litert/{LITERT_LIBRARY}"
_WHEELS_GLIBC = "2_27"

# Debian's packages of what runs on arm64, and what of them LiteRT's library asks for.
_CROSS_FOLDER = Path("/usr/aarch64-linux-gnu/lib")
_CROSS_FILES = {
    "libc6-arm64-cross": (LOADER, "libc.so.6", "libm.so.6"),
    "libstdc++6-arm64-cross": ("libstdc++.so.6",),
    "libgcc-s1-arm64-cross": ("libgcc_s.so.1",),
}
_CROSS_LICENCES = {
    "libc6-arm64-cross": "LGPL-2.1-or-later",
    "libstdc++6-arm64-cross": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libgcc-s1-arm64-cross": "GPL-3.0-or-later WITH GCC-exception-3.1",
}
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_DEFAULT_MIRROR = "http://deb.debian.org/debian/"
_INSTALL_ADVICE = "install the cross compiler, which brings them: apt-get install g++-aarch64-linux-gnu"


@dataclass(frozen=True, slots=True)
class Libraries:
    """Files that a program needs in its folder, and what they are."""

    files: tuple[Path, ...]
    parts: tuple[Part, ...]


def litert_version() -> str:
    """Return the version of LiteRT that is installed here, and so the one that agents are built for.

    Raises:
        AgentBuildError: There is none.
    """
    try:
        return importlib.metadata.version(_LITERT)
    except importlib.metadata.PackageNotFoundError as error:
        raise AgentBuildError(
            f"{_LITERT} is not installed, so there is no version to take: pip install {_LITERT}"
        ) from error


def litert_library(target: str, log: BuildLog, progress: Progress) -> Libraries:
    """Return LiteRT's library for a target: the installed one where it is this machine's, else PyPI's.

    Args:
        target: "aarch64" or "x86_64".
        log: Where the words of the commands go.
        progress: Told when something is fetched.

    Raises:
        AgentBuildError: It cannot be had.
    """
    version = litert_version()
    if target == platform.machine():
        installed = Path(str(importlib.metadata.distribution(_LITERT).locate_file(_IN_WHEEL)))
        if not installed.is_file():
            raise AgentBuildError(f"{_LITERT} {version} has no {_IN_WHEEL}; install it again")
        return Libraries((installed,), (Part("LiteRT", version, "Apache-2.0", "installed wheel"),))
    place = cache_folder() / "sources" / f"litert-{version}-{target}"
    if not (place / LITERT_LIBRARY).is_file():
        progress(f"fetching LiteRT {version} for {target} from PyPI")
        with work_folder() as work:
            library = _library_of_wheel(_fetched_wheel(version, target, work, log, progress), log)
            made = work / "library"
            made.mkdir()
            (made / LITERT_LIBRARY).write_bytes(library)
            put_whole(made, place)
    return Libraries((place / LITERT_LIBRARY,), (Part("LiteRT", version, "Apache-2.0", "PyPI, wheel"),))


def _fetched_wheel(version: str, target: str, work: Path, log: BuildLog, progress: Progress) -> Path:
    tools = install_tools(BUILD_TOOLS, log, progress)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words: list[str | Path] = ["--only-binary=:all:", "--platform", f"manylinux_{_WHEELS_GLIBC}_{target}"]
    words += ["--python-version", python, "--dest", work, f"{_LITERT}=={version}"]
    what = f"fetching {_LITERT} {version} for {target} from PyPI"
    log.run(pip_download(tools / "python", words), what, folder=work, environment=temporary(work))
    for wheel in work.glob("*.whl"):
        return wheel
    raise AgentBuildError(f"{what} brought no wheel", log=log.path)


def _library_of_wheel(wheel: Path, log: BuildLog) -> bytes:
    """Return the library that a wheel holds, compared with the wheel's own record of it."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(_IN_WHEEL)
            (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
            lines = archive.read(record).decode().splitlines()
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise AgentBuildError(f"{wheel.name} holds no {_IN_WHEEL}: {error}", log=log.path) from error
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    if not any(line.startswith(f"{_IN_WHEEL},sha256={digest},") for line in lines):
        raise AgentBuildError(f"{_IN_WHEEL} is not what {wheel.name} records of it", log=log.path)
    return content


def loader_libraries(log: BuildLog, progress: Progress) -> Libraries:
    """Return the arm64 loader and the libraries that LiteRT needs: the system's cross packages, else fetched ones.

    Args:
        log: Where the words of the commands go.
        progress: Told when something is fetched.

    Raises:
        AgentBuildError: They cannot be had.
    """
    folder, versions = _CROSS_FOLDER, _installed_versions()
    if not all((folder / name).is_file() for names in _CROSS_FILES.values() for name in names):
        folder, versions = _fetched_loader(log, progress)
    files = tuple(folder / name for names in _CROSS_FILES.values() for name in names)
    parts = (Part(name, versions.get(name, "unknown"), _CROSS_LICENCES[name], "Debian") for name in _CROSS_FILES)
    return Libraries(files, tuple(parts))


def _installed_versions() -> dict[str, str]:
    said = output_of(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *_CROSS_FILES])
    return dict(line.split(" ", 1) for line in (said or "").splitlines() if " " in line)


def _fetched_loader(log: BuildLog, progress: Progress) -> tuple[Path, dict[str, str]]:
    place = cache_folder() / "sources" / "arm64-libraries"
    if not (place / "versions").is_file():
        system = _system_release()
        if system.get("ID") != "debian":
            raise AgentBuildError(f"arm64 libraries for phones can be fetched on Debian only; here, {_INSTALL_ADVICE}")
        progress(f"fetching {', '.join(_CROSS_FILES)} from Debian")
        with work_folder() as work:
            made = work / "libraries"
            made.mkdir()
            _fetch_packages(work, system.get("VERSION_CODENAME", "stable"), log)
            versions = []
            for package in sorted(work.glob("*.deb")):
                log.run(["dpkg-deb", "-x", package, work / "tree"], f"unpacking {package.name}", folder=work)
                versions.append(
                    output_of(["dpkg-deb", "--show", "--showformat", "${Package} ${Version}", str(package)])
                )
            names = [name for names in _CROSS_FILES.values() for name in names]
            copy_files((work / "tree" / _CROSS_FOLDER.relative_to("/") / name for name in names), made)
            (made / "versions").write_text("\n".join(line for line in versions if line), encoding="utf-8")
            put_whole(made, place)
    lines = (place / "versions").read_text(encoding="utf-8").splitlines()
    return place, dict(line.split(" ", 1) for line in lines)


def _fetch_packages(work: Path, codename: str, log: BuildLog) -> None:
    """Download with lists and settings of its own, so that nothing changes for the system and no root is needed.

    apt compares the files with the archive's signed list.
    """
    said = output_of(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Codename: {codename}"]
    )
    mirror = (said or "").splitlines()[:1] or [_DEFAULT_MIRROR]
    sources = work / "sources.list"
    sources.write_text(f"deb [signed-by={_KEYRING}] {mirror[0]} {codename} main\n", encoding="utf-8")
    (work / "lists" / "partial").mkdir(parents=True)
    (work / "cache" / "archives" / "partial").mkdir(parents=True)
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    words = ["apt-get", "-q", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    what = f"fetching arm64 libraries from Debian ({_INSTALL_ADVICE})"
    log.run([*words, "update"], what, folder=work)
    log.run([*words, "download", *_CROSS_FILES], what, folder=work)


def _system_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}

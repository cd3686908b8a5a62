"""Owns what the agent is built from, and where it comes from: our own source, ncnn's, LiteRT's library, a loader.

Everything comes from packages: ncnn's source and LiteRT's wheels from PyPI, the loader and its libraries from Debian.
"""

from __future__ import annotations

import hashlib
import shutil
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from profiler.agent._commands import BuildLog, Words
from profiler.agent._progress import Progress
from profiler.agent.cache import cache_folder, put_whole, work_folder
from profiler.agent.tools import BUILD_TOOLS, install_tools, pip_download, temporary
from profiler.errors import AgentBuildError

NCNN_VERSION = "1.0.20261020"
_NCNN_ARCHIVE_SHA256 = "ad8cdd63e9755cfa8e23b9b6d9ce46156077d80298a89e7c3ba325ffccfca200"
NCNN_TREE_SHA256 = "8bead72622dacddbff7d6f699a4e7b39a5c8adecf3d97bab1723f36744232bdc"
# What of the package a build reads; the rest is Vulkan's and Python's.
_NCNN_PARTS = ("CMakeLists.txt", "LICENSE.txt", "cmake", "src")


@dataclass(frozen=True, slots=True)
class Part:
    """Something of others that a build holds.

    Attributes:
        name: What it is.
        version: Which.
        licence: SPDX expression of its licence.
        origin: Where it came from, as in "PyPI".
    """

    name: str
    version: str
    licence: str
    origin: str


NCNN_PART = Part("ncnn", NCNN_VERSION, "BSD-3-Clause", "PyPI, source package")


def agent_folder() -> Path:
    """Return where the agent's own source is: in the source tree, else where it is installed."""
    tree = Path(__file__).resolve().parents[2] / "agent"
    return tree if tree.is_dir() else Path(sysconfig.get_path("data")) / "share" / "pocketnas" / "agent"


def program_sources(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder that the program is made of, its recipe included, sorted by name.

    Raises:
        AgentBuildError: They are not there.
    """
    files = [file for pattern in ("*.cpp", "*.h", "CMakeLists.txt") for file in folder.glob(pattern)]
    if not any(file.suffix == ".cpp" for file in files):
        raise AgentBuildError(f"the agent's source is not in {folder}; install pocketnas again")
    return tuple(sorted(files))


def engine_recipe(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder that say how ncnn is built."""
    return (folder / "layers.txt", folder / "ncnn.cmake")


def content_hash(files: Iterable[Path], folder: Path) -> str:
    """Return the SHA-256, in hex, of files: of their paths below a folder and of what is in them."""
    total = hashlib.sha256()
    for file in sorted(files):
        name = file.relative_to(folder).as_posix().encode()
        total.update(hashlib.sha256(name).digest() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def ncnn_source(log: BuildLog, progress: Progress) -> Path:
    """Return the folder of ncnn's source; only for the sole builder.

    Args:
        log: Where the words of the commands go.
        progress: Told when something is fetched.

    Raises:
        AgentBuildError: It cannot be had, or is not what was recorded of it.
    """
    place = cache_folder() / "sources" / f"ncnn-{NCNN_VERSION}-{NCNN_TREE_SHA256[:12]}"
    if place.is_dir() and _tree_hash(place) == NCNN_TREE_SHA256:
        return place
    tools = install_tools(BUILD_TOOLS, log, progress)
    progress(f"fetching the source of ncnn {NCNN_VERSION} from PyPI")
    with work_folder() as work:
        made = work / "ncnn"
        made.mkdir()
        found = _unpacked_ncnn(tools / "python", work, log)
        for part in _NCNN_PARTS:
            (found / part).rename(made / part)
        tree_hash = _tree_hash(made)
        if tree_hash != NCNN_TREE_SHA256:
            raise AgentBuildError(
                f"the source of ncnn {NCNN_VERSION} is not the one that was recorded (SHA-256 {tree_hash}, recorded "
                f"{NCNN_TREE_SHA256}); nothing of it was built",
                log=log.path,
            )
        put_whole(made, place)
    return place


def _unpacked_ncnn(python: Path, work: Path, log: BuildLog) -> Path:
    """Let pip fetch and unpack the package.

    Its version is the day on which anybody asks for it, so pip always refuses it: after it compared the archive with
    its hash and unpacked it.  Told not to clean up, it leaves the tree where it keeps temporary files.
    """
    wanted = work / "requirements.txt"
    wanted.write_text(f"ncnn=={NCNN_VERSION} --hash=sha256:{_NCNN_ARCHIVE_SHA256}\n", encoding="utf-8")
    words: Words = [
        "--no-clean",
        "--no-build-isolation",
        "--no-binary=:all:",
        "--dest",
        work / "packages",
        "-r",
        wanted,
    ]
    what = f"fetching the source of ncnn {NCNN_VERSION} from PyPI"
    log.run(pip_download(python, words), what, folder=work, environment=temporary(work), may_fail=True)
    for archive in (work / "packages").glob("ncnn-*.tar.gz"):
        with tarfile.open(archive) as package:
            package.extractall(work / "pip-download-package", filter="data")
    for found in work.glob("pip-download-*/ncnn[_-]*/CMakeLists.txt"):
        return found.parent
    raise AgentBuildError(f"{what} failed", log=log.path, tail=log.tail())


def _tree_hash(folder: Path) -> str:
    return content_hash(_files(folder), folder)


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file())


def copy_files(files: Iterable[Path], folder: Path) -> None:
    """Copy files, not links to them, into a folder, under the names that they are found by."""
    for file in files:
        shutil.copyfile(file, folder / file.name)
        (folder / file.name).chmod(0o755)

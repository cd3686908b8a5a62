"""Owns the tools from PyPI that builds need: each set in an environment of its own in the cache."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from profiler.agent._commands import BuildLog, Words
from profiler.agent._progress import Progress
from profiler.agent.cache import cache_folder, work_folder
from profiler.errors import AgentBuildError

BUILD_TOOLS = ("cmake==4.4.4", "ninja==1.13.2", "setuptools==84.2.1")
"""What every build needs; setuptools is what ncnn's package names its version with."""

ZIG_VERSION = "0.17.1"
ZIG_TOOLS = (f"ziglang=={ZIG_VERSION}",)
ZIG_MEGABYTES = 411

# Nobody is asked anything, and nothing outside the requirements counts.
_PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")


def tools_folder(requirements: Sequence[str]) -> Path:
    """Return where the environment of these requirements is, or will be."""
    # An environment belongs to the Python that made it.
    text = "\n".join((*sorted(requirements), sys.version, sys.base_prefix))
    return cache_folder() / "tools" / hashlib.sha256(text.encode()).hexdigest()[:16]


def is_installed(requirements: Sequence[str]) -> bool:
    """Say whether the environment is there."""
    return (tools_folder(requirements) / "installed").is_file()


def install_tools(requirements: Sequence[str], log: BuildLog, progress: Progress) -> Path:
    """Return the `bin` folder of an environment with the requirements; only for the sole builder.

    Args:
        requirements: Exact versions, as pip takes them.
        log: Where pip's words go.
        progress: Told when something is fetched.

    Raises:
        AgentBuildError: They cannot be installed.
    """
    place = tools_folder(requirements)
    if not is_installed(requirements):
        progress(f"installing {', '.join(requirements)} into the cache")
        try:
            _install(requirements, place, log)
        finally:
            if not is_installed(requirements):
                shutil.rmtree(place, ignore_errors=True)
    return place / "bin"


def _install(requirements: Sequence[str], place: Path, log: BuildLog) -> None:
    """Make the environment where it stays, for its programs know their folder; a mark says that it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    log.run([sys.executable, "-m", "venv", "--clear", place], "making an environment for tools", folder=place.parent)
    if not (place / "bin" / "pip").exists():
        raise AgentBuildError("Python has no pip for new environments; on Debian: apt-get install python3-venv")
    words: Words = [place / "bin" / "python", *_PIP, "install", "--quiet", "--only-binary=:all:", *requirements]
    with work_folder() as work:
        log.run(words, f"installing {', '.join(requirements)} from PyPI", folder=work, environment=temporary(work))
    (place / "installed").touch()


def pip_download(python: Path, words: Words) -> Words:
    """Return the command that downloads packages with an environment's pip."""
    return [python, *_PIP, "download", "--no-deps", *words]


def temporary(folder: Path) -> Mapping[str, str]:
    """Return the variables that keep a program's temporary files in a folder."""
    return {"TMPDIR": str(folder)}

"""Owns the programs that a build runs: their logs, and what becomes of one that fails or is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from profiler.agent.cache import cache_folder
from profiler.errors import AgentBuildError

# Ten times what the longest step took on two cores.
_LONGEST_S = 1800.0
_SHOWN_LINES = 4
_ERROR_WORDS = ("error", "Error", "fatal", "undefined reference", "No such file", "not found")


Words = Sequence[str | Path]
"""A command line."""


class BuildLog:
    """The log of one build, to which each command's words and output are added.

    Args:
        name: What is built, as in "ncnn-aarch64-gcc".
    """

    def __init__(self, name: str) -> None:
        self.path = cache_folder() / "logs" / f"{name}.log"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")

    def run(
        self,
        words: Words,
        what: str,
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        may_fail: bool = False,
    ) -> None:
        """Run a command to its end; interrupted, it and all that it started are ended.

        Args:
            words: The command line.
            what: What it does, as in "compiling ncnn".
            folder: Where it runs.
            environment: Variables that it has beside ours.
            may_fail: Whether a failure is as good.

        Raises:
            AgentBuildError: It failed, took too long, or there is no such program.
        """
        with self.path.open("ab") as log:
            log.write(f"\n$ {' '.join(map(str, words))}\n".encode())
            log.flush()
            start = log.tell()
            try:
                exit_code = _run(words, folder, {**os.environ, **(environment or {})}, log.fileno())
            except subprocess.TimeoutExpired as error:
                raise AgentBuildError(f"{what} did not end within {error.timeout:g} s", log=self.path) from error
            except OSError as error:
                raise AgentBuildError(f"{what}: cannot run {words[0]}: {error.strerror}", log=self.path) from error
        if exit_code and not may_fail:
            raise AgentBuildError(f"{what} failed", log=self.path, tail=self.tail(start))

    def tail(self, start: int = 0) -> str:
        """Return the lines from an offset on that say why a command failed, else the last ones, as one line."""
        with self.path.open("rb") as log:
            log.seek(start)
            lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        telling = [line for line in lines if any(word in line for word in _ERROR_WORDS)]
        return " | ".join((telling or lines)[-_SHOWN_LINES:])


def _run(words: Words, folder: Path, environment: Mapping[str, str], log: int) -> int:
    # A group of its own, so that compilers end with the build that started them.
    process = subprocess.Popen(
        list(map(str, words)),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait(_LONGEST_S)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def output_of(words: Sequence[str]) -> str | None:
    """Return what a short command prints, without the blank ends; None where it fails or there is none."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60.0)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

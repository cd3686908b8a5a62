"""Owns how a build says what it is at."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str], None]
"""Takes one line for people, such as "compiling ncnn for aarch64"."""


def unseen(line: str) -> None:
    """Take a line that nobody reads."""

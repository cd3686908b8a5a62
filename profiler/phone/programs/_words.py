"""The words of a command line on the phone, as a program that sees the phone's files in a folder of ours is given them.

A path becomes one that leads from the working folder to where the phone's file is shown, and never out of that folder:
neither what is absolute nor `..` reaches a file of this computer.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

_DEVICES = frozenset({"/dev/null", "/dev/zero", "/dev/full", "/dev/stdin", "/dev/stdout", "/dev/stderr"})
"""What is the same everywhere."""


def shown_words(words: Sequence[str], folder: str) -> list[str]:
    """Return the words with every path in them led into the shown folder.

    Args:
        words: Arguments as the phone's shell has them; `--name=PATH` holds a path, too.
        folder: The working folder on the phone, absolute.

    Example:
        >>> shown_words(["run", "/data/local/tmp/a/job", "--out=../x", "/etc/passwd"], "/data/local/tmp/a")
        ['run', 'job', '--out=../x', '../../../../etc/passwd']
    """
    return [_shown(word, folder) for word in words]


def _shown(word: str, folder: str) -> str:
    if word.startswith("-"):
        name, equals, value = word.partition("=")
        return f"{name}={_shown(value, folder)}" if equals and value[:1] != "-" else word
    if word in _DEVICES or not (word.startswith("/") or ".." in word.split("/")):
        return word
    # On the phone nothing is above its root, and so it must be here.
    return posixpath.relpath(posixpath.normpath(posixpath.join(folder, word)), folder)

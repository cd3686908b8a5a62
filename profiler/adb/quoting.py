"""The one place where words become a command line for a phone's shell, and paths on the phone are judged."""

from __future__ import annotations

import posixpath
import re
import shlex

from profiler.errors import ConfigError

DEFAULT_FOLDER = "/data/local/tmp/pocketnas"
"""Where everything of ours on a phone lies: the only place that adb may write to and run from."""

_OURS = re.compile(r"/data/local/tmp/pocketnas[A-Za-z0-9._-]*(?:/[A-Za-z0-9._-]+)*")


def command_line(*words: str) -> str:
    r"""Return words as a line that a POSIX shell reads back as just these words.

    Args:
        words: The command and its arguments; any text.

    Raises:
        ConfigError: A word has a NUL, which no argument can hold.

    Example:
        >>> command_line("rm", "-f", "--", "$(id).tflite")
        "rm -f -- '$(id).tflite'"
    """
    for word in words:
        if "\0" in word:
            raise ConfigError(f"{word[:100]!r} has a NUL character in it")
    return " ".join(shlex.quote(word) for word in words)


def remote_folder_path(path: str) -> str:
    """Return a folder on a phone in its shortest form, if we may own it.

    Args:
        path: As the user wrote it.

    Raises:
        ConfigError: It is not below /data/local/tmp under a name that starts with "pocketnas".

    Example:
        >>> remote_folder_path("/data/local/tmp/x/../pocketnas-ci/")
        '/data/local/tmp/pocketnas-ci'
    """
    normal = posixpath.normpath(path)
    if not _OURS.fullmatch(normal):
        raise ConfigError(
            f"{path[:200]!r} is not ours to write to; take {DEFAULT_FOLDER} or a name that starts so, "
            "of letters, digits, '.', '_' and '-'",
            key="remote_directory",
        )
    return normal

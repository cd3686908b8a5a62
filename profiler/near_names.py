"""What a message about an unknown word says of those that are known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from profiler.errors import ConfigError

_MAX_WORD_CHARS = 100
"""What is longer is no slip of a finger, and comparing it takes long."""
_SHOWN_CHARS = 60


def meant(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" when a known word is near, else nothing.

    Example:
        >>> meant("sep_konv_3x3", ["sep_conv_3x3", "none"])
        "; did you mean 'sep_conv_3x3'?"
    """
    near = difflib.get_close_matches(word[:_MAX_WORD_CHARS], sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" when a known word is near, else the list of the known ones.

    Example:
        >>> nearest("x", ["host", "adb"])
        '; known: adb, host'
    """
    names = sorted(known)
    return meant(word, names) or (f"; known: {', '.join(names)}" if names else "")


def require_known(word: str, known: Collection[str], *, what: str, key: str) -> str:
    """Return a word that is among the known ones.

    Args:
        word: As it was given.
        known: All that there are.
        what: What it should name, such as "algorithm".
        key: The option or key that it was given by.

    Raises:
        ConfigError: It is not among them; the nearest one is told.
    """
    if word not in known:
        shown = word[:_SHOWN_CHARS]
        raise ConfigError(f"unknown {what} {shown!r}{nearest(shown, known)}", key=key)
    return word

"""Owns how foreign text is made harmless before a person sees it.

Names of devices, models and operators come from phones, files and arguments.  On a terminal they could
move the cursor, change colours or pose as markup; here they become plain, short, printable text.
"""

from __future__ import annotations

from typing import Any

# Longer than any honest name or message; a 50 MB line from a device must not fill the screen.
SHOWN_CHARACTERS = 400


def inert(text: object, limit: int = SHOWN_CHARACTERS) -> str:
    r"""Return text as one printable line of at most `limit` characters.

    Args:
        text: Anything; its `str` is taken.
        limit: Most characters that are kept; longer text ends in "…".

    Returns:
        The text with every control, format, surrogate, unassigned and unusual space character as its escape.

    Example:
        >>> inert("Pixel\x1b[2J 8")
        'Pixel\\x1b[2J 8'
    """
    raw = str(text)
    cut = raw[: limit + 1]
    shown = "".join(character if character.isprintable() else _escaped(character) for character in cut)
    return shown if len(shown) <= limit and len(raw) <= limit else shown[: limit - 1] + "…"


def capped(value: Any, limit: int = SHOWN_CHARACTERS) -> Any:
    """Return a JSON value with no text longer than `limit` characters; a cut one ends in "…".

    Args:
        value: Of dicts, lists, tuples, texts and numbers.
        limit: Most characters of a text.
    """
    if isinstance(value, str):
        return value if len(value) <= limit else value[: limit - 1] + "…"
    if isinstance(value, dict):
        return {capped(key, limit): capped(item, limit) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [capped(item, limit) for item in value]
    return value


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")

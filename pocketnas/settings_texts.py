"""Owns how single settings of a training are written on the command line: KEY=VALUE, with dots into its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from profiler.errors import ConfigError
from profiler.near_names import nearest
from search.errors import SearchError

_SHOWN_CHARS = 60
_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}

Settings = TypeVar("Settings")


def with_settings(settings: Settings, texts: Sequence[str], option: str) -> Settings:
    """Return settings in which some have other values.

    Args:
        settings: A frozen dataclass of numbers, truths, and such dataclasses.
        texts: Such as "mixup=0.2" or "schedule.first_cycle=10".
        option: Where they were given, for the error.

    Raises:
        ConfigError: There is no such setting, the nearest one is named; or the value is not one of its kind.
    """
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (equals and name and value):
            raise ConfigError(f"{text[:_SHOWN_CHARS]!r} is not of the form KEY=VALUE", key=option)
        try:
            settings = _with(settings, name.split("."), name, value, option)
        except SearchError as error:
            raise ConfigError(f"{name[:_SHOWN_CHARS]}: {error}", key=option) from error
    return settings


def _with(settings: Any, path: Sequence[str], name: str, value: str, option: str) -> Any:
    known = [field.name for field in fields(settings)]
    first, *rest = path
    if first not in known:
        shown = name[:_SHOWN_CHARS]
        raise ConfigError(f"unknown setting {shown!r}{nearest(first[:_SHOWN_CHARS], known)}", key=option)
    present = getattr(settings, first)
    if is_dataclass(present) != bool(rest):
        inside = [f"{first}.{field.name}" for field in fields(present)] if is_dataclass(present) else []
        problem = f"{first!r} has parts; give one of {', '.join(inside)}" if inside else f"{first!r} has no parts"
        raise ConfigError(problem, key=option)
    return replace(
        settings, **{first: _with(present, rest, name, value, option) if rest else _read(present, name, value, option)}
    )


def _read(present: object, name: str, value: str, option: str) -> object:
    """Return a value of the kind of the present one."""
    wanted = "a whole number"
    try:
        if isinstance(present, bool):
            wanted = "true or false"
            return _TRUTHS[value.lower()]
        if isinstance(present, int):
            return int(value)
        wanted = "a number"
        return float(value)
    except (ValueError, KeyError) as error:
        shown = value[:_SHOWN_CHARS]
        raise ConfigError(f"{name[:_SHOWN_CHARS]} must be {wanted}, not {shown!r}", key=option) from error

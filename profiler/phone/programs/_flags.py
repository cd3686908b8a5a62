"""Command-line flags as TensorFlow's tools read them: `--name=value`, the first of each, the rest left over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Value = bool | int | float | str

_NUMBERS = {int: re.compile(r"\s*[+-]?\d+"), float: re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")}
_INT32_MAX = (1 << 31) - 1
_TYPE_NAMES = {bool: "bool", int: "int32", float: "float", str: "string"}


@dataclass(frozen=True)
class Flag:
    """A flag that a tool knows.

    Attributes:
        name: Its name without dashes.
        default: Its value when it is not given; its type is the flag's.
        label: What the log calls it; empty for one that the log leaves out.
        help: What it does, in a few words.
        always_logged: Whether the log shows it where it is not given, too.
    """

    name: str
    default: Value
    label: str = ""
    help: str = ""
    always_logged: bool = False


@dataclass(frozen=True)
class ParsedFlags:
    """What a command line says.

    Attributes:
        values: The value of every flag, by name.
        positions: Where in the command line each given flag stands, by name.
        left_over: Arguments that are no flag of the tool, or one that was there already.
        problems: What the tool prints about values that it cannot read.
    """

    values: Mapping[str, Value]
    positions: Mapping[str, int]
    left_over: tuple[str, ...]
    problems: tuple[str, ...]

    def on(self, name: str) -> bool:
        """Return a flag that is true or false."""
        return bool(self.values[name])

    def number(self, name: str) -> float:
        """Return a flag that is a number."""
        value = self.values[name]
        return value if isinstance(value, (int, float)) else 0.0

    def count(self, name: str) -> int:
        """Return a flag that is a whole number."""
        return int(self.number(name))

    def text(self, name: str) -> str:
        """Return a flag that is a text."""
        return str(self.values[name])


def parse_flags(flags: Sequence[Flag], arguments: Sequence[str]) -> ParsedFlags:
    """Return what a command line says to a tool."""
    values: dict[str, Value] = {flag.name: flag.default for flag in flags}
    by_name = {flag.name: flag for flag in flags}
    positions: dict[str, int] = {}
    left_over, problems = [], []
    for position, argument in enumerate(arguments, 1):
        name, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not equals or name not in by_name or name in positions:
            left_over.append(argument)
            continue
        positions[name] = position
        value = _value(by_name[name], text)
        if value is None:
            problems.append(f"Failed to parse flag '{name}' against argv '{argument}'")
        else:
            values[name] = value
    return ParsedFlags(values, positions, tuple(left_over), tuple(problems))


def usage(program: str, flags: Sequence[Flag]) -> str:
    """Return what a tool prints about its flags."""
    names = [
        f"--{flag.name}={shown(flag.default) if flag.default not in (True, False) else _word(flag)}" for flag in flags
    ]
    width = max(len(name) for name in names)
    rows = (
        f"\t{name:<{width}}\t{_TYPE_NAMES[type(flag.default)]}\toptional\t{flag.help}\n"
        for name, flag in zip(names, flags, strict=True)
    )
    return f"usage: {program} <flags>\nFlags:\n" + "".join(rows)


def shown(value: Value) -> str:
    """Return a value as C++ prints it."""
    return f"{value:g}" if isinstance(value, float) else str(int(value)) if isinstance(value, bool) else str(value)


def _word(flag: Flag) -> str:
    return str(flag.default).lower() if isinstance(flag.default, bool) else shown(flag.default)


def _value(flag: Flag, text: str) -> Value | None:
    kind = type(flag.default)
    if kind is str:
        return text
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text)
    # As a C++ stream reads: what follows the number is passed over, and an empty text is 0.
    found = _NUMBERS[kind].match(text)
    if found is None:
        return None if text else kind(0)
    value: Value = kind(found[0])
    return value if kind is float or abs(int(value)) <= _INT32_MAX else None

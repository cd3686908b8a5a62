"""What of a part of an output must be in the whole as well."""

from __future__ import annotations

from typing import Any


def new_numbers(part: Any, whole: Any, place: str = "") -> list[str]:
    """Return the places where a part of an output says a number that the whole does not say there."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return [
            found for name, value in part.items() for found in new_numbers(value, whole.get(name), f"{place}.{name}")
        ]
    if isinstance(part, (list, tuple)) and isinstance(whole, (list, tuple)):
        padded = [*whole, *[None] * (len(part) - len(whole))]
        return [
            found
            for at, (value, other) in enumerate(zip(part, padded, strict=False))
            for found in new_numbers(value, other, f"{place}[{at}]")
        ]
    if isinstance(part, (dict, list, tuple)):
        return [] if not part else [f"{place}: {part}"] if has_number(part) else []
    is_number = isinstance(part, (int, float)) and not isinstance(part, bool)
    return [f"{place}: {part} is {whole} in the whole"] if is_number and part != whole else []


def has_number(value: Any) -> bool:
    """Whether there is any number in a value."""
    if isinstance(value, dict):
        return any(has_number(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(has_number(item) for item in value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)

"""Reads a fault script from a YAML file: a list of faults under `faults:`; data/faults/README.md describes it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from profiler.errors import ConfigError
from profiler.near_names import nearest
from profiler.phone.faults import EFFECTS, Fault, FaultKind
from profiler.strict_yaml import Lines, read_strict_yaml

_ANYWHERE = frozenset({"kind", "after", "times", "share"})
_MAX_SECONDS = 86_400.0

Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 62)]


class _Entry(BaseModel):
    """The settings of any fault; which of them its kind takes is looked at apart."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: FaultKind
    match: Annotated[str, Field(strict=True, max_length=1000)] = ""
    after: Count = 0
    times: Annotated[int, Field(strict=True, ge=1)] | None = None
    share: Annotated[float, Field(strict=True, gt=0.0, le=1.0)] = 1.0
    at_bytes: Count = 0
    at_run: Count | None = None
    seconds: Annotated[float, Field(strict=True, ge=0.0, le=_MAX_SECONDS)] | None = None
    signal: Annotated[int, Field(strict=True, ge=1, le=31)] = 9
    status: Annotated[int, Field(strict=True, ge=1, le=5)] = 2
    level_percent: Annotated[int, Field(strict=True, ge=0, le=100)] = 10
    free_bytes: Count = 0
    latency_ns: float = 0.0  # not strict: YAML takes 1e300 for a text
    count: Count = 0


def load_faults(path: Path) -> tuple[Fault, ...]:
    """Return the faults that a file describes, in its order.

    Args:
        path: YAML file with one list, `faults`, of mappings with a `kind` and settings of profiler.phone.Fault.

    Raises:
        ConfigError: The file cannot be read, is no such list, or has an unknown kind, a setting that is not the
            kind's, or a value that does not fit; it carries the line.
    """
    content, lines = read_strict_yaml(path)
    if not isinstance(content, dict) or set(content) != {"faults"} or not isinstance(content["faults"], tuple):
        raise ConfigError("the file holds one list, `faults:`, of mappings with a `kind`", path=path, line=1)
    return tuple(_fault(settings, place, path, lines) for place, settings in enumerate(content["faults"]))


def _fault(settings: Any, number: int, path: Path, lines: Lines) -> Fault:
    place = ("faults", str(number))
    key = f"faults[{number}]"
    if not isinstance(settings, dict):
        raise ConfigError("a fault is a mapping with a `kind`", path=path, line=lines.line(place), key=key)
    kind = settings.get("kind")
    if not isinstance(kind, str) or kind not in EFFECTS:
        problem = "`kind:` is missing" if kind is None else f"unknown kind {kind!r}"
        line = lines.line((*place, "kind")) if "kind" in settings else lines.line(place)
        raise ConfigError(problem + nearest(str(kind), EFFECTS), path=path, line=line, key=key)
    taken = EFFECTS[kind].settings | _ANYWHERE  # type: ignore[index]
    if foreign := next((name for name in settings if name not in taken), None):
        known = {field.name for field in fields(Fault)}
        problem = f"{kind} takes no {foreign!r}" if foreign in known else f"unknown key {foreign!r}"
        line = lines.line((*place, foreign))
        raise ConfigError(problem + nearest(foreign, taken), path=path, line=line, key=key)
    try:
        return Fault(**_Entry.model_validate(settings).model_dump())
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        name = str(first["loc"][0])
        line = lines.line((*place, name))
        raise ConfigError(first["msg"], path=path, line=line, key=f"{key}.{name}") from err

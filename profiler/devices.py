"""The devices a user has, as devices.yaml describes them.

Owns the file's schema and its safe reading (profiler._strict_yaml); opening a device is the backends' part.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from profiler._strict_yaml import Lines, read_strict_yaml
from profiler.errors import ConfigError, DeviceNotFoundError
from profiler.runtimes import RUNTIMES, Runtime

_MAX_NAME_CHARS = 100

Text = Annotated[str, StringConstraints(min_length=1, max_length=4096, strict=True)]
Count = Annotated[int, Field(strict=True)]


class Device(BaseModel):
    """A device as configured; the base of one model for each backend.

    Attributes:
        name: Its key in devices.yaml; goes into every row measured on it.
        backend: Which backend opens it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, StringConstraints(min_length=1, max_length=_MAX_NAME_CHARS)]
    backend: str

    @field_validator("name")
    @classmethod
    def _is_printable(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip():
            raise ValueError("a name is printable text without spaces around it")
        return name


class HostDevice(Device):
    """This machine's own processor, under one runtime.

    Attributes:
        runtime: Name of the runtime: a key of profiler.runtimes.RUNTIMES.
        threads: Threads the runtime uses.
        cpus: Processors the runtime is bound to: a list, "auto" for the last `threads` ones that we may
            use, or "any" for no binding.
        delegate: What computes under litert and tflite-runtime: "xnnpack" or "builtin"; None for the default.
        execution_provider: What computes under onnxruntime; None for the default.
        python: Interpreter that has the runtime, for one that cannot live beside pocketnas; None for our own.
        timeout_s: Longest time that one block of runs may take.
    """

    backend: Literal["host"] = "host"
    runtime: Text = "litert"
    threads: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    cpus: (
        Literal["auto", "any"] | Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(min_length=1)]
    ) = "auto"
    delegate: Text | None = None
    execution_provider: Text | None = None
    python: Text | None = None
    timeout_s: Annotated[float, Field(strict=True, gt=0, le=86400)] = 300.0

    @field_validator("runtime")
    @classmethod
    def _is_known(cls, runtime: str) -> str:
        if runtime not in RUNTIMES:
            raise ValueError(f"unknown runtime {runtime!r}{_nearest(runtime, RUNTIMES)}")
        return runtime

    @model_validator(mode="after")
    def _fits_together(self) -> HostDevice:
        runtime = RUNTIMES[self.runtime]
        for option in {kind.accelerator_option for kind in RUNTIMES.values()} - {runtime.accelerator_option}:
            if getattr(self, option) is not None:
                raise ValueError(f"{option} is not for {self.runtime}, which takes {runtime.accelerator_option}")
        if runtime.accelerators is not None and self.accelerator not in runtime.accelerators:
            near = _nearest(self.accelerator, runtime.accelerators)
            raise ValueError(f"unknown {runtime.accelerator_option} {self.accelerator!r}{near}")
        if not isinstance(self.cpus, str) and len(set(self.cpus)) < self.threads:
            raise ValueError(f"{self.threads} threads need as many different cpus, and {list(self.cpus)} are given")
        return self

    @property
    def accelerator(self) -> str:
        """The delegate or execution provider, whichever the runtime has; its default when none is set."""
        runtime: Runtime = RUNTIMES[self.runtime]
        chosen: str | None = getattr(self, runtime.accelerator_option)
        return chosen or runtime.default_accelerator


DEVICE_MODELS: dict[str, type[Device]] = {"host": HostDevice}
"""The model of each backend's devices; profiler.backends.BACKENDS has the backends themselves."""


def load_devices(path: Path) -> dict[str, Device]:
    """Return the devices that a file describes, by name, in the file's order.

    Args:
        path: YAML file with one mapping, `devices`, from name to settings.

    Raises:
        ConfigError: The file cannot be read, is no such mapping, is too large, or has an unknown or
            repeated key, an unknown backend or a value that does not fit; it carries the line.
    """
    content, lines = read_strict_yaml(path)
    if not isinstance(content, dict) or set(content) != {"devices"} or not isinstance(content["devices"], dict):
        found = next((key for key in content if key != "devices"), None) if isinstance(content, dict) else None
        hint = f", not {found!r}{_nearest(found, ['devices'])}" if found else ""
        raise ConfigError(
            f"the file holds one mapping, `devices:`, from names to settings{hint}",
            path=path,
            line=lines.line((found,) if found else ()),
        )
    return {name: _device(name, settings, path, lines) for name, settings in content["devices"].items()}


def find_device(devices: Mapping[str, Device], name: str) -> Device:
    """Return the device of a name.

    Raises:
        DeviceNotFoundError: There is none; the message lists those that are.
    """
    if name not in devices:
        known = ", ".join(repr(known) for known in devices) or "none"
        raise DeviceNotFoundError(name, f"no such device{_nearest(name, devices)}; devices.yaml has {known}")
    return devices[name]


def _device(name: str, settings: Any, path: Path, lines: Lines) -> Device:
    place = ("devices", name)
    if not isinstance(settings, dict):
        raise ConfigError("a device is a mapping of settings", path=path, line=lines.line(place), key=name)
    backend = settings.get("backend")
    if not isinstance(backend, str) or backend not in DEVICE_MODELS:
        problem = "`backend:` is missing" if "backend" not in settings else f"unknown backend {backend!r}"
        raise ConfigError(
            f"{problem}{_nearest(str(backend), DEVICE_MODELS)}",
            path=path,
            line=lines.line((*place, "backend")),
            key=f"{name}.backend",
        )
    model = DEVICE_MODELS[backend]
    if "name" in settings:
        raise ConfigError(
            "a device's name is its key", path=path, line=lines.line((*place, "name")), key=f"{name}.name"
        )
    try:
        return model.model_validate({**settings, "name": name})
    except ValidationError as err:
        raise _config_error(err, model, name, path, lines) from err


def _config_error(error: ValidationError, model: type[Device], name: str, path: Path, lines: Lines) -> ConfigError:
    """Return the first problem that validation found, with the line and key it is at."""
    first = error.errors(include_url=False)[0]
    location = tuple(str(part) for part in first["loc"])
    problem = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        problem = f"unknown key{_nearest(location[0], set(model.model_fields) - {'name'})}"
    key = ".".join((name, *location[:1]))
    return ConfigError(problem, path=path, line=lines.line(("devices", name, *location)), key=key)


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" when a known word is near, else the list of the known ones."""
    names = sorted(known)
    near = difflib.get_close_matches(word[:_MAX_NAME_CHARS], names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""

"""The devices a user has, as devices.yaml describes them.

Owns the file's schema and its safe reading (profiler.strict_yaml); opening a device is the backends' part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from profiler.errors import ConfigError, DeviceNotFoundError
from profiler.near_names import meant, nearest
from profiler.runtimes import AGENT_RUNTIMES, RUNTIMES, AgentRuntime, Runtime
from profiler.runtimes.phone_tools import PHONE_TOOLS, PhoneTool
from profiler.strict_yaml import Lines, read_strict_yaml

AnyRuntime = Runtime | PhoneTool | AgentRuntime

HOST_RUNTIMES: Mapping[str, Runtime | AgentRuntime] = {**RUNTIMES, **AGENT_RUNTIMES}
"""Every runtime that a host device may have, by its name."""

PHONE_RUNTIMES: Mapping[str, PhoneTool | AgentRuntime] = {**PHONE_TOOLS, **AGENT_RUNTIMES}
"""Every runtime that a phone may have, by its name: a program that the user brings, or our agent."""

_MAX_NAME_CHARS = 100
_DEFAULT_TOOL, _DEFAULT_AGENT = "benchmark_model", "agent-litert"

Text = Annotated[str, StringConstraints(min_length=1, max_length=4096, strict=True)]
Threads = Annotated[int, Field(strict=True, ge=1, le=1024)]
Cpus = Literal["auto", "any"] | Annotated[tuple[Annotated[int, Field(strict=True, ge=0)], ...], Field(min_length=1)]
Timeout = Annotated[float, Field(strict=True, gt=0, le=86400)]


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
        runtime: Name of the runtime: a key of HOST_RUNTIMES.
        threads: Threads the runtime uses.
        cpus: Processors the runtime is bound to: a list, "auto" for the last `threads` ones that we may
            use, or "any" for no binding.
        delegate: What computes under litert, tflite-runtime and agent-litert: "xnnpack" or "builtin"; None for the
            default.
        execution_provider: What computes under onnxruntime; None for the default.
        precision: Of what ncnn computes: "fp32" or "fp16", where the processor has it; None for the default.
        python: Interpreter that has the runtime, for one that cannot live beside pocketnas; None for our own.
        timeout_s: Longest time that one block of runs may take.
    """

    backend: Literal["host"] = "host"
    runtime: Text = "litert"
    threads: Threads = 1
    cpus: Cpus = "auto"
    delegate: Text | None = None
    execution_provider: Text | None = None
    precision: Text | None = None
    python: Text | None = None
    timeout_s: Timeout = 300.0

    @field_validator("runtime")
    @classmethod
    def _is_known(cls, runtime: str) -> str:
        if runtime not in HOST_RUNTIMES:
            raise ValueError(f"unknown runtime {runtime!r}{nearest(runtime, HOST_RUNTIMES)}")
        return runtime

    @model_validator(mode="after")
    def _fits_together(self) -> HostDevice:
        _require_accelerator(self, HOST_RUNTIMES[self.runtime], HOST_RUNTIMES.values())
        _require_enough(self.cpus, self.threads)
        return self

    @property
    def accelerator(self) -> str:
        """What computes: the delegate or execution provider chosen, or the runtime's default."""
        return _accelerator(self, HOST_RUNTIMES[self.runtime])


class PhoneDevice(Device):
    """What a phone is asked to run models with; the base of real and emulated ones.

    Attributes:
        runtime: Name of what runs models: a key of PHONE_RUNTIMES.
        threads: Threads the program uses.
        cpus: Cores the program is bound to: a list, "auto" for the `threads` fastest ones, or "any" for no binding.
        delegate: What computes under benchmark_model: "xnnpack", "builtin", "gpu" or "nnapi"; under agent-litert one of
            the first two; None for the default.
        execution_provider: What computes under onnxruntime_perf_test; None for the default.
        precision: What agent-ncnn computes in: "fp32" or "fp16"; None for the default.
        nnapi_accelerator: NNAPI's name of the chip that computes, for the delegate "nnapi"; None for its own choice.
        warmup_s: Seconds that a model runs before it is timed, so that clocks have risen: the least of them under
            programs; under the agent, which stops when runs get no faster, the most beyond the least runs.
        temperature_limit_c: Above it, in the hottest thermal zone, the agent lets the phone cool down before a block;
            None for no limit.
        frequency_share: Below this share of its core's highest frequency it does so, too; None for no such limit.
        timeout_s: Longest time that one block of runs may take.
    """

    runtime: Text = _DEFAULT_TOOL
    threads: Threads = 1
    cpus: Cpus = "auto"
    delegate: Text | None = None
    execution_provider: Text | None = None
    precision: Text | None = None
    nnapi_accelerator: Text | None = None
    warmup_s: Annotated[float, Field(strict=True, ge=0, le=3600)] = 0.2
    temperature_limit_c: Annotated[float, Field(strict=True, gt=0, le=150)] | None = None
    frequency_share: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    timeout_s: Timeout = 300.0

    @field_validator("runtime")
    @classmethod
    def _is_known(cls, runtime: str) -> str:
        if runtime not in PHONE_RUNTIMES:
            raise ValueError(f"unknown runtime {runtime!r}{nearest(runtime, PHONE_RUNTIMES)}")
        return runtime

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        _require_accelerator(self, PHONE_RUNTIMES[self.runtime], PHONE_RUNTIMES.values())
        _require_enough(self.cpus, self.threads)
        if self.nnapi_accelerator and self.accelerator != "nnapi":
            raise ValueError(f"nnapi_accelerator is for delegate: nnapi, not {self.accelerator}")
        for option in ("temperature_limit_c", "frequency_share"):
            if getattr(self, option) is not None and self.runtime not in AGENT_RUNTIMES:
                raise ValueError(f"{option} is for the agent, which looks at it beside each block, not {self.runtime}")
        return self

    @property
    def accelerator(self) -> str:
        """What computes: the delegate or execution provider chosen, or the program's default."""
        return _accelerator(self, PHONE_RUNTIMES[self.runtime])


class AdbDevice(PhoneDevice):
    """A phone that is reached over ADB.

    Attributes:
        serial: As `adb devices` lists it: a serial number, or host:port.
        program: Path, on this computer, of the program that `runtime` names, built for the phone; None for the agent,
            which is then the default runtime.
        remote_directory: Folder on the phone that is ours; below /data/local/tmp, its name begins with "pocketnas".
    """

    backend: Literal["adb"] = "adb"
    serial: Text
    program: Text | None = None
    remote_directory: Text = "/data/local/tmp/pocketnas"

    @model_validator(mode="before")
    @classmethod
    def _has_a_runtime(cls, settings: Any) -> Any:
        if not isinstance(settings, dict) or settings.get("runtime") is not None:
            return settings
        return {**settings, "runtime": _DEFAULT_AGENT if settings.get("program") is None else _DEFAULT_TOOL}

    @model_validator(mode="after")
    def _has_its_program(self) -> Self:
        if self.runtime in AGENT_RUNTIMES and self.program is not None:
            raise ValueError(f"program is not for {self.runtime}, which brings its own; leave it out")
        if self.runtime not in AGENT_RUNTIMES and self.program is None:
            raise ValueError(
                f"{self.runtime} needs `program:`, the path of one built for the phone; {_DEFAULT_AGENT} needs none"
            )
        return self

    @field_validator("remote_directory")
    @classmethod
    def _is_ours(cls, path: str) -> str:
        # Here, for the transport and its libraries need not be loaded for a file without phones.
        from profiler.adb import remote_folder_path

        try:
            return remote_folder_path(path)
        except ConfigError as err:
            raise ValueError(err.problem) from err


class EmulatedDevice(PhoneDevice):
    """A phone that exists in this process only; it is driven over the real ADB protocol on the loopback address.

    Attributes:
        phone: Name of a shipped phone, such as "pixel4", or the path of a .yaml file that describes one.
        seed: Fixes its noise.
        speed: Share of real time that its virtual time takes: 1 for a phone that takes as long as a real one, 0 for one
            that takes only as long as it takes to compute.
        faults: Path of a .yaml file with what goes wrong; None for nothing.
    """

    backend: Literal["emulated"] = "emulated"
    phone: Text = "pixel4"
    seed: Annotated[int, Field(strict=True, ge=0)] = 0
    speed: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.0
    faults: Text | None = None


DEVICE_MODELS: dict[str, type[Device]] = {"host": HostDevice, "adb": AdbDevice, "emulated": EmulatedDevice}
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
        hint = f", not {found!r}{nearest(found, ['devices'])}" if found else ""
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
        raise DeviceNotFoundError(name, f"no such device{meant(name, devices)}; devices.yaml has {known}")
    return devices[name]


def with_runtime(device: Device, runtime: str) -> Device:
    """Return a device under another runtime; the program that a phone's own runtime needed is left out for the agent.

    Args:
        device: The device.
        runtime: The runtime, as devices.yaml has it.

    Raises:
        ConfigError: The device cannot have it, or has settings that do not go with it.
    """
    settings = {**device.model_dump(exclude_unset=True), "backend": device.backend, "runtime": runtime}
    if runtime in AGENT_RUNTIMES:
        settings.pop("program", None)
    try:
        return type(device).model_validate(settings)
    except ValidationError as err:
        problem, _ = _first_problem(err, type(device))
        raise ConfigError(f"{device.name}: {problem}", key="runtime") from err


def _device(name: str, settings: Any, path: Path, lines: Lines) -> Device:
    place = ("devices", name)
    if not isinstance(settings, dict):
        raise ConfigError("a device is a mapping of settings", path=path, line=lines.line(place), key=name)
    backend = settings.get("backend")
    if not isinstance(backend, str) or backend not in DEVICE_MODELS:
        problem = "`backend:` is missing" if "backend" not in settings else f"unknown backend {backend!r}"
        raise ConfigError(
            f"{problem}{nearest(str(backend), DEVICE_MODELS)}",
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


def _accelerator(device: HostDevice | PhoneDevice, runtime: AnyRuntime) -> str:
    chosen: str | None = getattr(device, runtime.accelerator_option)
    return chosen or runtime.default_accelerator


def _require_accelerator(
    device: HostDevice | PhoneDevice, runtime: AnyRuntime, all_runtimes: Iterable[AnyRuntime]
) -> None:
    for option in {kind.accelerator_option for kind in all_runtimes} - {runtime.accelerator_option}:
        if getattr(device, option) is not None:
            raise ValueError(f"{option} is not for {runtime.name}, which takes {runtime.accelerator_option}")
    accelerator = _accelerator(device, runtime)
    if runtime.accelerators is not None and accelerator not in runtime.accelerators:
        near = nearest(accelerator, runtime.accelerators)
        raise ValueError(f"unknown {runtime.accelerator_option} {accelerator!r}{near}")


def _require_enough(cpus: Cpus, threads: int) -> None:
    if not isinstance(cpus, str) and len(set(cpus)) < threads:
        raise ValueError(f"{threads} threads need as many different cpus, and {list(cpus)} are given")


def _config_error(error: ValidationError, model: type[Device], name: str, path: Path, lines: Lines) -> ConfigError:
    """Return the first problem that validation found, with the line and key it is at."""
    problem, location = _first_problem(error, model)
    key = ".".join((name, *location[:1]))
    return ConfigError(problem, path=path, line=lines.line(("devices", name, *location)), key=key)


def _first_problem(error: ValidationError, model: type[Device]) -> tuple[str, tuple[str, ...]]:
    first = error.errors(include_url=False)[0]
    location = tuple(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key{nearest(location[0], set(model.model_fields) - {'name'})}", location
    return first["msg"].removeprefix("Value error, "), location

"""`pocketnas devices`: what is configured, what it turns out to be, and what speaks against measuring on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pocketnas.cli._configured import configured_devices
from pocketnas.cli._options import Config, Json
from pocketnas.cli._screen import Screen, table
from profiler.errors import PocketnasError

if TYPE_CHECKING:
    from profiler.backends.base import Check, DeviceFacts
    from profiler.devices import Device


@dataclass(frozen=True)
class _Answer:
    """What a device said of itself; an error and no facts when it could not be opened."""

    device: str
    backend: str
    source: str | None = None
    facts: DeviceFacts | None = None
    checks: tuple[Check, ...] = ()
    error: str | None = None


def command(config: Config = None, as_json: Json = False) -> None:
    """List the devices: processor, runtime, and checks that make measurements doubtful.

    Every device is opened for a moment; one that cannot be opened is listed with its error.

    Example: pocketnas devices --config devices.yaml
    """
    screen = Screen(as_json=as_json)
    answers = [_ask(device) for device in configured_devices(config).values()]
    columns = ["device", "backend", "source", "processor", "cores", "runtime", "threads", "accelerator"]
    screen.show(table("", columns, [_row(answer) for answer in answers], right=["cores", "threads"]))
    for answer in answers:
        for check in answer.checks:
            screen.show(f"{answer.device}: {check.id}: {check.detail}")
        if answer.error:
            screen.show(f"{answer.device}: error: {answer.error}")
    screen.document({"devices": [asdict(answer) for answer in answers]})


def _ask(device: Device) -> _Answer:
    from profiler.backends import open_backend

    try:
        with open_backend(device) as backend:
            return _Answer(device.name, device.backend, backend.source, backend.facts(), backend.checks())
    except PocketnasError as error:
        return _Answer(device.name, device.backend, error=str(error))


def _row(answer: _Answer) -> list[object]:
    facts = answer.facts
    if facts is None:
        return [answer.device, answer.backend, "", "not reached", "", "", "", ""]
    runtime = f"{facts.runtime} {facts.runtime_version}"
    return [
        answer.device,
        answer.backend,
        answer.source,
        facts.processor,
        facts.cores,
        runtime,
        facts.threads,
        facts.accelerator,
    ]

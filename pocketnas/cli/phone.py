"""`pocketnas phone`: an emulated phone that ADB clients on this computer can connect to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pocketnas.cli._options import Json
from pocketnas.cli._screen import Screen

_MAX_PORT = 65535


def command(
    action: Annotated[Literal["serve"], typer.Argument(metavar="serve", help="What to do with it.")],  # noqa: ARG001
    name: Annotated[
        str, typer.Option("--phone", metavar="NAME|FILE", help="Shipped phone, or a .yaml file that describes one.")
    ] = "pixel4",
    port: Annotated[int, typer.Option("--port", min=0, max=_MAX_PORT, help="Port to listen on; 0 for any.")] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Fixes what would be random on it.")] = 0,
    faults: Annotated[
        Path | None,
        typer.Option("--faults", metavar="FILE", help="YAML file of what goes wrong on it, as in data/faults/"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Serve an emulated phone on this computer until interrupted.

    It speaks ADB's own protocol, so that `adb connect` and pocketnas itself can use it as they use a phone.  With
    --json one line {"host", "port", "serial"} says when it listens; the serial is what `adb devices` lists it as.

    Programs for arm64 that are pushed to it really run, where qemu-user-static is installed; only programs of the same
    user can connect.

    With --faults it misbehaves as a script says: a list `faults:` of mappings with a `kind` (unauthorized, cut_push,
    reboot, kill, throttle and others), when it happens (match, at_run, after, share) and how often (times).

    Example: pocketnas phone serve --phone pixel4 --port 5555 --faults data/faults/bad-day.yaml
    """
    from profiler.phone import Phone, PhoneServer, load_faults, load_phone

    screen = Screen(as_json=as_json)
    phone = Phone(load_phone(name), seed=seed, faults=load_faults(faults) if faults else ())
    with PhoneServer(phone, port=port) as server:
        screen.note(f"emulated {name}, serial {phone.description.serial}; interrupt to end it")
        screen.show(f"adb connect {server.address}")
        screen.line({"host": server.host, "port": server.port, "serial": server.address})
        server.wait()

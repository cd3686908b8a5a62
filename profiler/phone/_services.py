"""The services that a client may open by name: sync, shell, shell v2 and exec."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from profiler.phone._shell_service import serve_shell
from profiler.phone._stream import Stream
from profiler.phone._sync_service import serve_sync
from profiler.phone.phone import Phone

Service = Callable[[Stream], Awaitable[None]]


def service_of(phone: Phone, name: str) -> Service | None:
    """Return what serves a name such as `shell,v2,raw:ls`; None when the phone has no such service."""
    kind, _, rest = name.partition(":")
    word, *options = kind.split(",")
    if name == "sync:":
        return lambda stream: serve_sync(phone, stream)
    if word == "exec":
        return lambda stream: serve_shell(phone, stream, rest, name=name, v2=False)
    if word == "shell":
        v2 = "v2" in options
        if v2 and "shell_v2" not in phone.features:
            return None
        return lambda stream: serve_shell(phone, stream, rest, name=name, v2=v2)
    return None

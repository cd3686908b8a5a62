"""The log of TensorFlow Lite's tools: every line with its severity, on standard error."""

from __future__ import annotations

from profiler.phone._io import Sink


class Log:
    """Writes lines as the tools do.

    Args:
        sink: Where they go.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def info(self, text: str) -> None:
        """Write what the tool is doing."""
        await self._write("INFO", text)

    async def verbose(self, text: str) -> None:
        """Write what the runtime is doing."""
        await self._write("VERBOSE", text)

    async def warning(self, text: str) -> None:
        """Write what may be wrong."""
        await self._write("WARNING", text)

    async def error(self, text: str) -> None:
        """Write what is wrong."""
        await self._write("ERROR", text)

    async def _write(self, severity: str, text: str) -> None:
        await self._sink(f"{severity}: {text}\n".encode(errors="surrogateescape"))

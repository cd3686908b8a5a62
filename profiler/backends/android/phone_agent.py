"""Our agent for a phone: what it is, whether it fits, and how it gets there; it is built when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final

from profiler.adb import RemoteFolder
from profiler.agent import AgentBuild, built_agent
from profiler.agent.build import engine_version
from profiler.agent.bundle import PROGRAM, AgentBundle
from profiler.backends.android.facts import PhoneFacts
from profiler.errors import AgentUnfitError, RuntimeNotSupportedError
from profiler.runtimes import AgentRuntime

_TARGET: Final = "aarch64"
_PAGE_BYTES = 4096
"""What a phone has that does not say; others are of after 2024, and have getconf."""


class PhoneAgent:
    """The agent with one engine.

    Args:
        runtime: The engine's runtime.
        build: Gives the build; tests bring their own.

    Attributes:
        path: Its folder on the phone, as it was put there last.
    """

    def __init__(self, runtime: AgentRuntime, build: Callable[[], AgentBuild] | None = None) -> None:
        self._runtime = runtime
        self._build = build or (lambda: built_agent(runtime.engine, _TARGET))
        self.path = ""

    @property
    def version(self) -> str:
        """The version of the engine that it is built with."""
        return engine_version(self._runtime.engine)

    @property
    def words(self) -> tuple[str, ...]:
        """What starts it in its folder."""
        return self._bundle.words or (f"./{PROGRAM}",)

    def require_fits(self, serial: str, facts: PhoneFacts) -> None:
        """Refuse a phone that it cannot run on, before it is sent.

        Raises:
            RuntimeNotSupportedError: It is for another processor or other pages of memory.
        """
        try:
            self._bundle.require_fits(facts.abis or ("arm64-v8a",), facts.page_size or _PAGE_BYTES)
        except AgentUnfitError as err:
            raise RuntimeNotSupportedError(serial, self._runtime.name, str(err)) from err

    def put(self, folder: RemoteFolder) -> None:
        """Have it on the phone.

        Raises:
            DeviceError: It cannot be sent.
        """
        self.path = folder.put_bundle(self._bundle.files, self._bundle.key)

    @cached_property
    def _bundle(self) -> AgentBundle:
        return self._build().bundle()

"""Has our agent built for the devices of a command before they are opened, and says what is going on meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pocketnas.cli._screen import Screen
    from profiler.devices import Device


def ready_agents(screen: Screen, devices: Sequence[Device]) -> None:
    """Build the agents that devices need and that are not built yet, which takes minutes.

    Raises:
        AgentBuildError: One cannot be built.
        RuntimeNotSupportedError: One is not for this computer.
    """
    from profiler.backends import agent_of

    needed = {agent for device in devices if (agent := agent_of(device)) is not None}
    if needed:
        from profiler.agent import built_agent

        for engine, target in sorted(needed):
            built_agent(engine, target, progress=screen.note)

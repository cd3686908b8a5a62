"""`pocketnas doctor`: whether a device is fit to be measured on, step by step, and what to do where it is not."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from pocketnas.cli._agents import ready_agents
from pocketnas.cli._configured import configured_device
from pocketnas.cli._options import Config, DeviceName, Json
from pocketnas.cli._screen import Screen
from pocketnas.cli._text import capped, inert

if TYPE_CHECKING:
    from profiler.examination import Finding

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red", "not reached": "dim"}


def command(device: DeviceName = "host", config: Config = None, as_json: Json = False) -> int:
    """Look a device over as a job on it would go: lease, connection, program, storage, heat, battery, one measurement.

    Each step is ok, warn (measurements would be doubtful) or fail, with what to do.  The exit code is 0 when no step
    fails, and then a device that was set aside after faults may be used again; else it is what a job would end with.

    Example: pocketnas doctor --device pixel
    """
    from profiler.examination import examine

    screen = Screen(as_json=as_json)
    findings = []
    looked_at = configured_device(config, device)
    ready_agents(screen, [looked_at])
    for finding in examine(looked_at):
        findings.append(finding)
        screen.show(_line(finding))
    code = next((finding.exit_code for finding in findings if finding.outcome == "fail"), 0)
    screen.document(capped({"device": device, "exit_code": code, "checks": [asdict(each) for each in findings]}))
    return code


def _line(finding: Finding) -> Table:
    """Return a finding as a line whose detail stays in its column, however narrow the terminal is."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for width in (len("not reached"), len("authorised"), None):
        grid.add_column(width=width)
    grid.add_row(Text(finding.outcome, style=_STYLES[finding.outcome]), finding.step, Text(inert(finding.detail)))
    return grid

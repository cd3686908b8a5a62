"""Owns the program `pocketnas`: its commands, and how every way of ending becomes an exit code.

Exit codes: 0 done; 2 usage or bad input; 4 no network satisfies the constraint; 73 the device is in use;
75 the infrastructure failed and a retry may help; 130 interrupted.  Errors are one line on stderr.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import typer

from pocketnas.cli import (
    agent,
    devices,
    doctor,
    explain,
    fit,
    fusion,
    parse,
    phone,
    predict,
    profile,
    quickstart,
    report,
    search,
    table,
    verify,
)
from pocketnas.cli._screen import fail
from profiler.errors import PocketnasError

INTERRUPTED = 130
_BAD_INPUT = 2
_INFRASTRUCTURE_FAILED = 75

app = typer.Typer(
    name="pocketnas",
    help="Find neural networks that are accurate and fast enough on the devices you have.",
    epilog="Start with: pocketnas quickstart --fast",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (
    ("quickstart", quickstart.command, "The whole road in one command."),
    ("devices", devices.command, "List the devices and how they are."),
    ("doctor", doctor.command, "Check a device and say what to do."),
    ("profile", profile.command, "Measure kernels and networks on a device."),
    ("table", table.command, "Show or export what was measured."),
    ("fit", fit.command, "Learn to predict latency from what was measured."),
    ("predict", predict.command, "Predict the latency of model files."),
    ("search", search.command, "Find accurate networks within a budget."),
    ("verify", verify.command, "Measure, train and export what was found."),
    ("report", report.command, "Make report.html of a result."),
    ("fusion", fusion.command, "Find out what runs as one step."),
    ("explain", explain.command, "Say where a predicted latency goes."),
    ("agent", agent.command, "Build the program that measures on phones."),
    ("phone", phone.command, "Serve an emulated phone to ADB clients."),
    ("parse", parse.command, "Read a saved output of a benchmark tool or a phone."),
)
for _name, _command, _summary in _COMMANDS:
    app.command(name=_name, short_help=_summary)(_command)


@app.callback()
def _program() -> None:
    """Find neural networks that are accurate and fast enough on the devices you have."""


def main() -> None:
    """Run the program with the process's arguments and end the process.

    A request to end, or a terminal that is closed, is an interrupt: phones are left as they were found after it, too.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        # A program that was told to ignore the signal, as by nohup, goes on doing so.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run the program.

    Args:
        arguments: The command line without the program's name.

    Returns:
        The exit code.
    """
    try:
        ended = typer.main.get_command(app).main(
            list(arguments) or ["--help"], prog_name="pocketnas", standalone_mode=False
        )
        # Here and not at the interpreter's end, which could only say that it failed.
        sys.stdout.flush()
    except PocketnasError as error:
        fail(str(error))
        return error.exit_code
    except typer.TyperException as error:
        fail(f"{error.format_message()} (see --help)")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        fail("interrupted")
        return INTERRUPTED
    except (SystemExit, BrokenPipeError) as error:
        # typer ends so when any pipe or connection breaks.
        return _reader_left() if _reader_is_gone() else _broken(error)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return _INFRASTRUCTURE_FAILED if error.errno in (errno.ENOSPC, errno.EIO, errno.EDQUOT) else _BAD_INPUT
    if ended == INTERRUPTED:
        fail("interrupted")
    return ended if isinstance(ended, int) else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _reader_is_gone() -> bool:
    """Say whether nobody reads our output any more; a file or a terminal always has a reader."""
    poll = select.poll()
    poll.register(sys.__stdout__.fileno() if sys.__stdout__ else 1, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _broken(error: BaseException | None) -> int:
    """Say that a connection broke, or that it did because of an interrupt."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            fail("interrupted")
            return INTERRUPTED
        error = error.__cause__ or error.__context__
    fail("a connection broke; the same command may work later")
    return _INFRASTRUCTURE_FAILED


def _reader_left() -> int:
    """End quietly: whoever read our output went away, as in `pocketnas table … | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0

"""The command line: one module a command, and how the program starts and ends."""

from pocketnas.cli._app import app, main, run

__all__ = ["app", "main", "run"]

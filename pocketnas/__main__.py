"""Lets `python -m pocketnas` do what the command `pocketnas` does."""

from pocketnas.cli import main

main()

"""How a program ends before it has a result."""


class ProgramFailedError(Exception):
    """A program cannot go on; its text is what is still to be said of it, if anything."""

"""The process that loads models and times them, in whichever interpreter a device names.

This package runs where pocketnas is not installed: it imports the standard library, numpy and the one
runtime it is asked for, keeps to Python 3.10's syntax, and shares only `frames` with its parent.
"""

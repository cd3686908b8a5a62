"""The front door: command line and report; the only package that knows the other three."""

"""The emulated phone's shell: enough of POSIX for what adb's users send, and bounded."""

from profiler.phone.shell._interpreter import run_script

__all__ = ["run_script"]

"""Runs a program and takes leave of the orphans that it makes, as a phone's init does; a container's often does not.

python reaping_parent.py PROGRAM    as nobody where this runs as root; prints the program's process id
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36


def main(command: list[str]) -> None:
    user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, **user)
    os.write(1, b"%d\n" % program.pid)
    # Orphans of the program may outlive it.
    with suppress(ChildProcessError):
        while True:
            os.wait()


if __name__ == "__main__":
    main(sys.argv[1:])

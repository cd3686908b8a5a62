"""Speaks as a worker does without computing anything: what it does with a job is in the network's name.

"0.25" scores that; "exit-once 0.25" ends at the first time and scores later; "exit-always" never scores.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def main(folder: Path) -> None:
    say('{"ready": true}')
    for line in sys.stdin:
        work(json.loads(json.loads(line)["network"])["name"], folder)


def work(name: str, folder: Path) -> None:
    deed, _, score = name.rpartition(" ")
    kind, _, often = deed.partition("-")
    tried = folder / f"tried-{name}"
    first = not tried.exists()
    tried.write_text("")
    if kind == "sleep":
        time.sleep(float(often))
    elif kind and (often == "always" or first):
        misbehave(kind)
    say(json.dumps({"accuracy": float(score)}))


def misbehave(kind: str) -> None:
    match kind:
        case "exit":
            sys.stderr.write("Traceback\nMemoryError: out of it\n")
            sys.exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(1000)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "flood":
            while True:
                sys.stdout.write("x" * 65536)
        case "mumble":
            say("I am fine")
        case "list":
            say("[]")
        case "boast":
            say('{"accuracy": 1.5}')
        case "lie":
            say('{"accuracy": "0.5"}')
        case "fail":
            say('{"error": "training", "text": 3}')
    time.sleep(1000)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Where jobs on this computer leave each other word about a device: one folder, files named by a hash."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

FOLDER_VARIABLE = "POCKETNAS_LOCK_DIR"
"""Environment variable that moves the folder, for machines whose users share devices."""


def device_file(device: str, suffix: str) -> Path:
    """Return the file about a device, in a folder that need not be there yet.

    Args:
        device: Any text that names it; it does not show in the file's name.
        suffix: What the file holds, as in ".json".
    """
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(os.environ.get(FOLDER_VARIABLE) or Path(state) / "pocketnas" / "locks")
    return folder / (hashlib.sha256(device.encode("utf-8", "surrogatepass")).hexdigest()[:32] + suffix)

"""Files that are there whole or not at all, however the process ends."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole_file(path: Path, content: bytes) -> None:
    """Write a file so that at no moment anybody finds half of it.

    The content goes to a file beside it, is brought to the disk, and takes the name in one step.

    Args:
        path: The file; one that exists is replaced.
        content: All of it.

    Raises:
        OSError: The place cannot be written to; what was there is untouched.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "figures"
        >>> write_whole_file(path, b"1 2 3")
        >>> path.read_bytes()
        b'1 2 3'
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    # The new name itself is on the disk only once the folder is.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

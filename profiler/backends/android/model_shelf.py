"""Models on a phone: kept while there is room for them, the oldest first to go."""

from __future__ import annotations

from collections import OrderedDict

from profiler.adb import RemoteFolder
from profiler.errors import DeviceStorageError


class ModelShelf:
    """Model files in our folder, of which a long campaign has more than a phone should hold.

    Args:
        folder: Our folder on the phone.
        limit_bytes: Most that they may take together; the latest is always there.
    """

    def __init__(self, folder: RemoteFolder, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()

    def put(self, model: bytes) -> str:
        """Have a model on the phone and return its path there.

        Raises:
            DeviceStorageError: There is no room for it, even without all others.
            DeviceError: It could not be sent.
        """
        try:
            path = self._folder.put(model)
        except DeviceStorageError:
            if not self._sizes:
                raise
            self._drop_until(0)
            path = self._folder.put(model)
        self._sizes[path] = len(model)
        self._sizes.move_to_end(path)
        self._drop_until(self._limit_bytes, keep=path)
        return path

    def clear(self) -> None:
        """Forget what is there: somebody else has removed it."""
        self._sizes.clear()

    def _drop_until(self, limit_bytes: int, *, keep: str = "") -> None:
        used_bytes, old = sum(self._sizes.values()), []
        for path, size_bytes in self._sizes.items():
            if used_bytes <= limit_bytes:
                break
            if path != keep:
                old.append(path)
                used_bytes -= size_bytes
        if old:
            self._folder.drop(*old)
        for path in old:
            del self._sizes[path]

"""Large contents of files, each kept once however many files, of one phone or of many, have it."""

from __future__ import annotations

import hashlib
import weakref

_LEAST_BYTES = 16 * 1024
"""Smaller contents are not worth looking for."""


class Content:
    """Bytes that several files may have."""

    __slots__ = ("__weakref__", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data


class ContentPool:
    """Contents by their hash, for as long as a file has them; phones in several threads may have one pool."""

    def __init__(self) -> None:
        self._kept: weakref.WeakValueDictionary[bytes, Content] = weakref.WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._kept)

    def shared(self, data: bytes | bytearray) -> Content | None:
        """Return the one content of these bytes, which whoever has them must hold; None for bytes too few to share."""
        if len(data) < _LEAST_BYTES:
            return None
        key = hashlib.sha256(data).digest()
        # Held by a name from the look on, so that it cannot go in between.
        found = self._kept.get(key)
        return found if found is not None else self._kept.setdefault(key, Content(bytes(data)))

"""How genotypes are named by the function they encode."""

from __future__ import annotations

import hashlib


def key_of(function: object) -> str:
    """Return 16 hexadecimal digits over the representation of all that a network's function depends on."""
    return hashlib.blake2b(repr(function).encode(), digest_size=8).hexdigest()

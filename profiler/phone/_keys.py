"""The computers' keys that a phone has come to trust, and what it does with a new one."""

from __future__ import annotations

import base64
import binascii
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

TOKEN_BYTES = 20
"""Length of a challenge: it is signed as if it were a SHA-1 digest."""
_WORD_BYTES = 4
_LENGTHS = struct.Struct("<2I")
_EXPONENT = struct.Struct("<I")


class Keyring:
    """Public keys whose owners may connect."""

    def __init__(self) -> None:
        self._keys: list[rsa.RSAPublicKey] = []

    def add(self, blob: bytes) -> bool:
        """Trust a key; False when the bytes hold none.

        Args:
            blob: Base64 of Android's RSA structure, a space, a name, and a NUL, as AUTH carries it.
        """
        key = _read_public_key(blob)
        if key is not None:
            self._keys.append(key)
        return key is not None

    def verifies(self, signature: bytes, token: bytes) -> bool:
        """Say whether a trusted key signed the token."""
        return any(_signed(key, signature, token) for key in self._keys)


def _read_public_key(blob: bytes) -> rsa.RSAPublicKey | None:
    words = blob.split(b"\0")[0].split()
    try:
        raw = base64.b64decode(words[0], validate=True)
        count, _ = _LENGTHS.unpack_from(raw)
        modulus = int.from_bytes(raw[_LENGTHS.size :][: count * _WORD_BYTES], "little")
        # Between modulus and exponent stands a number for fast division, as long as the modulus.
        (exponent,) = _EXPONENT.unpack_from(raw, _LENGTHS.size + 2 * count * _WORD_BYTES)
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except (IndexError, ValueError, binascii.Error, struct.error):
        return None


def _signed(key: rsa.RSAPublicKey, signature: bytes, token: bytes) -> bool:
    # ADB's protocol fixes SHA-1's padding; what is signed is our own random challenge.
    try:
        key.verify(signature, token, padding.PKCS1v15(), Prehashed(hashes.SHA1()))
    except InvalidSignature:
        return False
    return True

"""The key pair by which phones know this computer: found, made, and refused where others can read it."""

from __future__ import annotations

import base64
import functools
import getpass
import os
import platform
import stat
import struct
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from profiler.errors import ConfigError

KEY_VARIABLE = "POCKETNAS_ADB_KEY"
"""Environment variable that names another private key."""

_BITS, _EXPONENT = 2048, 65537
_WORD = 1 << 32
_MODULUS_BYTES = _BITS // 8
_PUBLIC = struct.Struct(f"<2I{_MODULUS_BYTES}s{_MODULUS_BYTES}sI")


class AdbKey:
    """A private key that signs a phone's challenges, with the names that adb-shell calls a signer's methods.

    Args:
        private: The key, of 2048 bits: phones take no other.
        name: What the phone shows when it asks whether to trust it.
    """

    def __init__(self, private: rsa.RSAPrivateKey, name: str) -> None:
        self._private, self._name = private, name

    def Sign(self, token: bytes) -> bytes:  # noqa: N802 - adb-shell's name
        """Return the signature of a phone's challenge."""
        # ADB signs its 20 random bytes as if they were a SHA-1 digest; the protocol fixes that.
        return self._private.sign(token, padding.PKCS1v15(), Prehashed(hashes.SHA1()))

    def GetPublicKey(self) -> bytes:  # noqa: N802 - adb-shell's name
        """Return the public key in Android's form: base64 of its structure, a space, a name.

        Source: AOSP system/core/libcrypto_utils, android_pubkey.cpp.
        """
        public = self._private.public_key().public_numbers()
        inverse = _WORD - pow(public.n, -1, _WORD)
        square = pow(1 << _BITS, 2, public.n)
        words = (_MODULUS_BYTES // 4, inverse, *(_little(number) for number in (public.n, square)), public.e)
        return base64.b64encode(_PUBLIC.pack(*words)) + f" {self._name}".encode()


def default_key_path() -> Path:
    """Return the key to use: the one named by the environment, else adb's own where there is one, else ours."""
    named = os.environ.get(KEY_VARIABLE)
    if named:
        return Path(named)
    # Phones that trust adb on this computer then trust us too.
    adb_key = Path.home() / ".android" / "adbkey"
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return adb_key if adb_key.is_file() else Path(state) / "pocketnas" / "adbkey"


@functools.cache
def own_key() -> AdbKey:
    """Return a key that is this process's alone and in no file: for phones that end with the process."""
    return AdbKey(rsa.generate_private_key(_EXPONENT, _BITS), f"{_user()}@this-process")


def load_or_create_key(path: Path | None = None) -> AdbKey:
    """Return the key in a file, made first if there is none.

    Args:
        path: The private key's file; None for default_key_path().

    Raises:
        ConfigError: Others than the owner can read it, it is no such key, or it cannot be read or written.
    """
    path = path or default_key_path()
    name = f"{_user()}@{platform.node() or 'unknown'}"
    try:
        created = _create(path)
        if created is not None:
            key = AdbKey(created, name)
            _write_new(path.with_name(path.name + ".pub"), key.GetPublicKey() + b"\n", 0o644, replace=True)
            return key
        return AdbKey(_read(path), name)
    except OSError as err:
        raise ConfigError(f"the ADB key cannot be used: {err.strerror}", path=path) from err


def _create(path: Path) -> rsa.RSAPrivateKey | None:
    """Make a key; None when the file is there already."""
    if path.exists():
        return None
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = rsa.generate_private_key(_EXPONENT, _BITS)
    form, encoding = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    try:
        _write_new(path, key.private_bytes(encoding, form, serialization.NoEncryption()), 0o600)
    except FileExistsError:
        return None  # another process was quicker, and its key is as good
    return key


def _write_new(path: Path, content: bytes, mode: int, *, replace: bool = False) -> None:
    """Write a file that nobody else could have opened before."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(content)


def _read(path: Path) -> rsa.RSAPrivateKey:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        content = file.read(1 << 16)
    if mode & 0o077:
        problem = f"others can read this private key (mode {mode:04o}); run: chmod 600 {path}"
        raise ConfigError(problem, path=path)
    try:
        key = serialization.load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise ConfigError("not a private key in PEM form without a password", path=path) from err
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != _BITS:
        raise ConfigError(f"not an RSA key of {_BITS} bits, which is all that phones take", path=path)
    return key


def _little(number: int) -> bytes:
    return number.to_bytes(_MODULUS_BYTES, "little")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"

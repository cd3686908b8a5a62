"""The key: made for the owner alone, refused when others can read it, understood by Google's own form."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest
from adb_shell.auth.keygen import encode_pubkey
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from profiler.adb import load_or_create_key
from profiler.adb.keys import KEY_VARIABLE, default_key_path
from profiler.errors import ConfigError


def test_a_new_key_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "adbkey"
    before = os.umask(0)
    try:
        made = load_or_create_key(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.with_name("adbkey.pub").read_bytes() == made.GetPublicKey() + b"\n"
    assert load_or_create_key(path).GetPublicKey() == made.GetPublicKey()


def test_the_public_key_is_in_androids_form(key_path: Path) -> None:
    structure = load_or_create_key(key_path).GetPublicKey().split()[0]
    assert base64.b64decode(structure) == encode_pubkey(str(key_path))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_can_read_is_refused(key_path: Path, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "adbkey"
    path.write_bytes(key_path.read_bytes())
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_or_create_key(path)


def test_what_is_no_key_for_phones_is_refused(tmp_path: Path) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for content, why in (
        (b"", "not a private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a private key"),
        (ec.generate_private_key(ec.SECP256R1()).private_bytes(*form), "2048 bits"),
        (rsa.generate_private_key(65537, 1024).private_bytes(*form), "2048 bits"),
    ):
        path = tmp_path / "adbkey"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=why):
            load_or_create_key(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="cannot be used"):
        load_or_create_key(tmp_path / "file" / "adbkey")


def test_which_key_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert default_key_path() == tmp_path / "state" / "pocketnas" / "adbkey"
    (tmp_path / ".android").mkdir()
    (tmp_path / ".android" / "adbkey").write_bytes(b"")
    assert default_key_path() == tmp_path / ".android" / "adbkey"
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "mine"))
    assert default_key_path() == tmp_path / "mine"

"""adb-shell as it comes, which speaks the protocol's first version with checksums, against the emulated phone."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from adb_shell.adb_device import AdbDeviceTcp
from adb_shell.auth.keygen import keygen
from adb_shell.auth.sign_pythonrsa import PythonRSASigner

from profiler.phone import Phone, PhoneServer, load_phone


def test_stock_client_with_its_own_keys(tmp_path: Path) -> None:
    keygen(str(tmp_path / "key"))
    signer = PythonRSASigner.FromRSAKeyPath(str(tmp_path / "key"))
    with PhoneServer(Phone(load_phone("pixel4"))) as server:
        for _ in range(2):  # the first time the phone is asked, the second time it knows the key
            device = AdbDeviceTcp(server.host, server.port)
            assert device.connect(rsa_keys=[signer], auth_timeout_s=5)
            assert device.shell("getprop ro.product.model") == "Pixel 4\n"
            device.close()
        device.connect(rsa_keys=[signer], auth_timeout_s=5)
        content = np.random.default_rng(2).bytes(700_000)
        device.push(BytesIO(content), "/data/local/tmp/f")
        assert device.stat("/data/local/tmp/f")[1] == len(content)
        back = BytesIO()
        device.pull("/data/local/tmp/f", back)
        assert back.getvalue() == content
        assert b"f" in {bytes(entry.filename) for entry in device.list("/data/local/tmp")}
        device.close()

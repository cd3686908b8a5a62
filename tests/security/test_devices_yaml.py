"""A devices.yaml written to do harm: nothing of it runs, expands or is drawn on the terminal."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from profiler.devices import HostDevice, find_device, load_devices
from profiler.errors import ConfigError, DeviceNotFoundError

LIMIT_S, LIMIT_BYTES = 1.0, 200 * 2**20

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch canary']",
        "!!python/object/new:os.system ['touch canary']",
        "!!python/name:os.system ''",
        "!!python/module:os ''",
        "!local {a: 1}",
        "!!binary aGk=",
    ],
)
def test_tags_are_refused_and_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tag: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text(f"devices:\n  a: {tag}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"devices.yaml:2: the tag .* is not taken"):
        load_devices(Path("devices.yaml"))
    assert not Path("canary").exists()


def test_a_tagged_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("!!python/object/apply:os.getcwd []: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="tag"):
        load_devices(path)


def _write_large(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"a: b\n" * (2**20 // 5))


HARMFUL: dict[str, Callable[[Path], object]] = {
    "bomb": lambda path: path.write_text(BOMB, encoding="utf-8"),
    "100 MB": _write_large,
    "deep": lambda path: path.write_text("devices: " + "[" * 100_000, encoding="utf-8"),
    "deep mapping": lambda path: path.write_text("{a: " * 25_000, encoding="utf-8"),
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "merge": lambda path: path.write_text("a: &a {b: 1}\ndevices: {<<: *a}\n", encoding="utf-8"),
    "not text": lambda path: path.write_bytes(b"devices:\n  \xff\xfe: 1\n"),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 100),
    "long line": lambda path: path.write_text("devices: '" + "x" * 120_000, encoding="utf-8"),
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_large_and_expanding_files_are_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "devices.yaml"
    HARMFUL[kind](path)
    began_s = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load_devices(path)
    assert time.process_time() - began_s < LIMIT_S
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("kind", ["bomb", "100 MB"])
def test_they_take_little_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "devices.yaml"
    HARMFUL[kind](path)
    program = (
        "import sys; from pathlib import Path; from profiler.devices import load_devices\n"
        "from profiler.errors import ConfigError\n"
        "try: load_devices(Path(sys.argv[1]))\n"
        "except ConfigError: print(Path('/proc/self/status').read_text()); sys.exit(2)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    # The process's own peak: getrusage's would be the parent's, or that of the largest child before it.
    (peak_kib,) = re.findall(r"^VmHWM:\s+(\d+) kB$", done.stdout, re.MULTILINE)
    assert int(peak_kib) * 1024 < LIMIT_BYTES


@pytest.mark.parametrize("name", ["x; touch canary", "$(touch canary)", "-rf", "../../etc/passwd", "\x1b[2J", "a\nb"])
def test_a_device_name_is_only_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DeviceNotFoundError, match="no such device") as caught:
        find_device({"host": HostDevice(name="host")}, name)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []


def test_text_from_the_file_is_shown_inert(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text('devices:\n  a:\n    backend: "\\e[2J[/x]<script>"\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_devices(path)
    assert str(caught.value).isprintable()

"""What the whole test suite shares: which tests run by default, and a place of their own for locks."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adb_programs import BUILT_ADBD, adb_client
from tests.device_corpus import DEVICE_CORPUS, DEVICE_CORPUS_VARIABLE

TFLITE_RUNTIME_VARIABLE = "POCKETNAS_TFLITE_RUNTIME_PYTHON"
TFLITE_RUNTIME_OPTION = "--tflite-runtime-python"
ADBD_VARIABLE = "POCKETNAS_ADBD"
ADBD_OPTION = "--adbd"

_ON_REQUEST = {"slow": "-m slow", "device": "-m device", "gpu": "-m gpu"}
"""Markers of tests that run only when asked for, and how to ask."""
# Also with -m slow: whoever asks for slow tests has not asked for minutes of compiling.
_NEEDS_AGENT = "agent"
_AGENT_ADVICE = "-m agent, which builds what it needs"
_NEEDS_QEMU, _QEMU = "qemu", "qemu-aarch64-static"
_NEEDS_INTERPRETER = "tflite_runtime"
_NEEDS_ADB = "adb_client"
_ADB_ADVICE = {"debian": "apt-get install adb", "adbutils": "pip install adbutils"}
_NEEDS_ADBD = "adbd"
_NEEDS_LIBUSB = "libusb"
_NEEDS_CORPUS = "device_corpus"

# Tests that import onnxruntime themselves must not let it send usage data; read when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_left_out = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        TFLITE_RUNTIME_OPTION,
        metavar="PATH",
        default=os.environ.get(TFLITE_RUNTIME_VARIABLE),
        help=f"interpreter that has tflite-runtime and numpy < 2 (default: ${TFLITE_RUNTIME_VARIABLE})",
    )
    parser.addoption(
        ADBD_OPTION,
        metavar="PATH",
        type=Path,
        default=os.environ.get(ADBD_VARIABLE, BUILT_ADBD),
        help=f"Google's adbd (default: ${ADBD_VARIABLE}, or what scripts/build-adbd built)",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A job in the background of a script ignores interrupts, and so would all that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", f"{_NEEDS_INTERPRETER}: needs {TFLITE_RUNTIME_OPTION}")
    config.addinivalue_line("markers", f"{_NEEDS_CORPUS}: needs the saved outputs of real phones")
    config.addinivalue_line("markers", f"{_NEEDS_ADB}(name): needs Google's adb as Debian or adbutils has it")
    config.addinivalue_line("markers", f"{_NEEDS_LIBUSB}: needs libusb and its Python module")
    config.addinivalue_line("markers", f"{_NEEDS_QEMU}: runs programs for arm64, which needs {_QEMU}")
    config.addinivalue_line("markers", f"{_NEEDS_ADBD}: needs Google's adbd; see {ADBD_OPTION}")
    config.stash[_left_out] = Counter()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.option.markexpr
    hidden = {} if asked else dict(_ON_REQUEST)
    if _NEEDS_AGENT not in asked:
        hidden[_NEEDS_AGENT] = _AGENT_ADVICE
    if shutil.which(_QEMU) is None:
        hidden[_NEEDS_QEMU] = "apt-get install qemu-user-static"
    if not config.getoption(TFLITE_RUNTIME_OPTION):
        hidden[_NEEDS_INTERPRETER] = f"{TFLITE_RUNTIME_OPTION} PATH"
    if not config.getoption(ADBD_OPTION).is_file():
        hidden[_NEEDS_ADBD] = f"scripts/build-adbd, or {ADBD_OPTION} PATH"
    if ctypes.util.find_library("usb-1.0") is None or importlib.util.find_spec("usb1") is None:
        hidden[_NEEDS_LIBUSB] = "apt-get install libusb-1.0-0 and pip install libusb1"
    if not DEVICE_CORPUS.is_dir():
        hidden[_NEEDS_CORPUS] = f"${DEVICE_CORPUS_VARIABLE}=FOLDER; {DEVICE_CORPUS} is absent"
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        reasons = [f"{name} ({how})" for name, how in hidden.items() if item.get_closest_marker(name)]
        clients = {marker.args[0] for marker in item.iter_markers(_NEEDS_ADB)}
        reasons += [f"{_NEEDS_ADB} ({_ADB_ADVICE[name]})" for name in sorted(clients) if adb_client(name) is None]
        (dropped if reasons else kept).append(item)
        config.stash[_left_out].update(reasons[:1])
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash[_left_out]
    if counts:
        shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        terminalreporter.write_line(f"not run: {shown}")


@pytest.fixture(scope="session", autouse=True)
def _own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' device locks apart from those of measurements on the same machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session")
def tflite_runtime_python(pytestconfig: pytest.Config) -> Path:
    """The interpreter that has tflite-runtime; only for tests marked tflite_runtime."""
    return Path(pytestconfig.getoption(TFLITE_RUNTIME_OPTION))


@pytest.fixture(scope="session")
def adbd_path(pytestconfig: pytest.Config) -> Path:
    """Google's adbd; only for tests marked adbd."""
    path: Path = pytestconfig.getoption(ADBD_OPTION)
    return path

"""Our agent on emulated phones, whose arm64 programs qemu runs, keeps the promises of a backend."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from profiler.adb import load_or_create_key
from profiler.backends import AdbBackend, Backend
from profiler.devices import AdbDevice, Device, EmulatedDevice
from profiler.phone import Phone, PhoneServer, load_phone
from tests.conformance.agent_suite import UnderTheAgent

START_WITHIN_S = 20.0
INSIDE_AFTER_S = 0.5
"""Long enough for an agent that has started to be inside the long block."""


class PhoneAgentConformance(UnderTheAgent):
    """What holds for every engine, on every way to a phone."""

    @contextmanager
    def crashing(self, backend: Backend) -> Iterator[None]:
        with _agent_signalled(signal.SIGSEGV):
            yield

    @contextmanager
    def hanging(self, backend: Backend) -> Iterator[None]:
        with _agent_signalled(signal.SIGSTOP):
            yield

    def test_its_times_are_labelled(self, backend: Backend) -> None:
        assert backend.source == "emulated-isa"
        (check,) = [check for check in backend.checks() if check.id == "EMULATED"]
        assert not check.suppressible

    def test_it_is_bound_to_the_fastest_core(self, backend: Backend) -> None:
        assert isinstance(backend, AdbBackend)
        assert backend.facts().cpus == "7"


@contextmanager
def _agent_signalled(number: int) -> Iterator[None]:
    """Send the next agent that starts a signal, a moment after it has started."""
    before = set(_agents())

    def strike() -> None:
        ends_s = time.monotonic() + START_WITHIN_S
        while time.monotonic() < ends_s:
            if found := set(_agents()) - before:
                time.sleep(INSIDE_AFTER_S)
                for pid in found:
                    os.kill(pid, number)
                return
            time.sleep(0.02)

    thread = threading.Thread(target=strike)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _agents() -> Iterator[int]:
    """Yield the processes of this one that run an agent."""
    for process in psutil.Process().children(recursive=True):
        try:
            if any(word.endswith(".records") for word in process.cmdline()):
                yield process.pid
        except psutil.Error:
            continue  # it has ended


@pytest.mark.agent
@pytest.mark.qemu
class TestEmulatedAgentNcnn(PhoneAgentConformance):
    backend_name = "emulated"
    runtime_name = "agent-ncnn"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return EmulatedDevice(name="conformance-emulated-agent-ncnn", runtime="agent-ncnn")


@pytest.mark.agent
@pytest.mark.qemu
class TestEmulatedAgentLitert(PhoneAgentConformance):
    backend_name = "emulated"
    runtime_name = "agent-litert"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls) -> Device:
        return EmulatedDevice(name="conformance-emulated-agent-litert", runtime="agent-litert")


@pytest.mark.agent
@pytest.mark.qemu
class TestServedAgent(PhoneAgentConformance):
    """A phone that is served elsewhere, with nothing said of a program or a runtime."""

    backend_name = "adb"
    runtime_name = "agent-litert"

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
        key = tmp_path_factory.mktemp("adb") / "adbkey"
        load_or_create_key(key)
        with pytest.MonkeyPatch.context() as patch, PhoneServer(Phone(load_phone("pixel4"))) as server:
            patch.setenv("POCKETNAS_ADB_KEY", str(key))
            yield AdbDevice(name="conformance-adb-agent", serial=server.address)

    def beside(self, device: Device) -> Device:
        return device.model_copy(update={"remote_directory": "/data/local/tmp/pocketnas-beside"})

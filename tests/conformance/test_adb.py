"""The adb backend, against a phone that is served elsewhere, keeps the promises of a backend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from profiler.adb import load_or_create_key
from profiler.backends import Backend
from profiler.devices import AdbDevice, Device
from profiler.phone import Phone, PhoneServer, load_phone
from profiler.phone.programs import virtual_program
from tests.conformance.phone_suite import PhoneConformance


class TestAdb(PhoneConformance):
    backend_name = "adb"
    phone: Phone

    @pytest.fixture(scope="class")
    @classmethod
    def device(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
        folder = tmp_path_factory.mktemp("adb")
        program = folder / "benchmark_model"
        program.write_bytes(virtual_program("benchmark_model"))
        load_or_create_key(folder / "adbkey")
        cls.phone = Phone(load_phone("pixel4"))
        with pytest.MonkeyPatch.context() as patch, PhoneServer(cls.phone) as server:
            patch.setenv("POCKETNAS_ADB_KEY", str(folder / "adbkey"))
            yield AdbDevice(name="conformance-adb", serial=server.address, program=str(program))

    def beside(self, device: Device) -> Device:
        return device.model_copy(update={"remote_directory": "/data/local/tmp/pocketnas-beside"})

    def phone_of(self, backend: Backend) -> Phone:
        return self.phone

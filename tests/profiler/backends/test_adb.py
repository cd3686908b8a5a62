"""A block's life on a phone, with what can happen to it, over the wire against an emulated phone."""

from __future__ import annotations

import _thread
import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from profiler.adb import ServerTransport, _backoff, load_or_create_key
from profiler.backends import AdbBackend, BlockRequest, BlockResult
from profiler.backends.android import Patience
from profiler.devices import AdbDevice
from profiler.errors import (
    ConfigError,
    DeviceError,
    DeviceOfflineError,
    DeviceRefusedError,
    DeviceStorageError,
    DeviceTimeoutError,
    RuntimeNotSupportedError,
)
from profiler.phone import Fault, Phone, PhoneClock, PhoneServer, load_phone
from profiler.phone.files import SHELL_USER
from profiler.phone.programs import Tool, virtual_program
from profiler.runtimes import RUNTIMES, ModelFile, ModelFiles, write_model_file
from profiler.workload import Workload
from tests.adb_programs import adb_client, own_adb
from tests.conformance.networks import inverted_residuals, tiny

TMP = "/data/local/tmp"
TINY = BlockRequest(Workload(tiny()), 1, 5)
LATER = BlockRequest(Workload(tiny(5)), 1, 5)
LONG = BlockRequest(Workload(inverted_residuals()), 0, 10_000)


class Bench:
    """A phone on the wire, and what opens it."""

    def __init__(self, phone: Phone, server: PhoneServer, program: Path) -> None:
        self.phone, self.server, self.program = phone, server, program
        self.patience = Patience(answer_s=5.0, return_s=1.0, boot_s=5.0, look_every_s=0.1, sleep_s=phone.clock.sleep_s)

    def opened(self, **settings: Any) -> AdbBackend:
        device = AdbDevice(**{"name": "bench", "serial": self.server.address, "program": str(self.program)} | settings)
        return AdbBackend(device, patience=self.patience)

    def left(self) -> tuple[object, ...]:
        """What must be the same before and after a job."""
        state = self.phone.state
        ours = [process.arguments for process in self.phone.processes if process.uid == SHELL_USER.uid]
        settings = copy.deepcopy(state.settings)
        return self.phone.files.names(TMP, SHELL_USER), settings, state.awake, state.fixed_performance, ours


@contextmanager
def served(phone: Phone, folder: Path) -> Iterator[Bench]:
    program = folder / "benchmark_model"
    program.write_bytes(virtual_program("benchmark_model"))
    with PhoneServer(phone) as server:
        yield Bench(phone, server, program)


@pytest.fixture(autouse=True)
def own_key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path_factory.getbasetemp() / "adbkey-of-test-adb"
    load_or_create_key(path)
    monkeypatch.setenv("POCKETNAS_ADB_KEY", str(path))


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"))


@pytest.fixture
def bench(phone: Phone, tmp_path: Path) -> Iterator[Bench]:
    with served(phone, tmp_path) as made:
        yield made


def run(backend: AdbBackend, *requests: BlockRequest) -> list[BlockResult]:
    return list(backend.run_blocks(requests))


def reason(result: BlockResult) -> str | None:
    return result.failure.reason if result.failure else None


# What the backend says.


def test_what_the_phone_is(bench: Bench) -> None:
    with bench.opened() as backend:
        facts, found, health = backend.facts(), backend.phone_facts(), backend.health()
    assert facts.processor.startswith("SM8150 (1x Cortex-A76 2.84 GHz + 3x Cortex-A76 2.42 GHz + 4x Cortex-A55")
    assert (facts.cores, facts.cpus, facts.system) == (8, "7", "Android 12 (SDK 31)")
    assert facts.runtime_version == "2.1.0"
    assert found.fingerprint and found.fingerprint.startswith("google/flame/flame:12/")
    assert found.abis[0] == "arm64-v8a"
    assert (
        health.battery_percent == bench.phone.state.level_percent
        and health.thermal_status == "none"
        and health.awake is True
    )
    assert health.temperature_c is not None and 20 < health.temperature_c < 60
    assert health.free_bytes is not None and health.free_bytes > 1 << 30


def test_checks_are_of_this_moment(bench: Bench) -> None:
    with bench.opened(cpus="any") as backend:
        bench.phone.state.level_percent, bench.phone.state.awake = 20, False
        bench.phone.state.settings["global", "low_power"] = "1"
        found = {check.id: check for check in backend.checks()}
    assert set(found) == {"EMULATED", "LOW-BATTERY", "NOT-PINNED", "POWER-SAVE", "SCREEN-OFF"}
    assert found["LOW-BATTERY"].stops


def test_a_phone_that_refuses_every_question_is_measured_all_the_same(bench: Bench) -> None:
    for place in ("/proc/cpuinfo", "/proc/meminfo", "/proc/sys/kernel/random/boot_id"):
        bench.phone.files.place(place, b"", mode=0o400)
    for command in ("getprop", "dumpsys", "df", "settings", "date", "svc", "cmd", "input", "head", "taskset"):
        bench.phone.files.place(f"/system/bin/{command}", b"", mode=0o700)
    with bench.opened() as backend:
        facts = backend.facts()
        (result,) = run(backend, TINY)
        checks = [check.id for check in backend.checks()]
    assert result.failure is None
    assert facts.processor and facts.cores >= 1
    assert set(checks) <= {"NOT-PINNED", "EMULATED"}


# The program.


def test_a_program_for_another_processor_is_refused_before_it_is_sent(bench: Bench) -> None:
    bench.program.write_bytes(virtual_program("benchmark_model", "x86_64"))
    before = bench.left()
    with (
        pytest.raises(RuntimeNotSupportedError, match=r"built for x86_64.*runs arm64-v8a, armeabi-v7a"),
        bench.opened(),
    ):
        pass
    assert bench.left() == before


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF"])
def test_what_is_no_program_is_refused(bench: Bench, content: bytes) -> None:
    bench.program.write_bytes(content)
    with pytest.raises(RuntimeNotSupportedError, match="no ELF file"), bench.opened():
        pass


def test_a_program_that_is_too_old_is_refused_before_it_is_sent(bench: Bench) -> None:
    bench.program.write_bytes(virtual_program("benchmark_model").replace(b"op_profiling_output_mode", b"csv_file"))
    before = bench.left()
    with (
        pytest.raises(RuntimeNotSupportedError, match="op_profiling_output_mode; give the path of a newer"),
        bench.opened(),
    ):
        pass
    assert bench.left() == before


def test_a_program_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="No such file"), bench.opened(program="nowhere/benchmark_model"):
        pass


def test_a_phone_that_runs_nothing_of_ours_is_another_error(bench: Bench) -> None:
    bench.phone.files.mount_of("/data").noexec = True
    before = bench.left()
    with pytest.raises(DeviceRefusedError, match="does not let our program run"), bench.opened() as backend:
        run(backend, TINY)
    assert bench.left() == before


def test_cores_that_are_not_there_are_named(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"not \[12\]"), bench.opened(cpus=(12,)):
        pass


# What a workload does.


@pytest.mark.parametrize(
    ("signal", "expected"), [(9, ("OUT_OF_MEMORY", None)), (11, ("CRASHED", 11)), (4, ("CRASHED", 4))]
)
def test_a_program_that_is_ended_does_not_stop_the_next_block(
    bench: Bench, signal: int, expected: tuple[str, int | None]
) -> None:
    bench.phone.faults.add(Fault("kill", match="--num_runs=5", at_run=2, signal=signal, times=1))
    with bench.opened() as backend:
        ended, fine = run(backend, TINY, LATER)
    assert ended.failure is not None
    assert (ended.failure.reason, ended.failure.signal) == expected
    assert fine.failure is None


def test_a_program_that_hangs_is_ended(bench: Bench) -> None:
    bench.phone.faults.add(Fault("hang", match="--num_runs=5", at_run=2, times=1))
    before = bench.left()
    with bench.opened(timeout_s=1.0) as backend:
        backend_limit = 1.0
        hung, fine = run(backend, TINY, LATER)
        assert not any("--graph" in " ".join(one.arguments) for one in bench.phone.processes)
    assert reason(hung) == "TIMEOUT" and f"{backend_limit:g} s" in (hung.failure.detail if hung.failure else "")
    assert fine.failure is None
    assert bench.left() == before


@pytest.mark.parametrize(
    "fault",
    [
        Fault("truncate_output", match="--num_runs=5", at_bytes=900, times=1),
        Fault("lose_exit_status", match="--num_runs=5", times=1),
        Fault("wrong_latency", match="--num_runs=5", latency_ns=0.0, times=1),
        Fault("wrong_latency", match="--num_runs=5", latency_ns=-5e6, times=1),
        Fault("wrong_latency", match="--num_runs=5", latency_ns=1e300, times=1),
        Fault("wrong_count", match="--num_runs=5", count=4, times=1),
    ],
    ids=lambda fault: f"{fault.kind} {fault.latency_ns:g}",
)
def test_what_cannot_be_relied_on_is_no_result(bench: Bench, fault: Fault) -> None:
    bench.phone.faults.add(fault)
    with bench.opened() as backend:
        bad, fine = run(backend, TINY, LATER)
    assert reason(bad) == "INVALID_OUTPUT"
    assert fine.failure is None


def test_a_model_too_large_for_the_phone_is_its_own_fault(bench: Bench) -> None:
    with bench.opened() as backend:
        data = bench.phone.files.mount_of("/data")
        model = len(write_model_file(RUNTIMES["litert"], LONG.workload).content)
        run(backend, TINY)
        data.used_bytes = data.size_bytes - (60 << 20)
        assert model < 60 << 20
        (fine,) = run(backend, LATER)
        assert fine.failure is None
        data.used_bytes = data.size_bytes - (1 << 20)
        with pytest.raises(DeviceStorageError, match="free some on the phone"):
            run(backend, LONG)
        data.used_bytes = 0


@pytest.mark.parametrize("runtime", ["benchmark_model", "onnxruntime_perf_test"])
@pytest.mark.parametrize("model", [b"", b"not a model" * 99], ids=["empty", "text"])
def test_what_is_no_model_is_said_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, runtime: Tool, model: bytes
) -> None:
    bench.program.write_bytes(virtual_program(runtime))
    with bench.opened(runtime=runtime) as backend:
        with monkeypatch.context() as patch:
            patch.setattr(ModelFiles, "file", lambda *_: ModelFile(model))
            (refused,) = run(backend, TINY)
        (fine,) = run(backend, LATER)
    assert reason(refused) == "INVALID_MODEL"
    assert fine.failure is None


@pytest.mark.parametrize(("delegate", "row"), [("gpu", "TfLiteGpuDelegateV2"), ("nnapi", "TfLiteNnapiDelegate")])
def test_chips_of_their_own_show_one_row(bench: Bench, delegate: str, row: str) -> None:
    with bench.opened(delegate=delegate) as backend:
        profile = backend.profile_operators(LONG.workload, warmup_runs=1, runs=9)
        assert backend.kernels_per_process == 1
        assert backend.facts().accelerator == delegate
    assert [operator.kind for operator in profile.operators] == [row]


def test_a_chip_that_the_phone_does_not_have_ends_the_campaign(bench: Bench) -> None:
    settings = {"delegate": "nnapi", "nnapi_accelerator": "no-such-dsp"}
    with pytest.raises(RuntimeNotSupportedError, match="no such delegate"), bench.opened(**settings) as backend:
        run(backend, TINY)


# What the phone does.


def test_a_throttled_block_is_cooled_down_and_done_again(bench: Bench) -> None:
    bench.phone.faults.add(Fault("throttle", match="--num_runs=5", at_run=2, seconds=100.0, status=2, times=1))
    with bench.opened() as backend:
        began_s = bench.phone.clock.now_s
        (result,) = run(backend, TINY)
    assert result.failure is None
    (check,) = [check for check in result.checks if check.id == "THERMAL-STATUS"]
    assert "cooled down for 120 s" in check.detail
    assert bench.phone.clock.now_s - began_s >= 100.0


def test_a_block_that_throttles_three_times_is_given_up(bench: Bench) -> None:
    bench.phone.faults.add(Fault("throttle", match="--num_runs=5", at_run=2, seconds=60.0, times=3))
    with bench.opened() as backend:
        throttled, fine = run(backend, TINY, replace(LATER, runs=6))
    assert reason(throttled) == "THROTTLED"
    assert fine.failure is None


def test_a_phone_that_never_cools_down_is_not_waited_for_without_end(bench: Bench) -> None:
    bench.phone.faults.add(Fault("throttle", match="--num_runs=5", at_run=2, status=3, times=1))
    with bench.opened() as backend:
        (result,) = run(backend, TINY)
    assert reason(result) == "THROTTLED" and "1200 s" in (result.failure.detail if result.failure else "")


def test_a_battery_that_runs_low_is_said_beside_the_block(bench: Bench) -> None:
    bench.phone.faults.add(Fault("battery", match="--num_runs=5", at_run=2, level_percent=24, times=1))
    with bench.opened() as backend:
        (result,) = run(backend, TINY)
    assert result.failure is None
    (check,) = result.checks
    assert (check.id, check.stops) == ("LOW-BATTERY", True)


def test_a_screen_that_goes_off_spoils_the_block_and_is_woken(bench: Bench) -> None:
    bench.phone.faults.add(Fault("screen_off", match="--num_runs=5", at_run=2, times=1))
    with bench.opened() as backend:
        spoilt, fine = run(backend, TINY, LATER)
    assert reason(spoilt) == "INTERRUPTED"
    assert fine.failure is None


@pytest.mark.parametrize("at", ["in the output", "at a push"])
def test_a_broken_connection_is_made_again_and_the_block_done_again(bench: Bench, at: str) -> None:
    with bench.opened() as backend:
        (before,) = run(backend, replace(TINY, occasion="x"))
        cut = Fault("cut_output", match="--num_runs=5", at_bytes=400, times=3)
        bench.phone.faults.add(cut if at == "in the output" else Fault("cut_push", at_bytes=10, times=2))
        (again,) = run(backend, replace(TINY, occasion="x"))
        (other,) = run(backend, LATER)
        assert not any("--graph" in " ".join(one.arguments) for one in bench.phone.processes)
    assert again.samples_ms == before.samples_ms
    assert other.failure is None


def test_a_connection_that_breaks_each_time_is_given_up(bench: Bench) -> None:
    bench.phone.faults.add(Fault("cut_output", match="--num_runs=5", at_bytes=400))
    before = bench.left()
    with pytest.raises(DeviceOfflineError, match="4 tries") as caught, bench.opened() as backend:
        run(backend, TINY)
    assert caught.value.exit_code == 75
    assert bench.left() == before


@pytest.mark.parametrize("when", ["in a block", "between blocks"])
def test_a_reboot_spoils_the_block_and_everything_is_made_ready_again(bench: Bench, when: str) -> None:
    before = bench.left()
    with bench.opened() as backend:
        if when == "in a block":
            bench.phone.faults.add(Fault("reboot", match="--num_runs=5", at_run=2, seconds=1.0, times=1))
        else:
            run(backend, LATER)
            bench.phone.reboot()
        spoilt, fine = run(backend, TINY, LATER)
        assert bench.phone.state.fixed_performance, "set again"
    assert reason(spoilt) == "UNEXPECTED_REBOOT"
    assert fine.failure is None
    assert bench.left() == before


def test_a_boot_that_never_completes_has_a_deadline(bench: Bench) -> None:
    bench.phone.faults.add(Fault("reboot", match="--num_runs=5", at_run=2, times=1))
    with pytest.raises(DeviceTimeoutError, match="boot"), bench.opened() as backend:
        run(backend, TINY)


def test_a_phone_that_vanishes_for_good_is_an_error(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_backoff, "PAUSES_S", (0.01, 0.1))
    bench.phone.faults.add(Fault("vanish", match="--num_runs=5", at_run=2, times=1))
    with pytest.raises(DeviceOfflineError, match="did not come back") as caught, bench.opened() as backend:
        run(backend, TINY)
    assert any("not left as it was" in note for note in caught.value.__notes__)


# How the phone is reached.


def test_an_old_phone_without_exit_codes(tmp_path: Path) -> None:
    phone = Phone(load_phone("pixel4"), features=())
    with served(phone, tmp_path) as bench:
        phone.faults.add(Fault("kill", match="--num_runs=5", signal=11, times=1))
        before = bench.left()
        with bench.opened() as backend:
            crashed, fine = run(backend, TINY, replace(LATER, profiled=True))
        assert bench.left() == before
    assert reason(crashed) == "CRASHED"
    assert fine.failure is None and fine.operators


@pytest.mark.adb_client("debian")
def test_through_an_adb_server_that_has_the_phone(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = adb_client("debian")
    assert path is not None
    with own_adb(path, tmp_path) as adb:
        adb.connect(bench.server.address)
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb.port))
        before = bench.left()
        with bench.opened() as backend:
            assert isinstance(backend._session.transport, ServerTransport)
            first, second = run(backend, TINY, replace(LATER, profiled=True))
        assert bench.left() == before
    assert first.failure is None and second.operators


# How a job ends.


def test_the_phone_is_left_as_it_was(bench: Bench) -> None:
    bench.phone.state.settings["global", "stay_on_while_plugged_in"] = "3"
    bench.phone.state.awake = False
    before = bench.left()
    with bench.opened() as backend:
        assert bench.phone.state.awake and bench.phone.state.fixed_performance
        run(backend, TINY, LATER)
        assert bench.left() != before
    assert bench.left() == before


def test_an_error_leaves_the_phone_as_it_was_too(bench: Bench) -> None:
    before = bench.left()
    with pytest.raises(ZeroDivisionError), bench.opened() as backend:
        run(backend, TINY)
        raise ZeroDivisionError
    assert bench.left() == before
    with pytest.raises(DeviceError, match="with"):
        run(backend, TINY)


def test_an_interrupt_ends_the_program_and_leaves_the_phone_as_it_was(tmp_path: Path) -> None:
    # A phone that takes as long as a real one.
    phone = Phone(load_phone("pixel4"), clock=PhoneClock(1.0))
    with served(phone, tmp_path) as bench:
        before = bench.left()
        began = threading.Event()

        def interrupt() -> None:
            while not any("--num_runs=10000" in one.arguments for one in list(phone.processes)):
                began.wait(0.01)
            began.wait(0.1)
            _thread.interrupt_main()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt), bench.opened() as backend:
            run(backend, LONG)
        thread.join()
        assert bench.left() == before


def test_a_job_that_was_killed_is_cleaned_up_after_by_the_next(bench: Bench) -> None:
    before = bench.left()
    killed = bench.opened()
    killed.__enter__()
    run(killed, TINY)
    # What a kill leaves: nobody closes anything, and the system frees the lease.
    killed._session.transport.close()
    killed._lease.__exit__(None, None, None)
    assert bench.left() != before
    with bench.opened() as backend:
        run(backend, TINY)
    assert bench.left() == before


def test_results_do_not_pile_up(bench: Bench) -> None:
    with bench.opened() as backend:
        run(backend, *[replace(TINY, profiled=True)] * 3)
        names = bench.phone.files.names(f"{TMP}/pocketnas", SHELL_USER)
    assert sum(name.startswith("run-") for name in names) <= 2


def test_two_names_of_one_phone_are_one_phone(bench: Bench) -> None:
    with bench.opened(), pytest.raises(DeviceError, match="in use"), bench.opened(name="other"):
        pass

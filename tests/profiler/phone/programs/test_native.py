"""Pushed programs that really run: what they see and write, how they end, and what happens to the phone meanwhile."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from profiler.adb import DirectTransport
from profiler.adb._deadline import Deadline
from profiler.errors import DeviceOfflineError
from profiler.phone import Fault, Phone, PhoneDescription, PhoneServer, load_phone
from profiler.phone.programs import virtual_program
from tests.served_phone import phone_served

pytestmark = [pytest.mark.agent, pytest.mark.qemu]

HERE = "/data/local/tmp/here"
COMPILERS = {"arm64-v8a": "aarch64-linux-gnu-gcc", "x86_64": "gcc"}
_PREFIX_BYTES = len("pocketnas-0123456789abcdef 4321\n")
"""What the transport lets commands print first, for itself."""
SOURCE = Path(__file__).with_name("probe.c")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Compiles the probe for a binary interface."""
    made: dict[tuple[str, ...], bytes] = {}

    def compile_it(abi: str = "arm64-v8a", *options: str) -> bytes:
        words = (abi, *options)
        if words not in made:
            out = tmp_path_factory.mktemp("probe") / "probe"
            subprocess.run([COMPILERS[abi], *(options or ["-static"]), "-o", str(out), str(SOURCE)], check=True)
            made[words] = out.read_bytes()
        return made[words]

    return compile_it


def described(abi: str = "arm64-v8a") -> PhoneDescription:
    description = load_phone("pixel4")
    properties = description.properties | {"ro.product.cpu.abi": abi, "ro.product.cpu.abilist": abi}
    return description.model_copy(update={"properties": properties})


@dataclass(frozen=True)
class Bench:
    """A phone on the wire with the probe on it."""

    phone: Phone
    served: PhoneServer
    transport: DirectTransport

    def __call__(self, text: str, **options: float) -> tuple[int, str, str]:
        ran = self.transport.shell(f"cd {HERE}; {text}", **options)  # type: ignore[arg-type]
        return ran.exit_code, ran.stdout, ran.stderr

    def read(self, name: str) -> str:
        return self.transport.read_file(f"{HERE}/{name}").decode()

    def wait_for(self, name: str, part: str) -> None:
        _wait(lambda: self.transport.shell(f"cat {HERE}/{name} 2>/dev/null").stdout.count(part) > 0)


@pytest.fixture(params=["arm64-v8a", "x86_64"])
def bench(request: pytest.FixtureRequest, compiled: Callable[..., bytes], key_path: Path) -> Iterator[Bench]:
    phone = Phone(described(request.param))
    with PhoneServer(phone) as served, DirectTransport.tcp(served.address, key_path=key_path) as transport:
        transport.push(compiled(request.param), f"{HERE}/probe", mode=0o755)
        yield Bench(phone, served, transport)
    _wait(lambda: not alive())
    assert not shown_folders(), "what programs were shown goes with the last of them"


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def shown_folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob("pocketnas-phone-*"))


def alive(folder: str = "here") -> list[int]:
    """Processes of this computer that run for a phone, in a folder of that name."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            place = (process / "cwd").readlink()
            if place.name == folder and "pocketnas-phone-" in str(place):
                found.append(int(process.name))
    return found


def _wait(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    ends_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends_s, "it does not come to pass"
        time.sleep(0.02)


def test_words_and_exit_codes(bench: Bench) -> None:
    code, out, _ = bench(f"./probe words a {HERE}/b --out={HERE}/c /etc/passwd ../../../../../../x /dev/null 'd e'")
    assert code == 0
    up = "../../../.."
    assert out.splitlines() == [
        "./probe",
        "words",
        "a",
        "b",
        "--out=c",
        f"{up}/etc/passwd",
        f"{up}/x",
        "/dev/null",
        "d e",
    ]
    assert bench("./probe 7")[0] == 7
    assert bench("./probe abort")[0] == 128 + signal.SIGABRT
    from_root = "here=5 data/local/tmp/here/probe variable here; taskset 80 data/local/tmp/here/probe 3"
    assert bench(f"cd /; {from_root}") == (3, "5\n", "")


def test_no_file_of_this_computer_is_handed_in(bench: Bench) -> None:
    code, out, err = bench("./probe show /etc/passwd")
    assert (code, out) == (1, "") and "No such file" in err
    assert bench("./probe show ../../../../../../../../etc/passwd")[0] == 1
    assert bench("./probe variable PATH")[1].startswith("/product/bin:")


def test_it_sees_the_phone(bench: Bench) -> None:
    bench.phone.state.temperature_c = 33.5
    shown = bench("./probe show /proc/cpuinfo /sys/class/thermal/thermal_zone0/type /proc/meminfo")[1]
    assert (
        shown.startswith("Processor\t: AArch64") and "cpu-0-0-usr" in shown and "MemAvailable:    2914204 kB" in shown
    )
    assert bench("./probe show /sys/devices/system/cpu/cpu7/cpufreq/scaling_cur_freq")[1] == "2841600\n"
    assert float(bench("./probe show /sys/class/thermal/thermal_zone0/temp")[1]) > 30_000


def test_files_go_both_ways(bench: Bench) -> None:
    bench("echo one > in; echo gone > gone")
    assert bench("./probe show in")[1] == "one\n"
    assert bench("echo two >> in; ./probe show in; echo three > in; ./probe show in")[1] == "one\ntwo\nthree\n"
    assert bench(f"./probe change gone > {HERE}/said; ls; cat new/b") == (0, "in\nnew\nprobe\nsaid\ntick 0\n", "")
    assert bench.read("said") == "tick 0\n"
    assert bench("rm -r new; ./probe show new/b")[0] == 1
    assert bench("rm probe; ./probe 0")[0] == 127


def test_output_and_files_come_as_they_are_written(bench: Bench) -> None:
    with bench.transport.stream(f"cd {HERE}; ./probe tick out 3 300", timeout_s=20) as process:
        arrived = [(time.monotonic(), data) for _, data in process]
    assert b"".join(data for _, data in arrived) == b"tick 0\ntick 1\ntick 2\n"
    assert arrived[-1][0] - arrived[0][0] > 0.3
    bench("./probe tick later 100 50 > /dev/null & echo $! > pid")
    bench.wait_for("later", "tick 3\n")
    assert bench("kill -9 $(cat pid); echo $?")[1] == "0\n"
    lines = bench.read("later").splitlines()
    assert lines == [f"tick {number}" for number in range(len(lines))]


def test_a_file_that_is_pushed_meanwhile_is_there(bench: Bench) -> None:
    bench("./probe tick out 40 50 > /dev/null & true")
    bench.transport.push(b"new\n", f"{HERE}/pushed")
    bench.wait_for("out", "tick 3\n")
    assert bench("./probe show pushed")[1] == "new\n"


def test_signals_reach_it(bench: Bench) -> None:
    assert bench("./probe hear & sleep 0.4; kill $!; wait $!; echo $?")[1] == "ready\nheard 15\n5\n"
    assert bench("./probe hear & sleep 0.4; kill -9 $!; wait $!; echo $?")[1] == "ready\n137\n"
    assert bench("timeout 0.5 ./probe hear")[0] == 124
    assert bench("pidof probe; pidof ./probe")[1] == ""


def test_two_of_them_share_files_and_locks(bench: Bench) -> None:
    assert bench("./probe lock l 1 & sleep 0.4; ./probe lock l 0; wait; ./probe lock l 0")[1] == "mine\nbusy\nmine\n"


def test_a_program_whose_client_has_gone_hears_of_it(bench: Bench) -> None:
    # Not a command of the transport's, which would come back and end it.
    service = f"shell,v2,raw:cd {HERE}; ./probe alone out"
    with bench.transport._open_channel(service, Deadline.after(20)) as channel:
        assert channel.read().endswith(b"ready\n")
        bench.served.drop_connections()
    bench.wait_for("out", "alone\n")


def test_a_restart_ends_it(bench: Bench) -> None:
    bench("./probe hear > /dev/null & true")
    _wait(lambda: bool(alive()))
    bench.phone.reboot()
    _wait(lambda: not alive())
    assert bench("./probe 4")[0] == 4


def test_time_passes_on_the_phone_as_it_does_here(bench: Bench) -> None:
    before_s = bench.phone.uptime_s
    bench("./probe tick out 10 100")
    assert 0.9 < bench.phone.uptime_s - before_s < 10


def test_faults_strike_it(bench: Bench) -> None:
    faults = bench.phone.faults
    faults.add(Fault("kill", match="./probe tick", times=1, at_bytes=20))
    code, out, _ = bench("./probe tick out 50 20")
    assert code == 137 and out.startswith("tick 0\ntick 1\ntick 2\n") and len(out) < 50
    assert bench.read("out").startswith(out)
    faults.add(Fault("kill", match="./probe hear", times=1, signal=11))
    assert bench("./probe hear")[0] == 139
    faults.add(Fault("damage_output", match="probe tick", times=1, at_bytes=_PREFIX_BYTES + 8))
    assert bench("./probe tick out2 2 0")[1] == "tick 0\nthck 1\n"
    faults.add(Fault("cut_output", match="probe tick", times=1, at_bytes=_PREFIX_BYTES + 10))
    with pytest.raises(DeviceOfflineError):
        bench("./probe tick cut 30 20")
    # Whoever comes back to it ends it.
    bench.wait_for("cut", "tick 1\n")
    _wait(lambda: not alive())


def test_a_full_phone_lets_files_grow_no_further(bench: Bench) -> None:
    bench.phone.faults.add(Fault("storage_full", match="probe tick", times=1, at_run=0, free_bytes=10))
    code, out, _ = bench("./probe tick out 40 20")
    assert code == 128 + signal.SIGXFSZ and out.startswith("tick 0\n") and out.count("tick") < 40
    assert bench.read("out") == "tick 0\ntic"


def test_what_was_written_before_the_phone_was_full_is_kept_as_far_as_it_fits(bench: Bench) -> None:
    bench("./probe tick out 60 50 > /dev/null & true")
    bench.wait_for("out", "tick 2\n")
    data = bench.phone.files.mount_of("/data")
    data.used_bytes = data.size_bytes
    _wait(lambda: not alive())
    lines = bench.read("out").splitlines()
    assert lines and lines[:-1] == [f"tick {number}" for number in range(len(lines) - 1)]


def test_what_cannot_run_is_said_in_one_line(
    compiled: Callable[..., bytes], key_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        PhoneServer(Phone(described())) as served,
        DirectTransport.tcp(served.address, key_path=key_path) as transport,
    ):
        bench = Bench(served.phone, served, transport)
        transport.push(compiled("arm64-v8a", "-O1"), f"{HERE}/dynamic", mode=0o755)
        code, out, err = bench("./dynamic 3")
        assert (code, out) == (126, "")
        assert err.endswith("needs the loader /lib/ld-linux-aarch64.so.1, which this phone does not have\n")
        transport.push(compiled("arm64-v8a")[:9000], f"{HERE}/cut", mode=0o755)
        assert bench("./cut 3")[0] not in (0, 3)
        transport.push(compiled("x86_64"), f"{HERE}/other", mode=0o755)
        assert bench("./other 3")[2].endswith("not executable: 64-bit ELF file\n")
        transport.push(virtual_program("benchmark_model"), f"{HERE}/benchmark_model", mode=0o755)
        assert "benchmark_model" in bench("./benchmark_model --help")[2], "virtual programs stay what they are"
        transport.push(compiled(), f"{HERE}/probe", mode=0o755)
        monkeypatch.setattr(shutil, "which", lambda _: None)
        code, out, err = bench("./probe 3")
        assert (code, out, err.count("\n")) == (126, "", 1)
        assert "arm64-v8a programs run here only with qemu; install the package qemu-user-static" in err


def test_nothing_outlives_a_phone_that_is_killed(
    compiled: Callable[..., bytes], key_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    folder = "orphan"
    path = f"/data/local/tmp/{folder}/probe"
    with (
        pytest.raises(AssertionError),
        phone_served("--phone", "pixel4") as serial,
        DirectTransport.tcp(serial, key_path=key_path) as transport,
    ):
        transport.push(compiled(), path, mode=0o755)
        transport.shell(f"cd /data/local/tmp/{folder}; {path} hear > /dev/null & true")
        _wait(lambda: bool(alive(folder)))
        runner, *_ = alive(folder)
        server = int(Path(f"/proc/{runner}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()[1])
        os.kill(server, signal.SIGKILL)
        _wait(lambda: not alive(folder))
        # The served phone did not end as it should, of which its fixture complains.


def test_every_processor_that_qemu_may_be(compiled: Callable[..., bytes], key_path: Path) -> None:
    for cpu in ("cortex-a53", "cortex-a76", "max"):
        description = described().model_copy(update={"qemu_cpu": cpu})
        with (
            PhoneServer(Phone(description)) as served,
            DirectTransport.tcp(served.address, key_path=key_path) as transport,
        ):
            transport.push(compiled(), f"{HERE}/probe", mode=0o755)
            assert transport.shell(f"{HERE}/probe cores").stdout == "8\n"

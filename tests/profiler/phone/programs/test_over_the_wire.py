"""The programs through the real protocol: pushed, run, killed, and their files fetched."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from profiler.adb import DirectTransport
from profiler.phone import ContentPool, Phone, PhoneServer, load_phone
from profiler.phone.files import SHELL_USER
from profiler.phone.programs import virtual_program
from profiler.tool_outputs import parse_benchmark_model, parse_benchmark_result

FOLDER = "/data/local/tmp"


@pytest.fixture
def phone() -> Phone:
    return Phone(load_phone("pixel4"))


@pytest.fixture
def server(phone: Phone) -> Iterator[PhoneServer]:
    with PhoneServer(phone) as running:
        yield running


@pytest.fixture
def direct(server: PhoneServer, tmp_path: Path, model: bytes) -> Iterator[DirectTransport]:
    with DirectTransport.tcp(server.address, key_path=tmp_path / "key") as transport:
        transport.push(virtual_program("benchmark_model"), f"{FOLDER}/bm", mode=0o755)
        transport.push(model, f"{FOLDER}/m.tflite")
        yield transport


def test_a_benchmark(direct: DirectTransport) -> None:
    command = f"cd {FOLDER} && taskset 80 ./bm --graph=m.tflite --num_runs=20 --min_secs=0 --result_file_path=r 2>&1"
    ran = direct.shell(command)
    assert ran.exit_code == 0
    assert parse_benchmark_model(ran.stdout.encode()).complete
    assert parse_benchmark_result(direct.read_file(f"{FOLDER}/r")).runs == 20


def test_a_benchmark_is_listed_and_killed(
    direct: DirectTransport, server: PhoneServer, phone: Phone, tmp_path: Path
) -> None:
    ended: list[int | None] = []

    def run() -> None:
        command = f"exec {FOLDER}/bm --graph={FOLDER}/m.tflite --num_runs=1000000000 --max_secs=100000000"
        ended.append(direct.shell(command, timeout_s=30).exit_code)

    thread = threading.Thread(target=run)
    thread.start()
    deadline_s = time.monotonic() + 10
    while not any("bm" in process.arguments[0] for process in phone.processes) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    with DirectTransport.tcp(server.address, key_path=tmp_path / "key") as second:
        # A second way to the phone answers while the program is busy.
        assert second.shell("kill -11 $(pidof bm)", timeout_s=10).exit_code == 0
    thread.join(10)
    assert ended == [139]
    assert not [process for process in phone.processes if "bm" in process.arguments[0]]


def test_pushes_take_the_phones_time(direct: DirectTransport, phone: Phone) -> None:
    before_s = phone.clock.elapsed_s
    direct.push(bytes(8_000_000), f"{FOLDER}/large")
    assert phone.clock.elapsed_s - before_s == pytest.approx(0.2, abs=0.1)


def test_phones_hold_equal_files_once(tmp_path: Path) -> None:
    content = np.random.default_rng(3).bytes(300_000)
    pool = ContentPool()
    phones = [Phone(load_phone("pixel4"), seed=seed, contents=pool) for seed in range(3)]
    for phone in phones:
        with PhoneServer(phone) as server, DirectTransport.tcp(server.address, key_path=tmp_path / "key") as direct:
            direct.push(content, f"{FOLDER}/model")
            assert direct.read_file(f"{FOLDER}/model") == content
    held = [phone.files.read(f"{FOLDER}/model", SHELL_USER) for phone in phones]
    assert held[0] is held[1] is held[2]
    with PhoneServer(phones[0]) as server, DirectTransport.tcp(server.address, key_path=tmp_path / "key") as direct:
        direct.shell(f"echo more >> {FOLDER}/model")
    assert bytes(phones[0].files.read(f"{FOLDER}/model", SHELL_USER)) == content + b"more\n"
    assert phones[1].files.read(f"{FOLDER}/model", SHELL_USER) == content
    assert len(pool) == 1
    del held, phones, phone
    gc.collect()
    assert len(pool) == 0

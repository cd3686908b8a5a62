"""How fast files and commands get to a device and back, beside Google's adb client and adb-shell as it comes.

All talk to one device on loopback: Google's adbd where scripts/build-adbd has built it, else the emulated phone in a
process of its own.  The ways take turns, in an order that is shuffled each round, and a ratio is the median of the
rounds' own ratios.  A round trip is `true` run there; Google's client is a new process for each, as it always is.

    python bench/transport.py [--megabytes 50] [--round-trips 1000] [--rounds 10] [--json]
"""

from __future__ import annotations

import argparse
import filecmp
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from adb_shell.adb_device import AdbDeviceTcp

from profiler.adb import AdbServer, DirectTransport, ServerTransport, Transport, load_or_create_key

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.adb_programs import BUILT_ADBD, AdbProgram, adb_client, own_adb, own_adbd

LEAST_DIRECT_PUSH_MB_S = 100.0
LEAST_TO_STOCK = 5.0
LEAST_TO_GOOGLE = 0.8
STOCK, GOOGLE, DIRECT, SERVER = "adb-shell", "Google's adb", "direct", "server"

_CHUNK_BYTES = 1 << 20
"""Files are made and compared in pieces, so that the peak of memory is the transfers' own."""

Figures = dict[str, dict[str, list[float]]]
"""One number a round, by measure and way."""


class Way(Protocol):
    """What is measured of each."""

    def push(self, source: Path, path: str) -> object: ...  # noqa: D102
    def pull(self, path: str, target: Path) -> object: ...  # noqa: D102
    def shell(self, command: str) -> object: ...  # noqa: D102


class GoogleClient:
    """Google's adb, one process a call."""

    def __init__(self, adb: AdbProgram, serial: str) -> None:
        self._adb, self._serial = adb, serial

    def push(self, source: Path, path: str) -> None:
        """Push a file."""
        self._run("push", str(source), path)

    def pull(self, path: str, target: Path) -> None:
        """Pull a file."""
        self._run("pull", path, str(target))

    def shell(self, command: str) -> None:
        """Run a command."""
        self._run("shell", command)

    def _run(self, *arguments: str) -> None:
        result = self._adb("-s", self._serial, *arguments)
        if result.returncode:
            raise SystemExit(f"adb {arguments[0]}: {result.stdout + result.stderr!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table (or only the JSON line), and return 0 when all limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, default=50, help="size of the file")
    parser.add_argument("--round-trips", type=int, default=1000, help="commands of each way, over all rounds")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each way")
    parser.add_argument("--adbd", type=Path, default=BUILT_ADBD, help="Google's adbd")
    parser.add_argument("--json", action="store_true", help="print the JSON line only")
    options = parser.parse_args(arguments)
    client = adb_client("debian") or adb_client("adbutils")
    if client is None:
        parser.error("needs Google's adb: apt-get install adb, or pip install adbutils")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peer, address, folder = stack.enter_context(_device(options.adbd))
        adb = stack.enter_context(own_adb(client, home))
        ways = _open_ways(stack, address, adb, home)
        figures = measure(
            ways, home, folder, options.megabytes * 10**6, options.rounds, options.round_trips // options.rounds
        )
        version = adb("version").stdout.decode().split("Version ")[-1].split()[0]
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = summary(figures) | {"device": peer, "adb": version, "peak_mib": peak_mib, "rounds": options.rounds}
    if not options.json:
        _print_table(figures, result)
    print(json.dumps({"bench": "transport", **result}))
    return 0 if result["kept"] else 1


def measure(ways: dict[str, Way], home: Path, folder: str, size: int, rounds: int, trips: int) -> Figures:
    """Let each way push, pull and run commands, in turns."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    source, back, there, order = home / "source", home / "back", f"{folder}/bench", random.Random(0)
    with source.open("wb") as file:
        for start in range(0, size, _CHUNK_BYTES):
            file.write(random.Random(start).randbytes(min(_CHUNK_BYTES, size - start)))
    for _ in range(rounds):
        # Transfers are over in a blink, so those that are compared follow one another closely.
        for name, way in order.sample(list(ways.items()), len(ways)):
            figures["push MB/s"][name].append(size / 1e6 / _seconds(way.push, source, there))
            figures["pull MB/s"][name].append(size / 1e6 / _seconds(way.pull, there, back))
            if not filecmp.cmp(source, back, shallow=False):
                raise SystemExit(f"{name}: what came back differs")
            way.shell(f"rm {there}")
        for name, way in order.sample(list(ways.items()), len(ways)):
            figures["round trips/s"][name].append(trips / _seconds(_run_often, way, trips))
    return figures


def summary(figures: Figures) -> dict[str, Any]:
    """Return medians, the ratios that have limits, and whether these are kept."""
    medians = {
        measure: {way: statistics.median(values) for way, values in by_way.items()}
        for measure, by_way in figures.items()
    }
    to_stock = _ratio(figures["round trips/s"], DIRECT, STOCK)
    to_google = {measure: _ratio(by_way, SERVER, GOOGLE) for measure, by_way in figures.items()}
    kept = (
        medians["push MB/s"][DIRECT] >= LEAST_DIRECT_PUSH_MB_S
        and to_stock >= LEAST_TO_STOCK
        and min(to_google.values()) >= LEAST_TO_GOOGLE
    )
    return {"medians": medians, "direct_to_stock_round_trips": to_stock, "server_to_google": to_google, "kept": kept}


def _ratio(by_way: dict[str, list[float]], over: str, under: str) -> float:
    return statistics.median(a / b for a, b in zip(by_way[over], by_way[under], strict=True))


def _run_often(way: Way, times: int) -> None:
    for _ in range(times):
        way.shell("true")


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


@contextmanager
def _device(adbd: Path) -> Iterator[tuple[str, str, str]]:
    """Start what is talked to; gives its name, its address, and where it may be written to."""
    if adbd.is_file():
        with own_adbd(adbd) as daemon:
            yield "Google's adbd", daemon.address, str(daemon.folder)
        return
    command = [sys.executable, "-m", "pocketnas", "phone", "serve", "--phone", "pixel4", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield "emulated phone", json.loads(process.stdout.readline())["serial"], "/data/local/tmp"
        finally:
            process.terminate()


def _open_ways(stack: ExitStack, address: str, adb: AdbProgram, home: Path) -> dict[str, Way]:
    key_path = home / "key"
    adb.connect(address)
    transports: list[Transport] = [
        DirectTransport.tcp(address, key_path=key_path),
        ServerTransport(address, AdbServer(port=adb.port)),
    ]
    direct, server = (stack.enter_context(transport) for transport in transports)
    host, _, port = address.rpartition(":")
    stock = AdbDeviceTcp(host, int(port), default_transport_timeout_s=30)
    stock.connect(rsa_keys=[load_or_create_key(key_path)], auth_timeout_s=5)
    stack.callback(stock.close)
    return {STOCK: stock, GOOGLE: GoogleClient(adb, address), DIRECT: direct, SERVER: server}


def _print_table(figures: Figures, result: dict[str, Any]) -> None:
    names = (STOCK, GOOGLE, DIRECT, SERVER)
    print(f"device: {result['device']}; adb {result['adb']}; medians of {result['rounds']} rounds")
    print(f"{'':<16}" + "".join(f"{name:>14}" for name in names) + f"{'direct/stock':>14}{'server/Google':>15}")
    for measure, by_way in figures.items():
        cells = "".join(f"{result['medians'][measure][name]:>14.1f}" for name in names)
        ratios = f"{_ratio(by_way, DIRECT, STOCK):>13.2f}x{_ratio(by_way, SERVER, GOOGLE):>14.2f}x"
        print(f"{measure:<16}{cells}{ratios}")
    print(
        f"limits: direct push >= {LEAST_DIRECT_PUSH_MB_S:.0f} MB/s, round trips direct/stock >= {LEAST_TO_STOCK:.0f}x, "
        f"server/Google >= {LEAST_TO_GOOGLE}x: {'kept' if result['kept'] else 'NOT KEPT'}"
    )
    print(f"peak memory of this process: {result['peak_mib']:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())

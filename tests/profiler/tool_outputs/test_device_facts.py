"""What phones print about themselves, on samples made by hand."""

from __future__ import annotations

import pytest

from profiler.errors import ToolOutputError
from profiler.tool_outputs import (
    AdbDevice,
    parse_adb_devices,
    parse_adb_message,
    parse_battery,
    parse_cpufreq,
    parse_cpuinfo,
    parse_df,
    parse_meminfo,
    parse_power,
    parse_properties,
    parse_thermal,
)

LIST = "List of devices attached\n"
BATTERY = "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  level: 40\n  scale: 50\n"


@pytest.mark.parametrize(
    ("row", "device"),
    [
        ("emulator-5554\toffline", AdbDevice("emulator-5554", "offline")),
        ("adb-1 (2)._adb-tls-connect._tcp\tdevice", AdbDevice("adb-1 (2)._adb-tls-connect._tcp", "device")),
        ("adb-1 (2)._adb-tls-connect._tcp device", AdbDevice("adb-1 (2)._adb-tls-connect._tcp", "device")),
        ("AB12    authorizing transport_id:7", AdbDevice("AB12", "authorizing", transport_id=7)),
        (
            "????????\tno permissions (x; y); see [http://z]",
            AdbDevice("????????", "no permissions", "(x; y); see [http://z]"),
        ),
        ("AB12\tin some new state", AdbDevice("AB12", "in some new state")),
        ("device\tdevice usb:1-2X", AdbDevice("device", "device", usb="1-2X")),
    ],
)
def test_rows_of_adb_devices(row: str, device: AdbDevice) -> None:
    for end in ("\n", "\r\n", "\n\n"):
        said = parse_adb_devices((LIST + row + end).encode())
        assert (said.devices, said.complete) == ((device,), True)


def test_talk_of_adb_is_no_device() -> None:
    talk = "* daemon not running; starting now at tcp:5037\n* daemon started successfully *\n"
    said = parse_adb_devices((talk + LIST + talk + "AB12\tdevice\n").encode())
    assert [device.serial for device in said.devices] == ["AB12"]
    assert len(said.messages) == 4


def test_a_cut_state_is_no_state() -> None:
    assert parse_adb_devices((LIST + "AB12\tdevi").encode()).devices == ()
    assert parse_adb_devices((LIST + "AB12\tdevice usb:1-2 transport_id:1").encode()).devices[0].transport_id is None
    with pytest.raises(ToolOutputError):
        parse_adb_devices(b"AB12\tdevice\n")


def test_every_trouble_is_told() -> None:
    said = parse_adb_message(
        b"error: protocol fault\nadb: error: failed to copy 'a' to 'b': No space left\n1 file pushed\n"
    )
    assert [trouble.kind for trouble in said.troubles] == ["protocol", "storage_full"]
    assert said.pushed


def test_battery() -> None:
    said = parse_battery((BATTERY + "  voltage: 4156\n  temperature: 357\n  status: 2\n[Log]\n  level: 9\n").encode())
    assert (said.level_percent, said.temperature_c, said.voltage_mv, said.status) == (80, 35.7, 4156, "charging")
    assert (said.plugged, said.health, said.overridden) == (("usb",), None, False)


@pytest.mark.parametrize(
    ("tail", "temperature_c", "voltage_mv"),
    [
        ("  voltage: 0\n  temperature: 0\n", None, None),
        ("  voltage: 13\n  temperature: 26\n", None, None),
        ("  voltage: 4156000\n  temperature: -55\n", -5.5, 4156),
        ("  voltage: 4156\n  temperature: 99999\n", None, 4156),
        ("  voltage: 4156\n  temperature: 357", None, 4156),
        ("  temperature: Permission denied\n", None, None),
    ],
)
def test_battery_units(tail: str, temperature_c: float | None, voltage_mv: int | None) -> None:
    said = parse_battery((BATTERY + tail).encode())
    assert (said.temperature_c, said.voltage_mv) == (temperature_c, voltage_mv)


def test_battery_that_somebody_set() -> None:
    assert parse_battery(
        BATTERY.replace("state:", "state:\n  (UPDATES STOPPED -- use 'reset' to restart)").encode()
    ).overridden


def test_thermal_service_is_read_where_sensors_speak() -> None:
    sensor = "\tTemperature{{mValue={}, mType=0, mName={}, mStatus=3}}\n"
    dump = "Thermal Status: 3\nCached temperatures:\n" + sensor.format(84.2, "CPU") + "HAL Ready: true\n"
    assert parse_thermal(dump.encode()).temperatures == ()
    said = parse_thermal(
        (dump + "Current temperatures from HAL:\n" + sensor.format(57.9, "CPU") + sensor.format(0.0, "X")).encode()
    )
    assert [(one.name, one.type, one.temperature_c, one.status) for one in said.temperatures] == [
        ("CPU", "cpu", 57.9, "severe"),
        ("X", "cpu", None, "severe"),
    ]
    assert (said.status, said.status_code, said.hal_ready) == ("severe", 3, True)


@pytest.mark.parametrize(
    "listing",
    [
        "cpu-0: 37000\ngpu: 309\n",
        "cpu-0\t37000\ngpu    30.9\n",
        "thermal_zone0: cpu-0 37000\n/sys/class/thermal/thermal_zone1 gpu 309\n",
        "$ cat /sys/class/thermal/thermal_zone*/type\ncpu-0\ngpu\n"
        "$ cat /sys/class/thermal/thermal_zone*/temp\n37000\n309\n",
        "type=cpu-0\ntemp=37000\ntype=gpu\ntemp=309\n",
        "p:/ # cat /sys/class/thermal/thermal_zone0/type\ncpu-0\n"
        "p:/ # cat /sys/class/thermal/thermal_zone0/temp\n37000\n"
        "p:/ # cat /sys/class/thermal/thermal_zone1/type\ngpu\np:/ # cat /sys/class/thermal/thermal_zone1/temp\n309\n",
        "==> /sys/class/thermal/thermal_zone0/type <==\ncpu-0\n\n"
        "==> /sys/class/thermal/thermal_zone0/temp <==\n37000\n\n"
        "==> /sys/class/thermal/thermal_zone0/trip_point_0_temp <==\n95000\n\n"
        "==> /sys/class/thermal/thermal_zone1/type <==\ngpu\n\n==> /sys/class/thermal/thermal_zone1/temp <==\n309\n",
        "/sys/class/thermal/thermal_zone0/type:cpu-0\n/sys/class/thermal/thermal_zone0/temp:37000\n"
        "/sys/class/thermal/thermal_zone0/trip_point_0_temp:95000\n"
        "/sys/class/thermal/thermal_zone1/type:gpu\n/sys/class/thermal/thermal_zone1/temp:309\n",
    ],
)
def test_listings_of_zones(listing: str) -> None:
    said = parse_thermal(listing.encode())
    assert [(zone.name, zone.temperature_c) for zone in said.zones] == [("cpu-0", 37.0), ("gpu", 30.9)]


def test_refused_zones_are_unknown_and_not_the_next_one() -> None:
    listing = (
        "$ cat /sys/class/thermal/thermal_zone*/type\ncpu-0\ngpu\n$ cat /sys/class/thermal/thermal_zone*/temp\n"
        "cat: /sys/class/thermal/thermal_zone0/temp: Permission denied\n309\n"
    )
    assert [zone.temperature_c for zone in parse_thermal(listing.encode()).zones] == [None, None]


@pytest.mark.parametrize(("raw", "degrees"), [(25000, 25), (309, 30.9), (31, 31), (-40, None), (0, None), (150, None)])
def test_units_of_zones(raw: int, degrees: float | None) -> None:
    assert parse_thermal(f"zone-a: {raw}\n".encode()).zones[0].temperature_c == degrees


def test_power() -> None:
    assert parse_power(b"  mWakefulness=Dozing\n").awake is False
    assert parse_power(b"mScreenOn=true\n").awake is True
    assert parse_power(b"Permission Denial: can't dump PowerManagerService\n").awake is None


def test_cpuinfo() -> None:
    block = "processor\t: {}\nBogoMIPS\t: 38.40\nCPU implementer\t: 0x41\nCPU part\t: {}\n\n"
    said = parse_cpuinfo((block.format(0, "0xd05") + block.format(1, "0xd0b") + "Hardware\t: SM8150\n").encode())
    assert ([one.number for one in said.processors], said.parts, said.hardware) == (
        [0, 1],
        ("0xd05", "0xd0b"),
        "SM8150",
    )
    old = parse_cpuinfo(b"Processor\t: ARMv7 rev 2\nCPU part\t: 0xc08\n\nHardware\t: herring\n")
    assert (old.processors, old.parts, old.hardware) == ((), ("0xc08",), "herring")
    assert parse_cpuinfo(b"processor\t: 0\nCPU part\t: 0xd0").parts == ()


def test_df() -> None:
    table = "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/a 20 5 15 25% /data\n"
    table += "/dev/very/long\n  40 10 30 25% /my card\n"
    said = parse_df(table.encode())
    assert [(row.mounted_on, row.available_bytes, row.use_percent) for row in said.filesystems] == [
        ("/data", 15 * 1024, 25),
        ("/my card", 30 * 1024, 25),
    ]
    human = parse_df(b"Filesystem Size Used Avail Use% Mounted on\ntmpfs 2.9G 0 621M 0% /\n").filesystems[0]
    assert (human.size_bytes, human.used_bytes, human.rounded) == (int(2.9 * (1 << 30)), 0, True)
    old = parse_df(b"Filesystem Size Used Free Blksize\n/data 27G 19G 8G 4096\n").filesystems[0]
    assert (old.mounted_on, old.filesystem, old.available_bytes) == ("/data", None, 8 << 30)
    with pytest.raises(ToolOutputError, match="unknown heading") as raised:
        parse_df(b"Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/a 20 5 15 25% /data\n")
    assert raised.value.line == 1


def test_meminfo() -> None:
    said = parse_meminfo(b"MemTotal:  100 kB\nMemFree:  50 kB\nMemAvailable:  7")
    assert (said.total_bytes, said.free_bytes, said.available_bytes) == (102400, 51200, None)


def test_properties() -> None:
    assert parse_properties(b"[a.b]: [1]\n[c.d]: [two\nlines]\n[e.f]: []\n[g.h]: [cut") == {
        "a.b": "1",
        "c.d": "two\nlines",
        "e.f": "",
    }
    assert parse_properties(b"# c=d\nro.a=1\nro.a=2\nx.y=1\nx.y=2\n") == {"ro.a": "1", "x.y": "2"}


def test_cpufreq() -> None:
    root = "==> /sys/devices/system/cpu/"
    listing = f"{root}online <==\n0-1,3\n{root}cpu3/cpufreq/cpuinfo_max_freq <==\n2803200\n"
    listing += f"{root}cpu3/cpufreq/related_cpus <==\n2 3\n"
    said = parse_cpufreq(listing.encode())
    assert (said.online, said.present) == ((0, 1, 3), None)
    assert [(core.cpu, core.most_hz, core.now_hz, core.related) for core in said.cpus] == [
        (3, 2803200000, None, (2, 3))
    ]
    assert parse_cpufreq(f"{root}online <==\n0-99999\n".encode()).online is None


PARSERS_OF_TEXT = [
    parse_adb_devices,
    parse_battery,
    parse_cpufreq,
    parse_cpuinfo,
    parse_df,
    parse_meminfo,
    parse_power,
    parse_properties,
    parse_thermal,
]


@pytest.mark.parametrize("parse", PARSERS_OF_TEXT, ids=lambda parse: parse.__name__)
@pytest.mark.parametrize(
    "data", [b"", b"\n", b"hello world\n", b"\xff\xfe\x00", b"sh: x: inaccessible or\n", b"word\n"]
)
def test_what_is_no_such_output(parse: object, data: bytes) -> None:
    assert callable(parse)
    with pytest.raises(ToolOutputError):
        parse(data)

"""The phone's answers have the shapes that real phones' have: our parsers, made for those, read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from profiler.phone import Phone
from profiler.tool_outputs import (
    parse_battery,
    parse_cpuinfo,
    parse_df,
    parse_meminfo,
    parse_power,
    parse_properties,
    parse_thermal,
)

Run = Callable[..., Any]


def test_battery(run: Run, phone: Phone) -> None:
    phone.state.level_percent, phone.state.battery_c = 26, 35.7
    state = parse_battery(run("dumpsys battery").out.encode())
    assert (state.level_percent, state.temperature_c) == (26, 35.7)


def test_thermal(run: Run, phone: Phone) -> None:
    run("cmd thermalservice override-status 2")
    state = parse_thermal(run("dumpsys thermalservice").out.encode())
    assert state.status_code == 2
    assert {"battery", "cpu-1-3-usr"} <= {reading.name for reading in state.temperatures}


def test_power(run: Run, phone: Phone) -> None:
    assert parse_power(run("dumpsys power").out.encode()).wakefulness == "Awake"
    phone.state.awake = False
    assert parse_power(run("dumpsys power").out.encode()).wakefulness == "Asleep"


def test_memory_storage_processors_and_properties(run: Run, phone: Phone) -> None:
    assert parse_meminfo(run("cat /proc/meminfo").out.encode()).total_bytes == phone.description.memory_kb * 1024
    (row,) = parse_df(run("df -k /data/local/tmp").out.encode()).filesystems
    assert row.mounted_on == "/data"
    assert row.size_bytes == pytest.approx(phone.description.data_bytes, rel=1e-6)
    assert parse_df(run("df -h").out.encode()).complete
    assert [one.part for one in parse_cpuinfo(run("cat /proc/cpuinfo").out.encode()).processors][3:5] == [
        "0x805",
        "0x804",
    ]
    assert parse_properties(run("getprop").out.encode())["ro.product.model"] == "Pixel 4"


def test_one_property(run: Run) -> None:
    assert run("getprop ro.product.model; getprop ro.none; getprop ro.none fallback").out == "Pixel 4\n\nfallback\n"


def test_settings_last_and_are_given_back(run: Run) -> None:
    assert run(
        "settings put global x 5; settings get global x; settings delete global x; settings get global x"
    ).out == ("5\nDeleted 1 rows\nnull\n")
    assert run("svc power stayon usb; settings get global stay_on_while_plugged_in").out == "2\n"
    assert run("cmd power set-fixed-performance-mode-enabled true").code == 0
    assert run("cmd nosuch").code == 20


def test_what_only_root_may_is_refused(run: Run) -> None:
    cur = "/sys/devices/system/cpu/cpu7/cpufreq"
    assert run(f"cat {cur}/scaling_cur_freq").out == "825600\n"  # at rest
    for command in (f"cat {cur}/cpuinfo_cur_freq", "ls /data/data", "cat /proc/1/cmdline", "mkdir /system/x"):
        ran = run(command)
        assert ran.code != 0
        assert "denied" in ran.err or "Permission" in ran.err, command
    assert "Operation not permitted" in run("kill -9 1").err


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("echo abc | sha256sum", "edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb  -\n"),
        ("cd /data/local/tmp; echo a > f; mv f g; cat g; rm g; ls", "a\n"),
        ("cd /data/local/tmp; mkdir -p x/y; touch x/y/z; rm -r x; ls", ""),
        ("cd /data/local/tmp; echo abc > f; stat -c '%s %a' f; du -k f; chmod u+x f; stat -c %a f; rm f", None),
        ("uname -m; id -u", "aarch64\n2000\n"),
        ("taskset 80 echo pinned", "pinned\n"),
        ("timeout 0.05 sleep 5; echo $?", "124\n"),
    ],
)
def test_small_commands(run: Run, script: str, out: str | None) -> None:
    ran = run(script)
    assert ran.err == ""
    expected = "4 644\n4\tf\n744\n" if out is None else out
    assert ran.out == expected.replace("  -\n", "\n" if "  -" not in ran.out else "  -\n")


def test_a_mask_without_a_core_is_refused(run: Run) -> None:
    assert run("taskset 100 echo never").code == 1
    assert run("taskset zz echo never").code == 1


def test_a_full_phone_says_so(run: Run, phone: Phone) -> None:
    data = phone.files.mount_of("/data")
    data.used_bytes = data.size_bytes - 10
    ran = run("cd /data/local/tmp; echo 0123456789abcdef > f")
    assert "No space left on device" in ran.err

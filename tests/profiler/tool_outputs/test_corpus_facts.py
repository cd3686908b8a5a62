"""Every file of the corpus gives what its index says a correct reader must get, or the error that is due."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any

import pytest

from profiler.errors import ToolOutputError
from profiler.tool_outputs import PARSERS, parse_benchmark_model, parse_tool_output
from tests.device_corpus import Sample, samples

LABELS = {
    "Init": "init_us",
    "First inference": "first_us",
    "Warmup (avg)": "warmup_avg_us",
    "Warmup": "warmup_avg_us",
    "Inference (avg)": "inference_avg_us",
    "no stats": "inference_avg_us",
}


def of_kinds(*kinds: str) -> list[Any]:
    chosen = [pytest.param(sample, id=str(sample)) for sample in samples() if sample.kind in kinds]
    return chosen or [None]


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("benchmark_model"))
def test_timings_of_benchmark_model(sample: Sample) -> None:
    output = parse_benchmark_model(sample.data)
    timed = [run for run in output.runs if run.inference_avg_us is not None]
    if sample.summaries:
        said = [{LABELS[name]: value for name, value in line.items() if name in LABELS} for line in sample.summaries]
        assert [{name: getattr(run, name) for name in line} for run, line in zip(timed, said, strict=True)] == said
    elif len(sample.stages) == 2:
        assert [run.inference_avg_us for run in timed] == [sample.stages[1]["avg"]]
    else:
        assert timed == []
    for run in timed:
        counts = [stage["count"] for stage in sample.stages if abs(stage.get("avg", 0) - run.inference_avg_us) <= 1]
        assert run.count == (counts[-1] if counts else None)


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("benchmark_model"))
def test_operators_and_outcome_of_benchmark_model(sample: Sample) -> None:
    output = parse_benchmark_model(sample.data)
    rows = [row for run in output.runs for row in run.operators]
    assert len(rows) == (sample.operator_rows or (3 if "synap_opprofile" in sample.file else 0))
    assert all(row.avg_ms >= 0 and row.type and row.times_called >= 0 for row in rows)
    if sample.cut or sample.expect in ("incomplete", "message-only"):
        assert not output.complete
    elif sample.expect.startswith("ok"):
        assert output.complete
    if sample.expect.startswith("ok"):
        assert output.failed is None
    if sample.expect in ("failure", "message-only"):
        assert output.failed
        assert not output.complete


NUMBERS_OF_PERF_TEST = {
    "2019_no-space": {"average_ms": 83.8059, "requests": 7160, "p50_ms": None},
    "cobalt100": {"average_ms": 1.85739, "requests": 100, "p99_ms": 1.90312},
    "hand-annotated": {"average_ms": 236.208935, "p50_ms": 134.472, "p95_ms": 954.732, "max_ms": None},
    "spacemit": {"average_ms": 62.2935, "requests": 100, "p90_ms": 74.1593, "first_ms": 85.0},
}
BATTERIES = {
    "asus": {"temperature_c": 27.4, "level_percent": 100},
    "aosp": {"level_percent": 80, "temperature_c": 30},
    "s24": {"level_percent": 75, "voltage_mv": 4156, "temperature_c": 35.7, "status": "charging"},
    "emulator": {"level_percent": 89, "voltage_mv": None, "temperature_c": None},
    "samsung_2023": {"level_percent": 100, "temperature_c": 30.9, "status": "full"},
    "tvbox": {"level_percent": 90, "voltage_mv": None, "temperature_c": None},
}
POWERS = {
    "android44": {"awake": True, "wakefulness": None},
    "grep": {"awake": False, "wakefulness": "Asleep"},
    "permission-denial": {"awake": None, "wakefulness": None},
    "samsung": {"awake": True, "low_power_mode": False},
}


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("onnxruntime_perf_test", "battery", "power"))
def test_figures(sample: Sample) -> None:
    due = {**NUMBERS_OF_PERF_TEST, **BATTERIES, **POWERS}
    if "mvt_dumpsys" in sample.file:
        with pytest.raises(ToolOutputError, match="not a dump of the battery service"):
            parse_tool_output(sample.data, sample.kind)
        return
    said = parse_tool_output(sample.data, sample.kind)
    said = said["runs"][0] if "runs" in said else said
    expected = [figures for part, figures in due.items() if part in sample.file]
    if not expected:
        pytest.fail(f"a new file: {sample.facts}")
    assert {name: said[name] for name in expected[0]} == expected[0]


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("properties", "meminfo", "cpuinfo", "cpufreq"))
def test_facts_that_the_index_spells_out(sample: Sample) -> None:
    said = parse_tool_output(sample.data, sample.kind)
    checks: dict[str, Callable[[dict[str, Any]], object]] = {
        r"([0-9]+) props": lambda it: str(len(it["properties"])),
        r"model=([^;]+)": lambda it: it["properties"].get("ro.product.model", "ABSENT"),
        r"platform=([^;]+)": lambda it: it["properties"].get("ro.board.platform", "ABSENT"),
        r"abi=([^;]+)": lambda it: it["properties"].get("ro.product.cpu.abi", "ABSENT"),
        r"sdk=([^;]+)": lambda it: it["properties"].get("ro.build.version.sdk", "ABSENT"),
        r"MemTotal ([0-9]+)": lambda it: str(it["total_bytes"] // 1024),
        r"MemFree ([0-9]+)": lambda it: str(it["free_bytes"] // 1024),
        r"MemAvailable ([0-9]+)": lambda it: str(it["available_bytes"] // 1024),
        r"processor blocks=([0-9]+)": lambda it: str(len(it["processors"])),
        r"Hardware=\['(.*?)'\]": lambda it: it["hardware"],
        r"Hardware=(ABSENT)": lambda it: it["hardware"] or "ABSENT",
        r"distinct CPU part=(none|\[.*?\])": lambda it: str(list(it["parts"])) if it["parts"] else "none",
        r"([0-9]+) sysfs files": lambda it: str(len(it["files"])),
    }
    found = {pattern: match[1].strip() for pattern in checks if (match := re.search(pattern, sample.facts))}
    assert {pattern: checks[pattern](said) for pattern in found} == found
    khz = re.search(r"cpuinfo_max_freq kHz=(\[.*?\])", sample.facts)
    if khz:
        due = {int(text) * 1000 for text in ast.literal_eval(khz[1])}
        assert {cpu["most_hz"] for cpu in said["cpus"] if cpu["most_hz"]} == due
        assert said["possible"] and said["present"] and said["online"]


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("adb_devices"))
def test_adb_devices(sample: Sample) -> None:
    said = parse_tool_output(sample.data, sample.kind)
    names = ("unauthorized", "offline", "no permissions", "device")
    states = [device["state"] for device in said["devices"]]
    assert states and set(states) <= set(names)
    assert len(states) == (4 if "4 rows" in sample.facts else 3 if "l_fixture" in sample.file else 1)
    serials = [device["serial"] for device in said["devices"]]
    expected = {
        "tls_name": "adb-13e75597-Upleco (2)._adb-tls-connect._tcp",
        "no-permissions_2025": "<ID removed>",
        "question-marks": "????????????",
        "l_fixture": "HA0XYY05",
        "killing": "LHS7N*************",
    }
    assert all(serials[0] == serial for part, serial in expected.items() if part in sample.file)
    if "l_huawei" in sample.file:
        assert said["devices"][0] == {
            "serial": "UYT5T18414003349",
            "state": "device",
            "detail": None,
            "usb": "1114112X",
            "product": "ALP-AL00",
            "model": "ALP_AL00",
            "device": "HWALP",
            "transport_id": 23,
        }


TROUBLES = {
    "push_ok": [],
    "version_1": [],
    "offline_tradefed": ["offline"],
    "closed_termux": ["closed"],
    "insufficient": ["no_host_permission"],
    "link_": ["missing_library"],
    "more-than-one": ["protocol", "more_than_one_device"],
    "protocol-fault": ["protocol"],
    "cannot-stat": ["local_file_missing"],
    "fchown": ["remote_file"],
    "no-space": ["storage_full"],
    "permission-denied": ["remote_file"],
    "readonly": ["read_only"],
    "cant-execute": ["not_executable"],
    "text-file-busy": ["file_busy"],
    "unauthorized": ["unauthorized"],
}


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("adb_message"))
def test_adb_messages(sample: Sample) -> None:
    said = [trouble["kind"] for trouble in parse_tool_output(sample.data, sample.kind)["troubles"]]
    if "python_output" in sample.file:
        assert "offline" in said
        return
    assert said == next(kinds for part, kinds in TROUBLES.items() if part in sample.file)


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("thermal"))
def test_temperatures(sample: Sample) -> None:
    said = parse_tool_output(sample.data, sample.kind)
    sensors = {sensor["name"]: sensor["temperature_c"] for sensor in said["temperatures"]}
    zones = {zone["name"]: zone["temperature_c"] for zone in said["zones"]}
    expected: dict[str, tuple[dict[str, float | None], str | None]] = {
        "4space": ({"battery": 30.5}, "moderate"),
        "hal-not-ready": ({}, "none"),
        "virtual-skin": ({"VIRTUAL-SKIN": 28.787504}, None),
        "stale-cache": ({}, "none"),
        "shield_current": ({"CPU0": 62.500004, "CPU1": 62.500004, "GPU": 61.000004}, None),
        "xiaomi": ({"CPU": 57.9, "SKIN": 34.351}, "none"),
    }
    for part, (temperatures, status) in expected.items():
        if part in sample.file:
            assert (sensors, said["status"]) == (temperatures, status)
    if "a52" in sample.file:
        assert (sensors["AP"], sensors["SUBBAT"], sensors["USB"], len(sensors)) == (25.6, None, None, 9)
    if "mixed-units" in sample.file:
        assert (zones["battery"], zones["msm_therm"], zones["thermal-cpufreq-0"]) == (37.0, 36.0, None)
    if "sensor-info" in sample.file:
        scales = {zone["name"]: zone["units_per_c"] for zone in said["zones"]}
        assert (scales["tsens_tz_sensor15"], scales["pm8953_tz"], scales["xo_therm"]) == (10, 1000, 1)
    if "types" in sample.file:
        assert len(zones) == len(said["zones"]) == (3 if "mtk" in sample.file else 7)


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("df"))
def test_file_systems(sample: Sample) -> None:
    said = parse_tool_output(sample.data, sample.kind)
    free = {row["mounted_on"]: row["available_bytes"] for row in said["filesystems"]}
    expected: dict[str, dict[str, float]] = {
        "aafm": {"/data": 8 << 30, "/mnt/asec": 362 << 20},
        "mtk_android9": {"/data": 18 << 30, "/": 621 << 20},
        "rk-tvbox": {"/": 0, "/data": int(2.4 * (1 << 30))},
        "fuse_storage": {"/storage/emulated": 26251316 * 1024},
        "tab-in-header": {"/mnt/sdcard": 10269188 * 1024},
    }
    for part, mounts in expected.items():
        if part in sample.file:
            assert {mount: free[mount] for mount in mounts} == mounts
    if "aconf" in sample.file:
        assert "/data" not in free
    assert len(free) == len(said["filesystems"]) > 0


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds("onnxruntime_profile"))
def test_profiles(sample: Sample) -> None:
    said = parse_tool_output(sample.data, sample.kind)
    assert said["complete"] is not sample.cut
    durations = [node["duration_us"] for node in said["nodes"]]
    expected = {"fence": [12944.0], "nnapi": [1142369.0], "onnx-tool79": [20077.0], "genai": [69.0]}
    assert all(durations == due for part, due in expected.items() if part in sample.file)
    if "no-args" in sample.file:
        assert (said["nodes_total_us"], said["executions_us"], said["model_runs_us"]) == (10329, (10417,), (31038,))


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", of_kinds(*PARSERS))
def test_no_other_kind_takes_it(sample: Sample) -> None:
    """A file is not mistaken for an output of another tool; adb's messages can stand in any of them."""
    if sample.kind == "adb_message":
        return
    takers = [kind for kind in PARSERS if kind not in (sample.kind, "adb_message") and takes(sample.data, kind)]
    assert takers == []


def takes(data: bytes, kind: str) -> bool:
    try:
        parse_tool_output(data, kind)
    except ToolOutputError:
        return False
    return True

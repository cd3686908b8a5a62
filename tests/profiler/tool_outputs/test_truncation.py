"""A part of an output never says a number that the whole does not say, wherever it is cut."""

from __future__ import annotations

from typing import Any

import pytest

from profiler.errors import ToolOutputError
from profiler.tool_outputs import parse_tool_output
from tests.device_corpus import Sample, samples
from tests.profiler.tool_outputs._numbers import new_numbers

# The default suite cuts short outputs at every byte, and the others as often as a short one at most.
SHORT_BYTES, LONG_BYTES = 1_000, 16_000
CUTS = 60
CORPUS = [pytest.param(sample, id=str(sample)) for sample in samples()] or [None]
LONG = [param for param in CORPUS if param and SHORT_BYTES < len(param.values[0].data) <= LONG_BYTES] or [None]
VERY_LONG = [param for param in CORPUS if param and len(param.values[0].data) > LONG_BYTES] or [None]


_RUN = (
    "STARTING!\nNum threads: [4]\nEnable op profiling: [1]\nInitialized session in 17.25ms.\n"
    "count=1 curr=76512391\n\n"
    "count=15 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798\n\n"
    "Inference timings in us: Init: 17187, First inference: 76512391, Warmup (avg): 7.65124e+07, "
    "Inference (avg): 2.95034e+06\nMemory footprint delta from the start of the tool (MB): init=31.75 overall=66.957\n"
    "Operator-wise Profiling Info for Regular Benchmark Runs:\n===== Run Order =====\n"
)
_TEXT = (
    "\t[node type]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]\n"
    "\tConv (NHWC, F32) 2\t11.25\t12.125\t62.5%\t62.5%\t12.5\t10\t[a, b:3]:12\n"
    "\tSOFTMAX\t11.25\t12.125\t37.5%\t100.000%\t12.5\t12\t[c]:13\n\n2 nodes observed\n"
)
_CSV = (
    "node type, first, avg_ms, %, cdf%, mem KB, times called, name\n"
    "Conv (NHWC, F32) 2, 11.25, 12.125, 62.5%, 62.5%, 12.5, 10, [a\t b:3]:12\n"
    "SOFTMAX, 11.25, 12.125, 37.5%, 100%, 12.5, 12, [c]:13\n\n"
)
SAMPLES = {
    "benchmark_model": [_RUN + _TEXT + _RUN.replace("15", "50").replace("2.95034e+06", "76587.9") + _CSV, _RUN + _CSV],
    "onnxruntime_perf_test": [
        "Session creation time cost:0.133189 s\nTotal inference requests:7160\nAverage inference time cost:83.8059 ms\n"
        "P50 Latency is 0.0587108sec\nPeak working set size: 36696064 bytes\n" * 2
    ],
    "onnxruntime_profile": [
        '[{"cat":"Session","dur":900123,"ts":10,"name":"model_run"},\n'
        '{"cat":"Node","name":"a_kernel_time","ts":12.5,"dur":8123,"args":{"op_name":"Conv","node_index":"12"}}]\n'
    ],
    "adb_devices": [
        "List of devices attached\n1.2.3.4:5555  device usb:1-12 product:a model:b device:c transport_id:123\n"
    ],
    "battery": ["Current Battery Service state:\n  level: 45\n  scale: 50\n  voltage: 4156\n  temperature: 357\n"],
    "thermal": [
        "Thermal Status: 2\nCached temperatures:\n\tTemperature{mValue=84.208, mType=0, mName=CPU, mStatus=0}\n"
        "Current temperatures from HAL:\n\tTemperature{mValue=57.125, mType=10, mName=TPU, mStatus=1}\n",
        "battery: 37125\nmsm_therm: 36\ngpu 309\n",
        "$ cat /sys/class/thermal/thermal_zone*/type\na-1\nb-2\n"
        "$ cat /sys/class/thermal/thermal_zone*/temp\n37125\n309\n",
    ],
    "cpuinfo": ["processor\t: 10\nBogoMIPS\t: 38.40\nCPU part\t: 0xd0b\n\nprocessor\t: 11\nCPU part\t: 0xd0b\n"],
    "df": [
        "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/fuse 27240188 988872 26251316 4% /data_mirror\n",
        "Filesystem Size Used Free Blksize\n/data 27G 19.5G 8G 4096\n/mnt/a 270M 19M 81M 4096\n",
    ],
    "meminfo": ["MemTotal:       15949056 kB\nMemFree:         2006432 kB\n"],
}


def outcome(data: bytes, kind: str) -> dict[str, Any]:
    try:
        return parse_tool_output(data, kind)
    except ToolOutputError:
        return {}


def failures(sample: Sample, step: int) -> list[str]:
    data = sample.data
    whole = outcome(data, sample.kind)
    # A prime step visits every place in a line of any width.
    cuts = {*range(0, len(data), step), *range(max(0, len(data) - 40), len(data))}
    return [
        f"cut at {at}: {found}"
        for at in sorted(cuts)
        for found in new_numbers(outcome(data[:at], sample.kind), whole)[:3]
    ]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in SAMPLES.items() for text in texts])
def test_no_cut_of_a_sample_makes_a_number(kind: str, text: str) -> None:
    data = text.encode()
    whole = parse_tool_output(data, kind)
    found = [new_numbers(outcome(data[:at], kind), whole) for at in range(len(data))]
    assert [places for places in found if places] == []


@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", CORPUS)
def test_no_cut_makes_a_number(sample: Sample) -> None:
    size = len(sample.data)
    primes = (1, 2, 3, 5, 7, 11, 17, 29, 53, 97, 193, 389)
    step = 1 if size <= SHORT_BYTES else next((prime for prime in primes if size <= prime * CUTS), primes[-1])
    assert failures(sample, step) == []


@pytest.mark.slow
@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", LONG)
def test_no_cut_of_a_long_output_makes_a_number(sample: Sample) -> None:
    """Two minutes for all of them on one core; .ci/run takes these."""
    assert failures(sample, 1) == []


@pytest.mark.slow
@pytest.mark.device_corpus
@pytest.mark.parametrize("sample", VERY_LONG)
def test_no_cut_of_a_very_long_output_makes_a_number(sample: Sample) -> None:
    """Four minutes for all of them on one core."""
    assert failures(sample, 1) == []

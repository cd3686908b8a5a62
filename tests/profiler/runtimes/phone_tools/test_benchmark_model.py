"""How benchmark_model is called, and which of its outputs become a number."""

from __future__ import annotations

from dataclasses import replace

import pytest

from profiler.errors import RuntimeNotSupportedError, WorkloadFailedError
from profiler.runtimes.phone_tools import PHONE_TOOLS, ToolEnd, ToolRun
from tests.profiler.tool_outputs.test_benchmark_proto import field, operator, profile

TOOL = PHONE_TOOLS["benchmark_model"]
RUN = ToolRun(
    serial="s1",
    program="/f/p.x",
    model="/f/m",
    results="/f/run-1",
    threads=2,
    accelerator="xnnpack",
    nnapi_accelerator=None,
    warmup_runs=3,
    warmup_s=0.2,
    runs=7,
    timeout_s=60.0,
    profiled=False,
    operators=100,
)
PROFILED = replace(RUN, profiled=True)


def log(*, average: str = "2500", count: int = 7, before: str = "") -> str:
    return (
        f"INFO: STARTING!\nINFO: Log parameter values verbosely: [0]\nINFO: Graph: [m]\nINFO: Loaded model m\n{before}"
        "INFO: Running benchmark for at least 3 iterations and at least 0.2 seconds but terminate if exceeding 60 "
        "seconds.\nINFO: count=9 first=2800 curr=2500 min=2100 max=2900 avg=2750 std=30\n\n"
        f"INFO: count={count} first=2800 curr=2500 min=2000 max=4000 avg={average} std=30\n\n"
        "INFO: Inference timings in us: Init: 9000, First inference: 8000, Warmup (avg): 2750, "
        f"Inference (avg): {average}\n"
    )


def result(*, average: float = 2.5, median: float | None = 2.25, runs: int = 7, longest: float = 4.0) -> bytes:
    latencies = {1: average, 2: 2.0, 3: longest, 4: 0.5} | ({5: median} if median is not None else {})
    latency = b"".join(field(number, value) for number, value in latencies.items())
    return field(2, latency) + field(4, field(2, runs) + field(3, 9))


def end(text: str | None = None, code: int = 0, **files: bytes) -> ToolEnd:
    return ToolEnd(code, log() if text is None else text, {f"/f/run-1.{name}": data for name, data in files.items()})


def failed(run: ToolRun, ended: ToolEnd) -> WorkloadFailedError:
    with pytest.raises(WorkloadFailedError) as caught:
        TOOL.reading(run, ended)
    return caught.value


def test_flags() -> None:
    words = TOOL.words(PROFILED)
    assert words[0] == "/f/p.x"
    assert {
        "--graph=/f/m",
        "--num_threads=2",
        "--num_runs=7",
        "--min_secs=0",
        "--max_secs=60",
        "--warmup_runs=3",
        "--warmup_min_secs=0.2",
        "--use_xnnpack=true",
        "--result_file_path=/f/run-1.result",
        "--op_profiling_output_mode=proto",
        "--op_profiling_output_file=/f/run-1.profile",
    } < set(words)
    (entries,) = [int(word.partition("=")[2]) for word in words if word.startswith("--max_profiling_buffer_entries")]
    assert entries > 4 * PROFILED.operators
    assert not any("profiling" in word for word in TOOL.words(RUN))


@pytest.mark.parametrize(
    ("accelerator", "chip", "flags"),
    [
        ("builtin", None, ("--use_xnnpack=false",)),
        ("gpu", None, ("--use_gpu=true",)),
        ("nnapi", "qti-dsp", ("--use_nnapi=true", "--nnapi_accelerator_name=qti-dsp")),
    ],
)
def test_delegates(accelerator: str, chip: str | None, flags: tuple[str, ...]) -> None:
    words = TOOL.words(replace(RUN, accelerator=accelerator, nnapi_accelerator=chip))
    assert tuple(word for word in words if "use_" in word or "nnapi" in word) == flags
    assert (TOOL.kernels_per_process(accelerator) > 1) == (accelerator == "builtin")


def test_the_median_and_without_one_the_mean() -> None:
    assert TOOL.reading(RUN, end(result=result())).latency_ms == 2.25
    assert TOOL.reading(RUN, end(result=result(median=None))).latency_ms == 2.5


def test_operators_without_their_longest_call_and_with_what_xnnpack_cuts_off() -> None:
    rows = profile(
        operator(b"Convolution (NHWC, F32) IGEMM", b"Delegate/Convolution:1", 700, 7, 1, 0),
        operator(b"Add (ND, F32)", b"Delegate/Add (ND, F32):2", 0, 7, 1, 1),
        operator(b"TANH", b"[t]:9", 0, 7, 1, 2),
        operator(b"ADD", b"[a]:2", 140, 14, 2, 3),
        operator(b"CONV_2D", b"[c]:3", 600 + 9000, 7, 1, 4, longest_us=9000),
    )
    reading = TOOL.reading(PROFILED, end(result=result(), profile=rows))
    assert reading.latency_ms == 2.5, "operators add up to a mean"
    assert [(one.name, one.kind, one.mean_ms, one.runs) for one in reading.operators] == [
        ("Delegate/Convolution:1", "Convolution (NHWC, F32) IGEMM", 0.1005, 7),
        ("Delegate/Add (ND, F32):2", "Add (ND, F32)", None, 7),
        ("[t]:9", "TANH", None, 7),
        ("[a]:2", "ADD", 0.02, 14),
        ("[c]:3", "CONV_2D", 0.1, 7),
    ]


@pytest.mark.parametrize(
    "ended",
    [
        end(),
        end(result=b""),
        end(result=result()[:-3]),
        end(result=result(runs=6)),
        end(result=result(average=2.7)),
        end(result=result(median=9.0)),
        end(result=result(average=float("inf"))),
        end(log(count=9), result=result()),
        end(log()[:-30], result=result()),
        end(log() + log(), result=result()),
        end("", result=result()),
    ],
    ids=[
        "no result",
        "an empty one",
        "a cut one",
        "other runs",
        "another mean",
        "a median of other runs",
        "an infinite mean",
        "other runs in the log",
        "a cut log",
        "two runs",
        "no log",
    ],
)
def test_what_does_not_fit_together_gives_no_number(ended: ToolEnd) -> None:
    assert failed(RUN, ended).reason == "INVALID_OUTPUT"


def test_a_profile_must_be_whole_too() -> None:
    rows = profile(operator(b"CONV_2D", b"[a]:0", 700, 7, 1, 0))
    for data in (b"", rows[:-2]):
        assert failed(PROFILED, end(result=result(), profile=data)).reason == "INVALID_OUTPUT"


def test_runs_that_took_all_the_time_are_a_timeout() -> None:
    slow = end(log(average="2e+07", count=3), result=result(average=20_000.0, median=20_000.0, runs=3, longest=2e4))
    error = failed(RUN, slow)
    assert error.reason == "TIMEOUT" and "3 of 7 runs" in error.detail


@pytest.mark.parametrize(
    ("code", "reason", "signal"), [(137, "OUT_OF_MEMORY", None), (139, "CRASHED", 11), (132, "CRASHED", 4)]
)
def test_signals(code: int, reason: str, signal: int | None) -> None:
    error = failed(RUN, end("INFO: STARTING!\n", code))
    assert (error.reason, error.signal) == (reason, signal)
    assert "SIG" in error.detail


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ERROR: Failed to mmap model m\nERROR: Benchmarking failed.\n", "INVALID_MODEL"),
        ("ERROR: The model is not a valid Flatbuffer buffer\nERROR: Benchmarking failed.\n", "INVALID_MODEL"),
        (
            "INFO: STARTING!\nERROR: Encountered unresolved custom op: Mystery.\nERROR: Failed to allocate tensors!\n"
            "ERROR: Benchmarking failed.\n",
            "UNSUPPORTED",
        ),
        (
            log(
                before="WARN: Though XNNPACK delegate is explicitly applied, the model graph will not be executed by "
                "the delegate.\n"
            ),
            "UNSUPPORTED",
        ),
        ("", "UNSUPPORTED"),
    ],
)
def test_models_that_are_refused(text: str, reason: str) -> None:
    assert failed(RUN, end(text, 1, result=result())).reason == reason


@pytest.mark.parametrize(
    ("text", "accelerator", "words"),
    [
        (log(before="WARN: Unconsumed cmdline flags: --warmup_min_secs=0.2\n"), "xnnpack", "flags"),
        ("ERROR: Could not create GPU delegate.\nERROR: Benchmarking failed.\n", "gpu", "no such delegate"),
        ("NNAPI acceleration is unsupported on this platform.\n", "nnapi", "no such delegate"),
    ],
)
def test_what_the_phone_or_the_tool_cannot_do_ends_the_campaign(text: str, accelerator: str, words: str) -> None:
    with pytest.raises(RuntimeNotSupportedError, match=words) as caught:
        TOOL.reading(replace(RUN, accelerator=accelerator), end(text, result=result()))
    assert caught.value.exit_code == 2


def test_a_chip_that_nobody_speaks_of_was_not_used() -> None:
    assert failed(replace(RUN, accelerator="gpu"), end(result=result())).reason == "UNSUPPORTED"


def test_versions() -> None:
    assert TOOL.version(b"\x7fELF...", "1234567890abcdef") == "sha256:1234567890ab"
    assert TOOL.version(b"\x7fELF\0benchmark_model version 2.19.0\0", "12") == "2.19.0"

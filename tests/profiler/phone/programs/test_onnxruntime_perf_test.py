"""The virtual onnxruntime_perf_test, held against the real one by our readers of real outputs."""

from __future__ import annotations

import pytest

from profiler.phone import Phone, load_phone
from profiler.runtimes.ort_trace import read_ort_trace
from profiler.tool_outputs import parse_onnxruntime_perf_test, parse_onnxruntime_profile
from tests.profiler.phone.programs.bench import Bench

TIMES = "-m times -r 20 -e cpu -x 1 -I -s"


@pytest.fixture
def ort(onnx_model: bytes) -> Bench:
    return Bench(Phone(load_phone("pixel4")), "onnxruntime_perf_test", onnx_model)


def test_it_prints_as_the_real_one(ort: Bench) -> None:
    ran = ort.run(f"{TIMES} model")
    assert (ran.code, ran.err) == (0, "")
    output = parse_onnxruntime_perf_test(ran.out.encode())
    assert (output.complete, output.failed) == (True, None)
    (run,) = output.runs
    assert run.requests == 20
    assert run.min_ms and run.p50_ms and run.max_ms and run.average_ms
    assert run.min_ms <= run.p50_ms <= run.max_ms
    assert run.min_ms <= run.average_ms <= run.max_ms
    assert run.session_creation_ms and run.session_creation_ms > 0
    assert ran.out.splitlines()[0].startswith("Session creation time cost: ")
    assert ort.run("-m times -r 20 -I model").out.splitlines()[-1].startswith("Peak working set size: ")


def test_its_trace_is_read_as_a_real_one(ort: Bench) -> None:
    ran = ort.run(f"{TIMES} -p prefix model")
    (name,) = [name for name in ort.shell("ls").out.split() if name.endswith(".json")]
    assert name.startswith("prefix_20")
    trace = ort.get(name)
    output = parse_onnxruntime_profile(trace)
    assert output.complete and len(output.model_runs_us) == 21
    profile = read_ort_trace(trace, warmup_runs=1, runs=20)
    assert [operator.kind for operator in profile.operators] == ["Conv", "Conv", "Conv", "GlobalAveragePool"]
    (run,) = parse_onnxruntime_perf_test(ran.out.encode()).runs
    assert run.average_ms == pytest.approx(profile.end_to_end_ms, rel=0.1)


def test_a_duration(ort: Bench) -> None:
    before_s = ort.phone.clock.now_s
    (run,) = parse_onnxruntime_perf_test(ort.run("-m duration -t 2 -x 1 -I model").out.encode()).runs
    assert run.requests and run.average_ms
    assert run.requests * run.average_ms / 1000 == pytest.approx(2.0, rel=0.05)
    assert ort.phone.clock.now_s - before_s == pytest.approx(2.0, rel=0.2)


def test_the_same_command_gives_the_same_numbers(ort: Bench, onnx_model: bytes) -> None:
    other = Bench(Phone(load_phone("pixel4")), "onnxruntime_perf_test", onnx_model)
    assert ort.run(f"{TIMES} model").out == other.run(f"{TIMES} model").out
    seeded = Bench(Phone(load_phone("pixel4"), seed=5), "onnxruntime_perf_test", onnx_model)
    assert seeded.run(f"{TIMES} model").out != ort.run(f"{TIMES} model").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("-e qnn -I model", "QNN is not supported in this build"),
        ("-m times -r 5 model", "there is no test data for model small"),
        ("-I nothing", "Load model from nothing failed:Load model nothing failed. File doesn't exist"),
        ("-I onnxruntime_perf_test", "Load model from onnxruntime_perf_test failed:Protobuf parsing failed."),
        ("-Y model", "perf_test [options...] model_path [result_file]"),
        ("", "perf_test [options...] model_path [result_file]"),
    ],
)
def test_what_it_refuses(ort: Bench, arguments: str, said: str) -> None:
    ran = ort.run(arguments)
    assert ran.code == 255
    assert ran.err.splitlines()[0] == said
    assert ran.out == ""

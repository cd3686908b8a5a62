"""The virtual benchmark_model, held against Google's: by our readers of real logs and by Google's own proto module."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import profiling_info_pb2

from profiler.formats import Quantization, write_tflite
from profiler.phone import Phone, PhoneClock, load_phone
from profiler.tool_outputs import parse_benchmark_model, parse_benchmark_result, parse_op_profile
from tests.profiler.phone.programs.bench import EXACT, Bench, small_network

PROFILE = "--enable_op_profiling=true --op_profiling_output_mode=proto --op_profiling_output_file=profile.pb"


def test_log_and_result_file_agree(bench: Bench) -> None:
    ran = bench.run(f"--num_runs=30 {EXACT} --num_threads=1 --use_xnnpack=true --result_file_path=result.pb")
    assert (ran.code, ran.out) == (0, "")
    output = parse_benchmark_model(ran.err.encode())
    assert (output.complete, output.failed) == (True, None)
    (run,) = output.runs
    result = parse_benchmark_result(bench.get("result.pb"))
    assert (run.count, result.runs, run.threads) == (30, 30, 1)
    assert run.inference_avg_us == pytest.approx(1e3 * result.average_ms, rel=1e-5)
    assert run.inference_median_us == pytest.approx(1e3 * (result.median_ms or 0), rel=1e-5)
    assert run.init_us == pytest.approx(1e3 * (result.init_ms or 0), rel=1e-5)
    assert run.first_us == pytest.approx(1e3 * (result.first_ms or 0), rel=1e-5)
    assert run.delegate is not None and (run.delegate.name, run.delegate.extent) == ("XNNPACK", "completely")
    low, middle, high = result.min_ms, result.median_ms, result.max_ms
    assert low is not None and middle is not None and high is not None and low <= middle <= high
    assert run.footprint_overall_mb is not None and result.footprint_overall_bytes is not None
    assert run.footprint_overall_mb * 2**20 == pytest.approx(result.footprint_overall_bytes, rel=1e-4)


def test_the_log_has_the_lines_of_a_real_one(bench: Bench) -> None:
    """Every line has the form of one of LiteRT's, 2025 and later, as the corpus has them."""
    forms = [
        r"INFO: STARTING!", r"INFO: Log parameter values verbosely: \[0\]", r"INFO: Min num runs: \[50\]",
        r"INFO: Num threads: \[2\]", r"INFO: Graph: \[model\]", r"INFO: Signature to run: \[\]",
        r"INFO: #threads used for CPU inference: \[2\]", r"INFO: Use xnnpack: \[1\]", r"INFO: Loaded model model",
        r"INFO: Created TensorFlow Lite XNNPACK delegate for CPU\.", r"INFO: XNNPACK delegate created\.",
        r"VERBOSE: Replacing 4 out of 4 node\(s\) with delegate \(TfLiteXNNPackDelegate\) node, yielding 1 partitions "
        r"for subgraph 0\.",
        r"INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate\.",
        r"INFO: The input model file size \(MB\): [0-9.]+", r"INFO: Initialized session in [0-9.]+ms\.",
        r"INFO: Running benchmark for at least 1 iterations and at least 0\.5 seconds but terminate if exceeding 150 "
        r"seconds\.",
        r"INFO: count=\d+ first=\d+ curr=\d+ min=\d+ max=\d+ avg=[0-9.e+]+ std=\d+ p5=\d+ median=\d+ p95=\d+", r"",
        r"INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 "
        r"seconds\.",
        r"INFO: count=\d+ first=\d+ curr=\d+ min=\d+ max=\d+ avg=[0-9.e+]+ std=\d+ p5=\d+ median=\d+ p95=\d+", r"",
        r"INFO: Inference timings in us: Init: \d+, First inference: \d+, Warmup \(avg\): [0-9.e+]+, "
        r"Inference \(avg\): [0-9.e+]+",
        r"INFO: Note: as the benchmark tool itself affects memory footprint, .*",
        r"INFO: Memory footprint delta from the start of the tool \(MB\): init=[0-9.]+ overall=[0-9.]+",
    ]  # fmt: skip
    lines = bench.run("--num_runs=50 --num_threads=2 --use_xnnpack=true").err.splitlines()
    assert len(lines) == len(forms)
    for line, form in zip(lines, forms, strict=True):
        assert re.fullmatch(form, line), line


def test_the_profile_says_the_same_to_us_and_to_google(bench: Bench) -> None:
    ran = bench.run(f"--num_runs=25 {EXACT} --use_xnnpack=true {PROFILE} --result_file_path=result.pb")
    assert ran.code == 0
    ours = parse_op_profile(bench.get("profile.pb"))
    theirs = profiling_info_pb2.BenchmarkProfilingData.FromString(bench.get("profile.pb"))
    assert theirs.IsInitialized() and theirs.SerializeToString() == bench.get("profile.pb")
    (graph,) = theirs.runtime_profile.subgraph_profiles
    assert [row.name for row in graph.per_op_profiles] == [row.name for row in ours.operators]
    for row, own in zip(graph.per_op_profiles, ours.operators, strict=True):
        stat = row.inference_microseconds
        assert (stat.count, row.times_called, row.node_type) == (25, 1, own.type)
        assert own.avg_ms == pytest.approx(stat.sum / stat.count / 1000)
        assert stat.min <= stat.avg <= stat.max and stat.first >= stat.min
    assert [row.run_order for row in graph.per_op_profiles] == [0, 1, 2, 3]
    assert [row.node_type for row in graph.per_op_profiles][2] == "Convolution (NHWC, F32) GEMM"
    init = theirs.init_profile.subgraph_profiles[0].per_op_profiles
    assert [row.node_type for row in init] == ["ModifyGraphWithDelegate", "AllocateTensors"]
    whole_ms = parse_benchmark_result(bench.get("result.pb")).average_ms
    assert 0.5 * whole_ms < sum(row.avg_ms for row in ours.operators) < whole_ms


@pytest.mark.parametrize("flags", ["--op_profiling_output_mode=stdout", "--op_profiling_output_mode=csv"])
def test_tables_of_the_profile(bench: Bench, flags: str) -> None:
    ran = bench.run(f"--num_runs=25 {EXACT} --use_xnnpack=false --enable_op_profiling=true {flags}")
    output = parse_benchmark_model(ran.err.encode())
    assert (output.complete, output.failed) == (True, None)
    operators = output.runs[0].operators
    types = ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "MEAN"]
    assert [operator.type for operator in operators] == types
    assert operators[0].name == "[conv/act]:0"
    summed_ms = sum(operator.avg_ms for operator in operators)
    by_type = {kind.type: kind for kind in output.runs[0].node_types}
    assert by_type["CONV_2D"].count == 2
    assert sum(kind.total_ms for kind in by_type.values()) == pytest.approx(summed_ms, rel=0.02)


def test_tables_go_to_a_file(bench: Bench) -> None:
    arguments = f"--num_runs=5 {EXACT} --enable_op_profiling=true"
    log = bench.run(f"{arguments} --profiling_output_csv_file=old.csv").err
    assert "Run Order" not in log
    assert bench.get("old.csv").startswith(b"Profiling Info for Benchmark Initialization:\n====")
    assert b"node type, first, avg_ms, %, cdf%, mem KB, times called, name\n" in bench.get("old.csv")
    bench.run(f"{arguments} --op_profiling_output_file=table.txt")
    assert parse_benchmark_model(bench.get("table.txt")).runs[0].operators


def test_a_partial_delegation_is_seen_everywhere(benches: Callable[..., Bench]) -> None:
    bench = benches(content=write_tflite(small_network(nearest=True)))
    ran = bench.run(f"--num_runs=10 {EXACT} --use_xnnpack=true {PROFILE}")
    run = parse_benchmark_model(ran.err.encode()).runs[0]
    assert run.delegate is not None
    assert (run.delegate.extent, run.delegate.kernels) == ("partially", 2)
    assert (run.delegate.nodes_delegated, run.delegate.nodes_total) == (4, 5)
    rows = parse_op_profile(bench.get("profile.pb")).operators
    assert "RESIZE_NEAREST_NEIGHBOR" in [row.type for row in rows]
    # XNNPACK numbers its operators anew in each partition.
    assert [row.name for row in rows if (row.name or "").endswith(":0")] == [
        "Delegate/Convolution (NHWC, F32) IGEMM:0",
        "Delegate/Convolution (NHWC, F32) GEMM:0",
    ]
    refused = bench.run("--use_xnnpack=true --require_full_delegation=true")
    assert refused.code == 1
    assert refused.err.endswith("ERROR: Disallowed CPU fallback detected.\nERROR: Benchmarking failed.\n")


def test_int8_is_told_from_the_file(benches: Callable[..., Bench]) -> None:
    network = small_network()
    quantization = Quantization(dict.fromkeys(network.tensors, (-3.0, 3.0)))
    bench = benches(content=write_tflite(network, quantization=quantization))
    ran = bench.run(f"--num_runs=10 {EXACT} --use_xnnpack=true {PROFILE}")
    assert ran.code == 0
    assert any("QC8" in row.type for row in parse_op_profile(bench.get("profile.pb")).operators)


# The loop.


@pytest.mark.parametrize(
    ("flags", "least", "most"),
    [
        ("--num_runs=37 --min_secs=0", 37, 37),
        ("--num_runs=1 --min_secs=0", 1, 1),
        ("--num_runs=1 --min_secs=0.5", 100, 10_000),
        ("--num_runs=100000 --max_secs=0.5", 100, 10_000),
        ("--num_runs=4 --min_secs=0 --max_secs=1e300", 4, 4),
        ("--num_runs=2 --min_secs=-1e300 --run_delay=1e300", 1, 1),
    ],
)
def test_how_long_it_runs(bench: Bench, flags: str, least: int, most: int) -> None:
    ran = bench.run(f"--warmup_min_secs=0.2 {flags} --result_file_path=r")
    result = parse_benchmark_result(bench.get("r"))
    assert ran.code == 0
    assert result.runs is not None and least <= result.runs <= most
    if least != most:
        assert result.runs * result.average_ms / 1000 == pytest.approx(0.5, rel=0.05)


def test_pauses_pass_on_the_phones_clock(bench: Bench) -> None:
    before_s = bench.phone.clock.now_s
    bench.run("--num_runs=10 --min_secs=0 --warmup_min_secs=0 --run_delay=2")
    assert 22.0 <= bench.phone.clock.now_s - before_s < 23.0


def test_time_passes_as_the_tool_says(bench: Bench) -> None:
    before_s = bench.phone.clock.now_s
    run = parse_benchmark_model(bench.run("--num_runs=1000 --min_secs=0").err.encode()).runs[0]
    assert run.inference_avg_us is not None and run.count == 1000
    assert bench.phone.clock.now_s - before_s >= run.count * run.inference_avg_us / 1e6 + 0.5


def test_a_running_clock_makes_it_wait(model: bytes) -> None:
    bench = Bench(Phone(load_phone("pixel4"), clock=PhoneClock(0.5)), "benchmark_model", model)
    began_s = time.monotonic()
    bench.run("--num_runs=1 --min_secs=0.6 --warmup_min_secs=0.2")
    assert 0.4 <= time.monotonic() - began_s < 2.0


# Chance and clocks.


def test_the_same_command_gives_the_same_bytes(benches: Callable[..., Bench]) -> None:
    def file(bench: Bench, flags: str = "") -> bytes:
        bench.run(f"--num_runs=25 {EXACT} {PROFILE} --result_file_path=r {flags}")
        return bench.get("r") + bench.get("profile.pb")

    first, again = benches(), benches()
    one = file(first)
    again.run("--num_runs=300")  # whatever ran before
    again.phone.clock.sleep_s(12.3)
    assert file(again) == file(first) == one
    assert file(benches(seed=1)) != one
    assert file(benches(), "--benchmark_name=other") != one


def test_runs_scatter_as_the_description_says(bench: Bench) -> None:
    noise = bench.phone.description.soc.noise
    bench.run(f"--num_runs=4000 {EXACT} --result_file_path=r")
    result = parse_benchmark_result(bench.get("r"))
    assert result.p5_ms and result.median_ms and result.max_ms and result.p95_ms
    # The 5th percentile is hardly touched by spikes: 1.64 standard deviations below the middle.
    assert np.log(result.median_ms / result.p5_ms) == pytest.approx(1.64 * noise.run_sigma, rel=0.15)
    assert result.max_ms / result.median_ms > 0.95 * noise.spike_factor


def test_processes_scatter_among_each_other(benches: Callable[..., Bench]) -> None:
    medians = []
    bench = benches()
    for name in range(40):
        bench.run(f"--num_runs=200 {EXACT} --result_file_path=r --benchmark_name={name}")
        medians.append(parse_benchmark_result(bench.get("r")).median_ms)
    scatter = float(np.std(np.log(np.array(medians, dtype=float))))
    assert scatter == pytest.approx(bench.phone.description.soc.noise.process_sigma, rel=0.5)


def test_clocks_ramp_up_under_a_process(bench: Bench) -> None:
    log = bench.run("--num_runs=2000 --min_secs=0 --warmup_runs=1 --warmup_min_secs=0").err
    run = parse_benchmark_model(log.encode()).runs[0]
    assert run.inference_max_us and run.inference_median_us
    assert run.inference_max_us > 1.5 * run.inference_median_us
    warm = parse_benchmark_model(bench.run(f"--num_runs=2000 {EXACT}").err.encode()).runs[0]
    assert warm.warmup_avg_us and warm.inference_avg_us and warm.warmup_avg_us > 1.05 * warm.inference_avg_us


def test_a_long_load_throttles_and_shows_it(benches: Callable[..., Bench]) -> None:
    bench = benches()
    cold = _run(bench, "--num_runs=50 --min_secs=0", "f0", threads=4)
    assert "Thermal Status: 0" in bench.shell("dumpsys thermalservice").out
    long = _run(bench, "--num_runs=1 --min_secs=600 --max_secs=600", "f0", threads=4)
    assert "Thermal Status: 0" not in bench.shell("dumpsys thermalservice").out
    hot = _run(bench, "--num_runs=50 --min_secs=0 --benchmark_name=again", "f0", threads=4)
    assert cold < long < hot
    assert hot > 1.1 * cold
    bench.phone.clock.sleep_s(3600.0)
    assert "Thermal Status: 0" in bench.shell("dumpsys thermalservice").out
    assert _run(bench, "--num_runs=50 --min_secs=0", "f0", threads=4) == cold


def test_one_big_core_does_not_throttle_a_pixel4(bench: Bench) -> None:
    _run(bench, "--num_runs=1 --min_secs=1200 --max_secs=1200", "80", threads=1)
    assert bench.phone.state.thermal_status == 0


def _run(bench: Bench, flags: str, mask: str, *, threads: int) -> float:
    ran = bench.run(f"--warmup_min_secs=0.2 --num_threads={threads} {flags} --result_file_path=r", mask)
    assert ran.code == 0
    return parse_benchmark_result(bench.get("r")).average_ms


# What goes wrong.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "ERROR: The model allocation is null/empty"),
        (b"not a model at all" * 20, "ERROR: The model is not a valid Flatbuffer buffer"),
        (None, "ERROR: Could not open 'model'."),
    ],
)
def test_models_that_are_none(benches: Callable[..., Bench], content: bytes | None, said: str) -> None:
    bench = benches(content=content or b"")
    if content is None:
        bench.shell("rm model")
    ran = bench.run("--num_runs=1")
    assert ran.code == 1
    assert said in ran.err.splitlines()
    assert ran.err.endswith("ERROR: Failed to load model model\nERROR: Benchmarking failed.\n")
    output = parse_benchmark_model(ran.err.encode())
    assert output.failed is not None and not output.complete


def test_truncated_models_are_refused_or_run_as_they_are(benches: Callable[..., Bench], model: bytes) -> None:
    codes = set()
    for share in (0.02, 0.2, 0.5, 0.9, 0.999):
        bench = benches(content=model[: int(share * len(model))])
        ran = bench.run("--num_runs=1 --min_secs=0 --warmup_min_secs=0")
        codes.add(ran.code)
        assert "Traceback" not in ran.err
        assert ran.code == 0 or "Benchmarking failed." in ran.err
    assert 1 in codes


def test_flags_that_it_does_not_know_are_said(bench: Bench) -> None:
    ran = bench.run("--num_runs=3 --min_secs=0 --no_such_flag=1 --num_runs=9 positional")
    assert ran.code == 0
    assert "WARNING: Unconsumed cmdline flags: --no_such_flag=1 --num_runs=9 positional" in ran.err
    assert parse_benchmark_model(ran.err.encode()).failed is not None


def test_values_that_it_cannot_read(bench: Bench) -> None:
    ran = bench.run("--num_runs=many")
    assert ran.code == 1
    assert "ERROR: Failed to parse flag 'num_runs' against argv '--num_runs=many'" in ran.err
    assert bench.run("--enable_op_profiling=yes").code == 1
    assert "Failed to set thread number" in bench.run("--num_threads=-4").err


@pytest.mark.parametrize("flag", ["--help", "--help=true"])
def test_help_fails_as_the_real_one(bench: Bench, flag: str) -> None:
    ran = bench.run(flag)
    assert ran.code == 1
    assert "usage: ./benchmark_model <flags>\nFlags:\n\t--verbose=false" in ran.err
    assert re.search(r"\t--max_profiling_buffer_entries=1024 +\tint32\toptional\t", ran.err)


def test_no_graph(bench: Bench) -> None:
    ran = bench.shell("./benchmark_model --num_runs=1")
    assert ran.code == 1
    assert "Please specify the name of your TF Lite input file with --graph" in ran.err


def test_a_result_that_cannot_be_written(bench: Bench) -> None:
    ran = bench.run("--num_runs=1 --min_secs=0 --result_file_path=/no/where/r")
    assert ran.code == 0
    assert "ERROR: Failed to save benchmark result to: /no/where/r" in ran.err


def test_a_small_buffer_loses_rows(bench: Bench) -> None:
    arguments = f"--num_runs=5 {EXACT} --use_xnnpack=false {PROFILE}"
    ran = bench.run(f"{arguments} --max_profiling_buffer_entries=4")
    assert "Warning: Dropping ProfileBuffer event." in ran.err
    assert len(parse_op_profile(bench.get("profile.pb")).operators) == 3
    ran = bench.run(f"{arguments} --max_profiling_buffer_entries=4 --allow_dynamic_profiling_buffer_increase=true")
    assert len(parse_op_profile(bench.get("profile.pb")).operators) == 4
    # Below the number of nodes the tool takes more by itself.
    bench.run(f"{arguments} --max_profiling_buffer_entries=1")
    assert len(parse_op_profile(bench.get("profile.pb")).operators) == 4


# Delegates.


def test_a_phone_without_a_gpu_goes_on_without(model: bytes) -> None:
    bench = Bench(_without("gpu"), "benchmark_model", model)
    ran = bench.run("--use_gpu=true --num_runs=2 --min_secs=0")
    assert ran.code == 0
    assert "WARNING: GPU acceleration is unsupported on this platform." in ran.err
    assert parse_benchmark_model(ran.err.encode()).failed is not None
    ran = bench.run("--use_gpu=true --require_full_delegation=true")
    assert ran.code == 1
    assert "Disallowed CPU fallback detected." in ran.err


def test_a_gpu_is_one_row() -> None:
    bench = Bench(_with_chip("gpu"), "benchmark_model", write_tflite(small_network()))
    ran = bench.run(f"--use_gpu=true --num_runs=20 {EXACT} {PROFILE}")
    run = parse_benchmark_model(ran.err.encode()).runs[0]
    assert run.delegate is not None and (run.delegate.name, run.delegate.gpu_api) == ("GPU", "OpenCL")
    (row,) = parse_op_profile(bench.get("profile.pb")).operators
    assert (row.type, row.name) == ("TfLiteGpuDelegateV2", "[pool]:4")


def test_nnapi_hides_and_names_its_accelerators() -> None:
    bench = Bench(_with_chip("nnapi"), "benchmark_model", write_tflite(small_network()))
    ran = bench.run(f"--use_nnapi=true --num_runs=20 {EXACT} {PROFILE}")
    assert ran.code == 0
    assert "INFO: NNAPI accelerators available: [" in ran.err
    (row,) = parse_op_profile(bench.get("profile.pb")).operators
    assert row.type == "TfLiteNnapiDelegate"
    ran = bench.run("--use_nnapi=true --nnapi_accelerator_name=no-such")
    assert ran.code == 1
    assert "Could not find the specified NNAPI accelerator: no-such." in ran.err
    assert parse_benchmark_model(ran.err.encode()).failed is not None


def test_the_first_delegate_takes_all() -> None:
    bench = Bench(_with_chip("gpu"), "benchmark_model", write_tflite(small_network()))
    log = bench.run("--use_gpu=true --use_xnnpack=true --num_runs=1 --min_secs=0").err
    assert "Going to apply 2 delegates one after another." in log
    assert "Explicitly applied GPU delegate, and the model graph will be completely executed" in log
    assert "Though XNNPACK delegate is explicitly applied, the model graph will not be executed" in log


def _without(chip: str) -> Phone:
    description = load_phone("pixel4")
    return Phone(description.model_copy(update={"soc": description.soc.model_copy(update={chip: None})}))


def _with_chip(chip: str) -> Phone:
    """Return a phone with an accelerator: the first shipped one that has it, as this one's own where it has none."""
    description = load_phone("pixel4")
    found = [load_phone(path.stem).soc for path in sorted(Path("data/phones").glob("*.yaml"))]
    accelerator = next(soc for soc in found if soc.gpu is not None).gpu
    return Phone(description.model_copy(update={"soc": description.soc.model_copy(update={chip: accelerator})}))

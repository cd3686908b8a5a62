"""The grammar of benchmark_model's log, on logs made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from profiler.errors import ToolOutputError
from profiler.tool_outputs import BenchmarkOutput, NodeType, Operator, parse_benchmark_model

HEAD = """\
STARTING!
Log parameter values verbosely: [0]
Num threads: [4]
Graph: [/data/local/tmp/net.tflite]
Loaded model /data/local/tmp/net.tflite
Initialized session in 1.5ms.
"""
STAGES = """\
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=9 first=2100 curr=2000 min=1990 max=2100 avg=2010.5 std=31

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=1900 curr=1950 min=1850 max=2000 avg=1925.25 std=12

"""
SUMMARY = "Inference timings in us: Init: 1500, First inference: 2100, Warmup (avg): 2010.5, Inference (avg): 1925.25\n"
LOG = HEAD + STAGES + SUMMARY
NINE = "[node type]\t[start]\t[first]\t[avg ms]\t[%]\t[cdf%]\t[mem KB]\t[times called]\t[Name]\n"
EIGHT = NINE.replace("[start]\t", "")
RUN_ORDER = "============================== Run Order ==============================\n"
REGULAR = "Operator-wise Profiling Info for Regular Benchmark Runs:\n" + RUN_ORDER


def parse(log: str) -> BenchmarkOutput:
    return parse_benchmark_model(log.encode())


def test_a_whole_log() -> None:
    output = parse(LOG)
    (run,) = output.runs
    assert (output.complete, output.failed) == (True, None)
    assert (run.inference_avg_us, run.count, run.init_us, run.first_us, run.warmup_avg_us) == (
        1925.25,
        50,
        1500,
        2100,
        2010.5,
    )
    assert (run.inference_std_us, run.inference_min_us, run.inference_max_us) == (12, 1850, 2000)
    assert (run.threads, run.graph, run.operators) == (4, "/data/local/tmp/net.tflite", ())


@pytest.mark.parametrize(
    "prefix",
    [
        "INFO: ",
        "\t",
        "> ",
        "> > ",
        "\x1b[A",
        "\x1b[32mINFO: ",
        "05-31 10:38:42.585 22206 22206 I tflite  : ",
        "2026-05-31 10:38:42.585 u0_a1 22206 22206 I tflite  : INFO: ",
        "05-31 10:38:42.585 I/tflite  ( 2206): ",
        "I/tflite  (22206): ",
        "2017-11-27 08:56:35.518009: I tensorflow/tools/benchmark/benchmark_model.cc:324] ",
        "I1127 08:56:35.518009  3921 benchmark_model.cc:12] ",
        "2020-10-28 14:41:14.151361+0800 TFLiteBenchmark[3921:935759] ",
        "> \t05-31 10:38:42.585 22206 22206 I tflite  : INFO: ",
    ],
)
def test_prefixes_change_nothing(prefix: str) -> None:
    table = REGULAR + EIGHT + "\tCONV 2\t1.5\t1.25\t100%\t100%\t0.0\t2\t[a]:0\n\n"
    plain = LOG + table
    assert parse("".join(prefix + line for line in plain.splitlines(keepends=True))) == parse(plain)
    assert parse(plain.replace("\n", "\r\n")) == parse(plain)


def test_starting_glued_to_an_echoed_command() -> None:
    assert parse("~$ ./benchmark_model --graph=net.tflite --num_threads=4" + LOG) == parse(LOG)


@pytest.mark.parametrize(
    ("line", "figures"),
    [
        (
            "Inference timings in us: Init: 1, First inference: 2, Warmup (avg): 3, Inference (avg): 2.95034e+06",
            2950340.0,
        ),
        ("Average inference timings in us: Warmup: 3, Init: 1, no stats: 66767.6", 66767.6),
        ("Inference timings in us: Warmup: 3, Init: 1, Inference: 7", 7.0),
        ("Average inference timings in us: Warmup: 3, no stats: 154047, with stats: 165939", 154047.0),
        ("Inference timings in us: Init: 1, First inference: 2, Warmup (avg): nan, Inference (avg): 8", 8.0),
    ],
)
def test_every_form_of_the_summary(line: str, figures: float) -> None:
    (run,) = parse(line + "\n").runs
    assert run.inference_avg_us == figures
    assert run.warmup_avg_us in (3, None)


@pytest.mark.parametrize("value", ["0", "-5", "1e300", "nan", "inf", "12abc", "", "１２"])
def test_a_mean_that_is_none_is_not_reported(value: str) -> None:
    output = parse(LOG.replace("Inference (avg): 1925.25", f"Inference (avg): {value}"))
    assert [run.inference_avg_us for run in output.runs if run.init_us is not None] in ([], [None])
    assert not output.complete


def test_percentiles_of_2026() -> None:
    log = LOG.replace("std=12", "std=12 p5=1851 median=1921 p95=1990")
    (run,) = parse(log).runs
    assert (run.inference_p5_us, run.inference_median_us, run.inference_p95_us) == (1851, 1921, 1990)


def test_a_warm_up_of_one_run_has_no_mean() -> None:
    log = LOG.replace("count=9 first=2100 curr=2000 min=1990 max=2100 avg=2010.5 std=31", "count=1 curr=2010")
    assert parse(log).complete
    assert parse(log).runs[0].count == 50


def test_several_runs_in_one_stream_are_not_mixed() -> None:
    second = (
        LOG.replace("1925.25", "800.5").replace("count=50", "count=15").replace("Num threads: [4]", "Num threads: [1]")
    )
    output = parse(LOG + second + LOG)
    assert [(run.inference_avg_us, run.count, run.threads) for run in output.runs] == [
        (1925.25, 50, 4),
        (800.5, 15, 1),
        (1925.25, 50, 4),
    ]
    assert output.complete


def test_lines_that_are_printed_twice_count_once() -> None:
    doubled = "".join(line * 2 for line in (HEAD + STAGES + SUMMARY).splitlines(keepends=True)[1:])
    assert [run.inference_avg_us for run in parse("STARTING!\n" + doubled).runs] == [1925.25]
    assert len(parse(LOG + SUMMARY).runs) == 1


def test_without_a_summary_the_second_stage_counts_and_the_log_is_incomplete() -> None:
    output = parse(HEAD + STAGES)
    assert output.runs[0].inference_avg_us == 1925.25
    assert output.runs[0].init_us is None
    assert not output.complete


def test_a_warm_up_alone_is_no_result() -> None:
    output = parse(HEAD + STAGES.split("\n\n", maxsplit=1)[0] + "\n")
    assert output.runs == ()
    assert not output.complete


def test_a_last_line_without_its_newline_needs_a_witness() -> None:
    cut = LOG.removesuffix("\n")
    assert parse(cut) == parse(LOG)
    for missing in range(1, 8):
        assert parse(cut[:-missing]).runs[0].init_us is None
        assert not parse(cut[:-missing]).complete


def test_a_log_that_begins_in_the_middle_is_incomplete() -> None:
    _, runs, *_ = STAGES.split("\n\n")
    middle = HEAD.splitlines()[-1] + "\n"
    assert not parse(runs + "\n" + SUMMARY).complete
    assert not parse(middle + SUMMARY).complete
    assert parse(middle + "...\n" + SUMMARY).complete
    assert parse(middle + STAGES + SUMMARY).complete
    assert parse(SUMMARY).complete
    assert parse(HEAD + SUMMARY).complete
    assert parse(HEAD + runs + "\n" + SUMMARY).complete


def test_a_stage_that_the_summary_contradicts_is_not_its_count() -> None:
    output = parse(LOG.replace("Inference (avg): 1925.25", "Inference (avg): 19.25"))
    assert (output.complete, output.runs[0].count) == (False, None)


def test_closing_statistics_of_a_table_are_no_run() -> None:
    log = LOG + "Timings (microseconds): count=50 first=1 curr=2 min=1 max=3 avg=2.5 std=1\nMemory (bytes): count=0\n"
    assert parse(log) == parse(LOG)


def test_profile_of_nine_columns_and_what_only_repeats_it() -> None:
    initialisation = "Profiling Info for Benchmark Initialization:\n" + RUN_ORDER + NINE
    log = (
        LOG
        + initialisation
        + "\tAllocateTensors\t0\t9.9\t9.9\t100%\t100%\t0.0\t1\tAllocateTensors/0\n\n"
        + REGULAR
        + NINE
        + "\tCONV_2D\t0.1\t3.0\t2.5\t62.5%\t62.5%\t0.0\t1\t[a, b;c]:0\n"
        + "\tSOFTMAX\t2.6\t0.5\t0.75\t37.5%\t100.000%\t0.0\t2\t[d]:1\n\n"
        + "============================== Top by Computation Time ==============================\n"
        + NINE
        + "\tCONV_2D\t0.1\t3.0\t2.5\t62.5%\t62.5%\t0.0\t1\t[a, b;c]:0\n\n"
        + "============================== Summary by node type ==============================\n"
        + "\t[Node type]\t[count]\t[avg ms]\t[avg %]\t[cdf %]\t[mem KB]\t[times called]\n"
        + "\tCONV_2D\t1\t2.5\t62.5%\t62.5%\t0.0\t1\n\tSOFTMAX\t1\t1.5\t37.5%\t100.000%\t0.0\t2\n\n"
        + "2 nodes observed\n"
    )
    output = parse(log)
    (run,) = output.runs
    # The mean is one call's: the softmax ran twice and took 1.5 ms, which is what the summary by type says.
    assert run.operators == (Operator("CONV_2D", "[a, b;c]:0", 2.5, 1), Operator("SOFTMAX", "[d]:1", 0.75, 2))
    assert run.node_types == (NodeType("CONV_2D", 1, 2.5, 1), NodeType("SOFTMAX", 1, 1.5, 2))
    assert output.complete


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("Convolution (NHWC, F32) IGEMM", "Delegate/Convolution (NHWC, F32) IGEMM:0"),
        ("convolution_2d 0 -> relu 1", "Delegate/convolution_2d 0 -> relu 1:0"),
        ("TfLiteXNNPackDelegate", "[]:64"),
        ("CONV_2D", None),
        ("a 1 2 3", "[1 2 3%]:5"),
    ],
)
@pytest.mark.parametrize("gap", ["\t", "   ", ", "])
def test_node_types_of_every_shape(kind: str, name: str | None, gap: str) -> None:
    heading = "node type, first, avg_ms, %, cdf%, mem KB, times called, name\n" if gap == ", " else EIGHT
    written = (name or "").replace(",", "\t") if gap == ", " else name or ""
    row = gap.join([kind, "1.5", "4.250", "0.10%", "100%", "0.0", "3", written]) + "\n"
    output = parse(REGULAR + heading + row + "\n")
    assert output.runs[0].operators == (Operator(kind, name, 4.25, 3),)


def test_a_table_without_titles_counts_once() -> None:
    row = "\tCONV_2D\t1.5\t1.25\t100.000%\t100.000%\t0.0\t1\t[a]:ld\n"
    log = LOG + REGULAR.splitlines()[0] + "\n" + EIGHT + row + "\n" + EIGHT + row + "\nNumber of nodes executed: 1\n"
    assert len(parse(log).runs[0].operators) == 1


def test_tables_from_inside_the_delegate_are_apart() -> None:
    row = "\t{}\t1.5\t1.25\t100.000%\t100.000%\t0.0\t1\t{}\n\n"
    log = (
        LOG
        + REGULAR
        + EIGHT
        + row.format("TfLiteXNNPackDelegate", "[a]:9")
        + "Delegate internal: \n"
        + RUN_ORDER
        + EIGHT
    )
    (run,) = parse(log + row.format("Convolution (NHWC, F32)", "Delegate/Convolution (NHWC, F32):0")).runs
    assert [operator.type for operator in run.operators] == ["TfLiteXNNPackDelegate"]
    assert [operator.type for operator in run.delegate_operators] == ["Convolution (NHWC, F32)"]


@pytest.mark.parametrize(
    "heading",
    [
        EIGHT.replace("[avg ms]", "[avg us]"),
        EIGHT.replace("[avg ms]\t", ""),
        EIGHT.replace("[first]", "[p99 ms]"),
        EIGHT.replace("[times called]\t", ""),
        EIGHT.replace("[node type]", "[op]"),
        "",
    ],
)
def test_an_unknown_heading_is_an_error_and_no_number(heading: str) -> None:
    output = parse(LOG + REGULAR + heading + "\tCONV_2D\t1.5\t1.25\t100%\t100%\t0.0\t1\t[a]:0\n\n")
    assert output.failed is not None and "unknown heading" in output.failed
    assert not output.complete
    assert output.runs[0].operators == ()


def test_a_damaged_row_is_noticed() -> None:
    good = "\tCONV_2D\t1.5\t1.25\t50%\t50%\t0.0\t1\t[a]:0\n"
    output = parse(LOG + REGULAR + EIGHT + good + "\tSOFTMAX\t0.5\t0.\x00x\t50%\t100%\t0.0\t1\t[b]:1\n\n")
    assert len(output.runs[0].operators) == 1
    assert not output.complete


def test_a_profile_that_was_asked_for_must_be_there() -> None:
    asked = LOG.replace("Num threads", "Enable op profiling: [1]\nNum threads")
    assert not parse(asked).complete
    to_file = asked.replace("Num threads", "Op profiling output file: [/tmp/p.csv]\nNum threads")
    assert parse(to_file).complete


FAILURES = [
    "Unconsumed cmdline flags: --grpah=x",
    "Benchmarking failed.",
    "Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate.",
    "Could not create Hexagon delegate: platform may not support delegate or required libraries are missing",
    "ERROR: Failed to apply GPU delegate.",
    "WARN: GPU acceleration is unsupported on this platform.",
]


@pytest.mark.parametrize("line", FAILURES)
def test_failures_count_even_if_figures_follow(line: str) -> None:
    output = parse(HEAD + line + "\n" + STAGES + SUMMARY)
    assert output.failed is not None and output.failed in line
    assert not output.complete


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: Failed to build program executable - Build program failure",
        "Segmentation fault (core dumped)",
        "Failed to load model /data/local/tmp/net.tflite",
        "ERROR: Could not open '/data/local/tmp/net.tflite'.",
    ],
)
def test_a_stream_that_ends_after_an_error_failed(line: str) -> None:
    assert parse("STARTING!\n" + line + "\n").failed is not None
    assert parse(LOG + line + "\n").failed is None


@pytest.mark.parametrize(
    "line",
    [
        "Error in cpuinfo: prctl(PR_SVE_GET_VL) failed",
        "ERROR: File /data/nn.bin couldn't be opened for reading: No such file or directory",
        "nnapi error: unable to open library libneuralnetworks.so",
        "ERROR: Falling back to OpenGL",
        "INFO: error_during_init set to 0",
        "Graph: [/data/failed-crashes.tflite]",
        "Failed to apply the default TensorFlow Lite delegate indexed at 0 because of incompatibility.",
    ],
)
def test_lines_that_only_sound_like_failure(line: str) -> None:
    assert parse(HEAD + line + "\n" + STAGES + SUMMARY).failed is None
    assert parse(HEAD + line + "\n").failed is None


def test_a_shell_that_cannot_start_the_tool() -> None:
    output = parse("/system/bin/sh: ./benchmark_model: not executable: 64-bit ELF file\n")
    assert output.failed == "/system/bin/sh: ./benchmark_model: not executable: 64-bit ELF file"
    assert output == replace(output, complete=False, runs=())


def test_facts_about_the_delegate() -> None:
    log = HEAD + (
        "VERBOSE: Replacing 4 out of 5 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions.\n"
        "ERROR: Falling back to OpenGL\nINFO: Initialized OpenGL-based API.\n"
        "Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate "
        "w/ 1 delegate kernels.\n"
    )
    delegate = parse(log + STAGES + SUMMARY).runs[0].delegate
    assert delegate is not None
    assert (delegate.name, delegate.extent, delegate.kernels, delegate.gpu_api) == ("GPU", "partially", 1, "OpenGL")
    assert (delegate.nodes_delegated, delegate.nodes_total) == (4, 5)


def test_memory() -> None:
    log = LOG + (
        "Memory footprint delta from the start of the tool (MB): init=31 overall=65.5\n"
        "Overall peak memory footprint (MB) via periodic monitoring: 93.25\n"
    )
    (run,) = parse(log).runs
    assert (run.footprint_init_mb, run.footprint_overall_mb, run.footprint_peak_mb) == (31, 65.5, 93.25)


@pytest.mark.parametrize("data", [b"", b"\n\n", b"hello\n", b"STARTI", b"\x00\xff" * 99, b"count=\n", b"level: 5\n"])
def test_what_is_no_log(data: bytes) -> None:
    with pytest.raises(ToolOutputError) as raised:
        parse_benchmark_model(data)
    assert (raised.value.kind, raised.value.exit_code) == ("benchmark_model", 2)


def test_utf_16_as_power_shell_writes_it() -> None:
    assert parse_benchmark_model(LOG.encode("utf-16")) == parse(LOG)


@pytest.mark.parametrize("rest", ["", " p5=39 median=39 p95=39"])
def test_runs_that_all_took_the_same(rest: str) -> None:
    log = HEAD + (
        "count=9 first=44 curr=40 min=39 max=44 avg=40.5 std=1\n\n"
        f"count=3 curr=39(all same){rest}\n\n"
        "Inference timings in us: Init: 15, First inference: 44, Warmup (avg): 40.5, Inference (avg): 39\n"
    )
    output = parse(log)
    (run,) = output.runs
    assert output.complete
    assert (run.count, run.inference_avg_us, run.inference_min_us, run.inference_max_us) == (3, 39.0, 39.0, 39.0)
    assert not parse(log.replace("(all same)", "(all")).complete

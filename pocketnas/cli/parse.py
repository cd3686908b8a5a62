"""`pocketnas parse`: what a saved output of a tool or a phone says, and whether it is all there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pocketnas.cli._options import Json
from pocketnas.cli._screen import Screen, table

# The parsers themselves are imported when one is needed; a test holds this list to theirs.
Kind = Literal[
    "benchmark_model",
    "benchmark_result",
    "op_profile",
    "onnxruntime_perf_test",
    "onnxruntime_profile",
    "adb_devices",
    "adb_message",
    "battery",
    "thermal",
    "power",
    "cpuinfo",
    "cpufreq",
    "meminfo",
    "df",
    "properties",
]


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Output as it was saved; logcat and CSV too.")],
    kind: Annotated[Kind, typer.Option("--kind", help="What it is the output of.")],
    as_json: Json = False,
) -> None:
    """Read a saved output of a benchmark tool or of a phone.

    Unknown is null, never 0, and a number is shown only when its line is whole: of a log that was cut there is
    what stands before the cut, and "complete" is false.  A log of a failed run has its reason in "failed".  What is
    no such output ends with exit code 2.

    JSON by kind: benchmark_model {complete, failed, runs: [{inference_avg_us, count, init_us, first_us, warmup_avg_us,
    operators: [{type, name, avg_ms, times_called}], …}]}, avg_ms being one call's; onnxruntime_perf_test {complete,
    failed, runs: [{average_ms, requests, p50_ms, …}]}; onnxruntime_profile {complete, model_runs_us,
    nodes_total_us, nodes: [{name, op_type, duration_us, …}]}; adb_devices {complete, devices: [{serial, state, …}],
    messages}; battery {level_percent, temperature_c, voltage_mv, status, …}; thermal {complete, status,
    temperatures: [{name, type, temperature_c, status}], zones: [{name, temperature_c, …}]}; cpuinfo
    {processors: [{implementer, part, …}], hardware, …}; df {complete, filesystems: [{mounted_on,
    size_bytes, available_bytes, …}]}.

    Example: pocketnas parse benchmark.log --kind benchmark_model --json
    """
    from profiler.tool_outputs import parse_tool_output_file

    screen = Screen(as_json=as_json)
    output = parse_tool_output_file(file, kind)
    _show(screen, output)
    screen.document(output)


def _show(screen: Screen, output: dict[str, Any], title: str = "") -> None:
    """Show single figures as lines and lists of records as tables, nested ones after their record."""
    for name, value in output.items():
        path = f"{title}{name}"
        if isinstance(value, dict):
            _show(screen, value, f"{path}.")
        elif records := _records(value):
            _show_records(screen, records, path)
        else:
            screen.show(f"{path}: {_cell(value)}")


def _show_records(screen: Screen, records: list[dict[str, Any]], path: str) -> None:
    columns = [
        name
        for name in records[0]
        if any(record[name] not in (None, (), []) and not _records(record[name]) for record in records)
    ]
    rows = [[_cell(record[name]) for name in columns] for record in records]
    screen.show(table(path, columns, rows, right=[name for name in columns if _is_number(records[0][name])]))
    for place, record in enumerate(records):
        for name, value in record.items():
            if nested := _records(value):
                _show_records(screen, nested, f"{path}[{place}].{name}")


def _records(value: object) -> list[dict[str, Any]]:
    """Return the records that a value is a list of; none when it is anything else."""
    items = value if isinstance(value, (list, tuple)) else ()
    records = [item for item in items if isinstance(item, dict)]
    return records if len(records) == len(items) else []


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return " ".join(str(item) for item in value)
    return str(value)

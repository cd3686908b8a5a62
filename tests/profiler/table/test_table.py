"""The latency table: made from stores, checked, filtered, written and read."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.backends import Failure
from profiler.errors import SchemaMismatchError, TableError
from profiler.measure import Protocol, measure
from profiler.network import Network
from profiler.store import Store
from profiler.table import COLUMNS, LatencyTable, table, table_of
from tests.known_law_backend import KnownLawBackend, Law, workloads

SHORT = Protocol(rounds=6, max_rounds=6, runs_per_block=12, warmup_runs=1)
LAW = Law(run_sigma=0.02, block_sigma=0.005)
SUFFIXES = ["csv", "json", "parquet"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> LatencyTable:
    work = workloads(6)
    backend = KnownLawBackend(LAW, failures={work[4].key: Failure("CRASHED", "signal 11")})
    with Store(tmp_path_factory.mktemp("table") / "store.db") as store:
        return table_of(measure(backend, work, SHORT, store))


def test_rows_carry_what_was_measured(store: Store) -> None:
    backend, work = KnownLawBackend(LAW), workloads(6)
    measure(backend, work, SHORT, store)
    found = table(store)
    assert list(found.frame.columns) == list(COLUMNS)
    assert found.sources == ("measured",)
    for each in work:
        (row,) = found.where(key=each.network.key, dtype="float32").frame.to_dict(orient="records")
        assert row["median_ms"] == pytest.approx(backend.true_ms(each), rel=0.03)
        assert row["low_ms"] <= row["median_ms"] <= row["high_ms"]
        assert (row["n_blocks"], row["n_samples"], row["threads"]) == (6, 72, 1)
        assert row["p90_ms"] > row["median_ms"]
        assert row["kind"] == each.kind
        assert row["level"] == ("network" if each.kind == "network" else "kernel")
        assert Network.from_json(row["config"]).key == each.network.key
        assert row["protocol"] == SHORT.key
    assert len(found.kernels()) + len(found.networks()) == len(found) == 6


def test_best_verdict_then_latest_stands_for_a_workload(store: Store) -> None:
    work = workloads(2)
    for label, law in (("good", LAW), ("wild", Law(block_sigma=0.5)), ("good again", LAW)):
        seed = len(store.campaigns())
        measure(KnownLawBackend(law, seed=seed), work, SHORT, store, label=label)
    every = {label: table(store, campaign=label).frame for label in ("good", "wild", "good again")}
    assert set(every["wild"]["verdict"]) == {"SEMI_VALID"}
    pd.testing.assert_frame_equal(table(store).frame, every["good again"])


def test_configurations_stand_side_by_side(store: Store) -> None:
    for name in ("one", "two"):
        measure(KnownLawBackend(LAW, name=name), workloads(2), SHORT, store)
    assert len(table(store)) == 4
    assert set(table(store, device="two").frame["device"]) == {"two"}


def test_sources_are_never_mixed_unasked(store: Store) -> None:
    for source in ("measured", "emulated"):
        measure(KnownLawBackend(LAW, source=source), workloads(2), SHORT, store)
    with pytest.raises(TableError, match=r"emulated, measured.*choose one by its device or source"):
        table(store)
    measured, emulated = table(store, source="measured"), table(store, source="emulated")
    with pytest.raises(TableError, match="not mixed unasked"):
        measured.joined(emulated)
    both = measured.joined(emulated, mix_sources=True)
    assert both.sources == ("emulated", "measured")
    assert len(both) == 4


def test_emulated_instructions_stand_with_nothing_even_when_asked(store: Store, tmp_path: Path) -> None:
    for source in ("measured", "emulated-isa"):
        measure(KnownLawBackend(LAW, source=source), workloads(2), SHORT, store)
    measured, emulated = table(store, source="measured"), table(store, source="emulated-isa")
    with pytest.raises(TableError, match="times under qemu say nothing of a phone"):
        measured.joined(emulated, mix_sources=True)
    emulated.write(tmp_path / "a.csv")
    assert LatencyTable.read(tmp_path / "a.csv").sources == ("emulated-isa",)
    measured.write(tmp_path / "b.csv")
    _, *rows = (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines()
    with (tmp_path / "a.csv").open("a", encoding="utf-8") as file:
        file.write("\n".join(rows) + "\n")
    with pytest.raises(TableError, match="emulated-isa stands in tables of its own"):
        LatencyTable.read(tmp_path / "a.csv")


def test_an_empty_store_is_an_empty_table(store: Store) -> None:
    assert len(table(store)) == 0
    assert table(store).sources == ()
    assert len(table(store).joined(table(store))) == 0


def test_invalid_rows_are_there_and_not_usable(example: LatencyTable) -> None:
    (row,) = example.where(verdict="INVALID").frame.to_dict(orient="records")
    assert math.isnan(row["median_ms"])
    assert row["reasons"] == "CRASHED: signal 11"
    assert len(example.usable()) == len(example) - 1
    assert "INVALID" not in set(example.usable().frame["verdict"])


def test_filter_by_a_column_that_is_not_there(example: LatencyTable) -> None:
    with pytest.raises(TableError, match="speed"):
        example.where(speed=1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_give_the_same_table(example: LatencyTable, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table.{suffix}"
    example.write(path)
    pd.testing.assert_frame_equal(LatencyTable.read(path).frame, example.frame, check_exact=True)


@settings(max_examples=30, deadline=None)
@given(device=st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1, max_size=20))
def test_any_text_survives_a_csv_and_no_cell_is_a_formula(
    example: LatencyTable, tmp_path_factory: pytest.TempPathFactory, device: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "table.csv"
    LatencyTable(example.frame.assign(device=device)).write(path)
    assert set(LatencyTable.read(path).frame["device"]) == {device}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert not row["device"].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_formula_cells_are_prefixed_on_export(example: LatencyTable, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    LatencyTable(example.frame.assign(device="=cmd|' /C calc'!A0")).write(path)
    with path.open(newline="", encoding="utf-8") as file:
        assert {row["device"] for row in csv.DictReader(file)} == {"'=cmd|' /C calc'!A0"}


def test_byte_order_mark_is_taken_off(example: LatencyTable, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    example.write(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(LatencyTable.read(path)) == len(example)


@pytest.mark.parametrize("column", list(COLUMNS))
def test_missing_column_is_named(example: LatencyTable, tmp_path: Path, column: str) -> None:
    path = tmp_path / "table.csv"
    example.frame.drop(columns=column).to_csv(path, index=False)
    with pytest.raises(TableError, match=f"column '{column}' is missing") as caught:
        LatencyTable.read(path)
    assert "table.csv" in str(caught.value)


@pytest.mark.parametrize("other", ["median", "median_us", "median_s"])
def test_the_unit_must_be_in_the_column_name(example: LatencyTable, other: str) -> None:
    with pytest.raises(TableError, match="'median_ms'"):
        LatencyTable(example.frame.rename(columns={"median_ms": other}))
    with pytest.raises(TableError, match="milliseconds"):
        LatencyTable(example.frame.assign(**{other: 1.0}))


def test_unknown_and_repeated_columns_are_named(example: LatencyTable) -> None:
    with pytest.raises(TableError, match="colour"):
        LatencyTable(example.frame.assign(colour="red"))
    with pytest.raises(TableError, match="twice"):
        LatencyTable(pd.concat([example.frame, example.frame[["kind"]]], axis=1))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("median_ms", math.nan),
        ("median_ms", math.inf),
        ("median_ms", 0.0),
        ("low_ms", -0.5),
        ("low_ms", 1e-300),
        ("high_ms", 1e300),
        ("mad_ms", 1e300),
        ("high_ms", "1.2us"),
        ("median_ms", 1e6),
        ("mad_ms", -1.0),
        ("threads", 1.5),
        ("n_samples", ""),
        ("source", "guessed"),
        ("dtype", "float8"),
        ("level", "layer"),
        ("verdict", "FINE"),
        ("device", ""),
    ],
)
def test_bad_cells_are_named_by_row_and_column(
    example: LatencyTable, tmp_path: Path, column: str, value: float | str
) -> None:
    frame = example.frame.astype(object)
    frame.loc[1, column] = value
    with pytest.raises(TableError, match=f"row 2, column '{column}'"):
        LatencyTable(frame)
    frame.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(TableError, match=f"row 2, column '{column}'"):
        LatencyTable.read(tmp_path / "table.csv")


def test_spreads_may_be_unknown(example: LatencyTable) -> None:
    assert len(LatencyTable(example.frame.assign(p90_ms=np.nan))) == len(example)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", b"{", b"[]", b'{"rows": 3}', b"a,b\n1\n2,3,4\n"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_no_tables_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"table.{suffix}"
    path.write_bytes(content)
    with pytest.raises(TableError) as caught:
        LatencyTable.read(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there_or_of_another_kind_are_refused(example: LatencyTable, tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file"):
        LatencyTable.read(tmp_path / "table.csv")
    with pytest.raises(TableError, match=r"\.parquet"):
        example.write(tmp_path / "table.xlsx")


def test_json_of_bottomless_depth_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text('{"schema": 1, "rows": ' + "[" * 100_000, encoding="utf-8")
    with pytest.raises(TableError, match="not a readable table"):
        LatencyTable.read(path)


def test_a_newer_json_schema_is_refused(example: LatencyTable, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    example.write(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"schema": 2}), encoding="utf-8")
    with pytest.raises(SchemaMismatchError) as caught:
        LatencyTable.read(path)
    assert caught.value.found == 2


def test_suppressed_conditions_stand_in_the_protocol_column(store: Store) -> None:
    from profiler.backends import Check

    backend = KnownLawBackend(LAW, conditions=(Check("NOT-PINNED", "may move"),))
    measure(backend, workloads(2), replace(SHORT, suppress=("NOT-PINNED",)), store)
    assert set(table(store).frame["protocol"]) == {f"NOT-PINNED_{SHORT.key}"}

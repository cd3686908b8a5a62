"""Findings in a store, in a file beside a table, and how the right ones are found again."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.backends import DeviceFacts
from profiler.backends.lease import Fence
from profiler.errors import LeaseLostError, SchemaMismatchError, TableError
from profiler.fusion import (
    FusionEvidence,
    FusionFindings,
    FusionRecord,
    findings_beside,
    findings_for_rows,
    fusion_file_of,
    fusion_rules_for,
    read_fusion_file,
    rules_for_rows,
    stored_findings,
    write_fusion_file,
)
from profiler.kernels import FUSION_RULES
from profiler.measure import Configuration
from profiler.network import OPERATOR_KINDS
from profiler.store import Store
from profiler.table import LatencyTable
from tests.predictor._synthetic import law_table

FACTS = DeviceFacts("cpu", 8, 2**34, "linux", "litert", "2.3.0", 1, "xnnpack", "4,5")
PHONE = Configuration("phone", "emulated", FACTS)
APART = FusionEvidence(
    chain=("add", "relu"), how="pair test", verdict="apart", a_ms=0.3, b_ms=0.2, ab_ms=0.5, call_ms=0.01,
    saved=0.01, saved_low=-0.05, saved_high=0.07, shapes=3,
)  # fmt: skip
FUSED = FusionEvidence(chain=("conv2d", "hard_swish"), how="operator profile", verdict="fused", detail="rows: Conv")


def test_a_store_gives_back_what_it_was_given(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        assert fusion_rules_for(store, PHONE) is None
        store.add_fusion(FusionRecord(PHONE, "float32", (APART,)))
        store.add_fusion(FusionRecord(PHONE, "int8", (FUSED,)))
        store.add_fusion(FusionRecord(PHONE, "float32", (FUSED, replace_verdict(APART))))
        store.add_fusion(FusionRecord(PHONE, "float32", (APART,)))
    with Store(tmp_path / "store.db") as store:
        by_type = {record.dtype: record for record in store.fusion()}
        assert by_type["int8"] == FusionRecord(PHONE, "int8", (FUSED,))
        assert by_type["float32"].configuration == PHONE
        assert set(by_type["float32"].evidence) == {APART, FUSED}
        rules = fusion_rules_for(store, PHONE)
        assert rules is not None
        assert rules.chains == (FUSION_RULES["litert"].chains - {APART.chain}) | {FUSED.chain}
        assert len(stored_findings(store)) == 2


def replace_verdict(evidence: FusionEvidence) -> FusionEvidence:
    return evidence.model_copy(update={"verdict": "fused"})


@pytest.mark.parametrize(
    ("other", "holds"),
    [
        (replace(PHONE, facts=replace(FACTS, memory_bytes=1, system="later", threads=4, cpus="0,1,2,3")), True),
        (replace(PHONE, facts=replace(FACTS, accelerator="gpu")), False),
        (replace(PHONE, facts=replace(FACTS, runtime_version="2.4.0")), False),
        (replace(PHONE, device="another"), False),
        (replace(PHONE, source="measured"), False),
    ],
)
def test_findings_hold_for_what_decides_fusion(other: Configuration, holds: bool, tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        store.add_fusion(FusionRecord(PHONE, "float32", (APART,)))
        assert (fusion_rules_for(store, other) is not None) == holds
        assert fusion_rules_for(store, PHONE, dtype="int8") is None


def test_a_store_from_before_there_were_findings_takes_them(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    Store(place).close()
    with sqlite3.connect(place) as connection:
        connection.execute("DROP TABLE fusion")
    connection.close()
    with Store(place) as store:
        assert store.fusion() == ()
        store.add_fusion(FusionRecord(PHONE, "float32", (APART,)))
        assert len(store.fusion()) == 1


def test_a_job_that_lost_its_device_leaves_no_findings(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        store.add_fusion(FusionRecord(PHONE, "float32", (APART,)), fence=Fence("phone", 9))
        with pytest.raises(LeaseLostError):
            store.add_fusion(FusionRecord(PHONE, "float32", (FUSED,)), fence=Fence("phone", 7))
        assert store.fusion() == (FusionRecord(PHONE, "float32", (APART,)),)


@pytest.mark.parametrize(
    "damage", ["{}", "no json", '{"chain": ["add", "relu"], "how": "hearsay", "verdict": "fused"}']
)
def test_evidence_in_a_store_is_checked_when_it_is_read(damage: str, tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    with Store(place) as store:
        store.add_fusion(FusionRecord(PHONE, "float32", (APART,)))
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE fusion SET evidence = ?", (damage,))
    connection.close()
    with Store(place) as store, pytest.raises(TableError, match=r"store\.db.*fusion"):
        store.fusion()


def findings(*evidence: FusionEvidence) -> FusionFindings:
    return FusionRecord(PHONE, "float32", evidence).findings


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = fusion_file_of(tmp_path / "phones.parquet")
    assert path.name == "phones.fusion.json"
    assert findings_beside(tmp_path / "phones.parquet") == ()
    write_fusion_file(path, [findings(APART, FUSED), findings()])
    assert read_fusion_file(path) == (findings(APART, FUSED), findings())
    assert findings_beside(tmp_path / "phones.parquet") == read_fusion_file(path)


kinds = st.sampled_from(sorted(OPERATOR_KINDS))
evidences = st.builds(
    FusionEvidence,
    chain=st.lists(kinds, min_size=2, max_size=4).map(tuple),
    how=st.sampled_from(["operator profile", "pair test"]),
    verdict=st.sampled_from(["fused", "apart", "unclear"]),
    a_ms=st.none() | st.floats(1e-6, 1e6),
    detail=st.text(max_size=400),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(evidences, max_size=5))
def test_any_findings_survive_a_file(tmp_path_factory: pytest.TempPathFactory, evidence: list[FusionEvidence]) -> None:
    path = tmp_path_factory.mktemp("fusion") / "t.fusion.json"
    write_fusion_file(path, [findings(*evidence)])
    assert read_fusion_file(path) == (findings(*evidence),)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x04\x95pickle", b"[]", b'{"schema": 1}', b'{"schema": 1, "findings": [{"device": "x"}]}', b"{" * 5000],
    ids=["empty", "pickle", "list", "no findings", "half", "deep"],
)
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.fusion.json"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"t\.fusion\.json"):
        read_fusion_file(path)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.fusion.json"
    write_fusion_file(path, [findings(APART, FUSED)])
    content = path.read_bytes()
    for end in range(0, len(content) - 2, 37):
        path.write_bytes(content[:end])
        with pytest.raises(TableError):
            read_fusion_file(path)


def test_a_file_of_another_schema_names_both(tmp_path: Path) -> None:
    path = tmp_path / "t.fusion.json"
    path.write_text(json.dumps({"schema": 2, "findings": []}))
    with pytest.raises(SchemaMismatchError) as caught:
        read_fusion_file(path)
    assert (caught.value.found, caught.value.expected) == (2, 1)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        read_fusion_file(tmp_path / "t.fusion.json")


@pytest.fixture(scope="module")
def rows() -> LatencyTable:
    return law_table(40, networks=4)


def of_rows(rows: LatencyTable, *evidence: FusionEvidence, accelerator: str = "xnnpack") -> FusionFindings:
    row = rows.frame.iloc[0]
    return FusionFindings(
        device=row["device"], source=row["source"], runtime=row["runtime"], runtime_version=row["runtime_version"],
        processor=row["processor"], dtype=row["dtype"], accelerator=accelerator, evidence=evidence,
    )  # fmt: skip


def test_rows_find_the_findings_of_their_device(rows: LatencyTable) -> None:
    own = of_rows(rows, FUSED)
    assert findings_for_rows([findings(FUSED), own], rows) == own
    assert findings_for_rows([findings(FUSED)], rows) is None
    assert findings_for_rows([], rows) is None
    # A table does not tell the accelerator: two that fuse differently cannot be chosen between.
    assert findings_for_rows([own, of_rows(rows, accelerator="gpu")], rows) is None


def test_a_chain_that_rows_hold_as_one_stays_one(rows: LatencyTable) -> None:
    kinds = {tuple(kind.split("+")) for kind in rows.kernels().frame["kind"]}
    (held, *_) = sorted(chain for chain in kinds & FUSION_RULES["litert"].chains if len(chain) == 2)
    (unheld, *_) = sorted(chain for chain in FUSION_RULES["litert"].chains - kinds if len(chain) == 2)
    apart = [FusionEvidence(chain=chain, how="pair test", verdict="apart") for chain in (held, unheld)]
    rules = rules_for_rows([of_rows(rows, *apart, FUSED)], rows)
    assert rules is not None
    assert held in rules.chains
    assert unheld not in rules.chains
    assert FUSED.chain in rules.chains
    assert rules_for_rows([], rows) is None

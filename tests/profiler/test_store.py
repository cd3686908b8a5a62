"""The store: what goes in comes out, from several processes at once, and only in a schema we know."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from profiler.backends import Check, Fence
from profiler.errors import LeaseLostError, SchemaMismatchError, TableError
from profiler.measure import Block, CampaignRecord, Configuration, Protocol, WorkloadRecord
from profiler.store import Store
from tests._source import ROOT
from tests.known_law_backend import KnownLawBackend, workloads

RECORDS = [WorkloadRecord.of(work) for work in workloads(5)]
CAMPAIGN = CampaignRecord(
    id="a" * 32,
    label="night\n<b>",
    configuration=Configuration("pixel", "measured", KnownLawBackend().facts()),
    protocol=Protocol(seed=4, suppress=("LOAD",)),
    created_unix_s=1.75e9,
)


def block(round_: int, index: int) -> Block:
    return Block(
        workload_key=RECORDS[index].key,
        round=round_,
        position=index,
        started_unix_s=1.75e9 + round_,
        status="ok",
        samples_ms=(0.1, 1 / 3, 1e-7 + index),
        before_ms=(0.11, 0.07),
        after_ms=(0.12, 0.08),
        checks=(Check("LOAD", "other work"), Check("EMULATED", "no phone", suppressible=False)),
    )


def test_what_goes_in_comes_out_bit_for_bit(tmp_path: Path) -> None:
    blocks = [block(0, 1), block(0, 3), replace(block(1, 0), status="failed", reason="CRASHED: ⚡", samples_ms=())]
    with Store(tmp_path / "store.db") as store:
        store.begin(CAMPAIGN, RECORDS)
        for each in blocks:
            store.add(CAMPAIGN.id, each)
    with Store(tmp_path / "store.db") as store:
        assert store.campaigns() == (CAMPAIGN,)
        assert store.blocks(CAMPAIGN.id) == tuple(blocks)
        assert store.workloads(CAMPAIGN.id) == tuple(sorted(RECORDS, key=lambda record: record.key))
        store.finish(CAMPAIGN.id, 1.8e9)
        assert store.campaigns()[0].finished_unix_s == 1.8e9


def test_a_campaign_begun_again_is_the_stored_one(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        store.begin(CAMPAIGN, RECORDS)
        assert store.begin(replace(CAMPAIGN, created_unix_s=1.0), RECORDS) == CAMPAIGN
        other = replace(CAMPAIGN, id="b" * 32)
        assert store.begin(other, RECORDS[:2]) == other
        assert len(store.workloads(other.id)) == 2


def test_a_block_can_be_stored_once_only(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        store.begin(CAMPAIGN, RECORDS)
        store.add(CAMPAIGN.id, block(0, 1))
        with pytest.raises(TableError, match="another process"):
            store.add(CAMPAIGN.id, replace(block(0, 1), position=7))


def test_one_writes_while_many_read(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    counts: list[list[int]] = [[] for _ in range(3)]
    done = threading.Event()

    def read(seen: list[int]) -> None:
        with Store(place) as reader:
            while not done.is_set():
                blocks = reader.blocks(CAMPAIGN.id)
                assert all(len(each.samples_ms) == 3 for each in blocks)
                seen.append(len(blocks))

    with Store(place) as writer:
        writer.begin(CAMPAIGN, RECORDS)
        threads = [threading.Thread(target=read, args=(seen,)) for seen in counts]
        for thread in threads:
            thread.start()
        for round_ in range(40):
            for index in range(5):
                writer.add(CAMPAIGN.id, block(round_, index))
        done.set()
        for thread in threads:
            thread.join(20)
        assert len(writer.blocks(CAMPAIGN.id)) == 200
    for seen in counts:
        assert seen
        assert seen == sorted(seen)


def test_threads_that_write_to_one_store_lose_no_row(tmp_path: Path) -> None:
    with Store(tmp_path / "store.db") as store:
        campaigns = [replace(CAMPAIGN, id=f"{index:032}") for index in range(24)]

        def write(campaign: CampaignRecord) -> None:
            fence = Fence(campaign.id, 1)
            store.begin(campaign, RECORDS, fence=fence)
            for round_ in range(10):
                store.add(campaign.id, block(round_, 2), fence=fence)
            store.finish(campaign.id, 1.8e9, fence=fence)

        threads = [threading.Thread(target=write, args=(campaign,)) for campaign in campaigns]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [len(store.blocks(campaign.id)) for campaign in campaigns] == [10] * 24
        assert len(store.campaigns()) == 24


PHONE = "phone"


@pytest.mark.parametrize("late", ["begin", "add", "finish"])
def test_a_job_that_lost_its_device_writes_nothing_more(late: str, tmp_path: Path) -> None:
    old, new = Fence(PHONE, 7), Fence(PHONE, 9)
    with Store(tmp_path / "store.db") as store:
        store.begin(CAMPAIGN, RECORDS, fence=old)
        store.add(CAMPAIGN.id, block(0, 0), fence=old)
        store.begin(CAMPAIGN, RECORDS, fence=new)
        writes = {
            "begin": lambda: store.begin(replace(CAMPAIGN, id="b" * 32), RECORDS, fence=old),
            "add": lambda: store.add(CAMPAIGN.id, block(0, 1), fence=old),
            "finish": lambda: store.finish(CAMPAIGN.id, 1.8e9, fence=old),
        }
        with pytest.raises(LeaseLostError) as caught:
            writes[late]()
        assert caught.value.exit_code == 75
        store.add(CAMPAIGN.id, block(0, 2), fence=Fence("another phone", 1))
        store.add(CAMPAIGN.id, block(0, 1), fence=new)
        assert len(store.blocks(CAMPAIGN.id)) == 3
        assert store.campaigns() == (CAMPAIGN,)


def test_a_store_from_before_there_were_fences_takes_them(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    with Store(place) as store:
        store.begin(CAMPAIGN, RECORDS)
    with sqlite3.connect(place) as connection:
        connection.execute("DROP TABLE fence")
    connection.close()
    with Store(place) as store:
        store.add(CAMPAIGN.id, block(0, 1), fence=Fence(PHONE, 7))
        assert len(store.blocks(CAMPAIGN.id)) == 1


def test_processes_may_open_a_new_store_at_the_same_time(tmp_path: Path) -> None:
    program = "import sys; from profiler.store import Store; Store(sys.argv[1]).close()"
    command = [sys.executable, "-c", program, str(tmp_path / "store.db")]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    Store(place).close()
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(SchemaMismatchError) as caught:
        Store(place)
    assert (caught.value.found, caught.value.expected) == (99, 2)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "notes.db"
    place.write_text("not a database at all, " * 100)
    with pytest.raises(TableError, match=r"notes\.db"):
        Store(place)


@pytest.mark.parametrize("name", ["run?1.db", "100%41.db", "a#b.db", "$(id).db"])
def test_the_file_has_the_name_it_was_given(tmp_path: Path, name: str) -> None:
    Store(tmp_path / name).close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError):
        Store(tmp_path / "missing" / "store.db")


def test_the_store_is_in_wal_mode(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    Store(place).close()
    connection = sqlite3.connect(place)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_store_that_breaks_while_open_is_one_of_our_errors(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    with Store(place) as store:
        with sqlite3.connect(place) as connection:
            connection.execute("DROP TABLE block")
        connection.close()
        with pytest.raises(TableError, match=r"store\.db"):
            store.blocks(CAMPAIGN.id)


@pytest.mark.parametrize("scheme", ["nosuchbase", "postgresql+nosuchdriver"])
def test_a_url_that_nothing_opens_is_our_error_and_keeps_its_password(scheme: str) -> None:
    with pytest.raises(TableError, match="cannot be opened") as caught:
        Store(f"{scheme}://user:secret@localhost/rows")
    assert "secret" not in str(caught.value)


def test_a_url_that_makes_no_sense_is_our_error() -> None:
    with pytest.raises(TableError, match="cannot be opened"):
        Store("sqlite://:port/rows:x@")

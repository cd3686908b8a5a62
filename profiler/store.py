"""Where measurements are kept: one row a block, committed when it is measured.

The store is an SQLite file in WAL mode, or any database that SQLAlchemy opens by URL.  It keeps raw
latencies; medians and verdicts are computed when a table is asked for.  Many may read while one writes, and
threads that write to one store take turns.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError

from profiler.backends.base import Check, DeviceFacts
from profiler.backends.lease import Fence
from profiler.errors import LeaseLostError, SchemaMismatchError, TableError
from profiler.fusion.evidence import FusionEvidence, FusionRecord
from profiler.measure.protocol import Protocol
from profiler.measure.records import Block, CampaignRecord, Configuration, WorkloadRecord

SCHEMA_VERSION = 2
LOCK_TIMEOUT_S = 30.0

_METADATA = sql.MetaData()
_SCHEMA = sql.Table("schema_version", _METADATA, sql.Column("version", sql.Integer, primary_key=True))
_CAMPAIGN = sql.Table(
    "campaign",
    _METADATA,
    sql.Column("id", sql.String(64), primary_key=True),
    sql.Column("label", sql.Text, nullable=False),
    sql.Column("device", sql.Text, nullable=False),
    sql.Column("source", sql.String(16), nullable=False),
    sql.Column("facts", sql.Text, nullable=False),
    sql.Column("protocol", sql.Text, nullable=False),
    sql.Column("created_unix_s", sql.Double, nullable=False),
    sql.Column("finished_unix_s", sql.Double),
)
_WORKLOAD = sql.Table(
    "workload",
    _METADATA,
    sql.Column("key", sql.String(80), primary_key=True),
    sql.Column("network_key", sql.String(64), nullable=False),
    sql.Column("kind", sql.Text, nullable=False),
    sql.Column("dtype", sql.String(16), nullable=False),
    sql.Column("config", sql.Text, nullable=False),
)
_MEMBER = sql.Table(
    "campaign_workload",
    _METADATA,
    sql.Column("campaign_id", sql.ForeignKey("campaign.id"), primary_key=True),
    sql.Column("workload_key", sql.ForeignKey("workload.key"), primary_key=True),
)
# The key makes a second row for the same block impossible, whoever writes it.
_BLOCK = sql.Table(
    "block",
    _METADATA,
    sql.Column("campaign_id", sql.ForeignKey("campaign.id"), primary_key=True),
    sql.Column("round", sql.Integer, primary_key=True),
    sql.Column("workload_key", sql.ForeignKey("workload.key"), primary_key=True),
    sql.Column("position", sql.Integer, nullable=False),
    sql.Column("started_unix_s", sql.Double, nullable=False),
    sql.Column("status", sql.String(16), nullable=False),
    sql.Column("reason", sql.Text, nullable=False),
    sql.Column("samples_ms", sql.LargeBinary, nullable=False),
    sql.Column("before_ms", sql.LargeBinary, nullable=False),
    sql.Column("after_ms", sql.LargeBinary, nullable=False),
    sql.Column("checks", sql.Text, nullable=False),
    sql.Column("runs_per_sample", sql.Integer, nullable=False),
    sql.Column("way", sql.String(16), nullable=False),
)
# What was found of fusion: one row a configuration, numeric type, chain and way of looking, the latest of each.
_FUSION = sql.Table(
    "fusion",
    _METADATA,
    sql.Column("configuration", sql.String(64), primary_key=True),
    sql.Column("dtype", sql.String(16), primary_key=True),
    sql.Column("chain", sql.String(255), primary_key=True),
    sql.Column("how", sql.String(32), primary_key=True),
    sql.Column("position", sql.Integer, nullable=False),
    sql.Column("device", sql.Text, nullable=False),
    sql.Column("source", sql.String(16), nullable=False),
    sql.Column("facts", sql.Text, nullable=False),
    sql.Column("evidence", sql.Text, nullable=False),
)
_FENCE = sql.Table(
    "fence",
    _METADATA,
    sql.Column("device", sql.String(512), primary_key=True),
    sql.Column("token", sql.BigInteger, nullable=False),
)


class Store:
    """An opened store; use it as a context manager or close it.

    Args:
        place: Path of an SQLite file, which is made when it is not there, or a database URL, whose driver
            must be installed.

    Raises:
        SchemaMismatchError: The database was written by a newer version.
        TableError: The file is no database, or cannot be opened; later, from any method: it cannot be
            read or written any more, as on a full disk.
    """

    def __init__(self, place: Path | str) -> None:
        try:
            url = _url(place)
            self._place = url.render_as_string(hide_password=True) if "://" in str(place) else str(place)
            self._engine = _engine(url)
            self._turn = threading.Lock()
        except (ArgumentError, ImportError, ValueError) as error:
            # Neither names the URL: it may hold a password.
            raise TableError(f"a store of this URL cannot be opened: {type(error).__name__}: {error}") from error
        try:
            _prepare(self._engine)
        except DatabaseError as error:
            self._engine.dispose()
            raise TableError(f"{self._place!r} cannot be opened as a store: {error.orig}") from error
        except SchemaMismatchError:
            self._engine.dispose()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database; what was added is already safe."""
        self._engine.dispose()

    def begin(
        self, campaign: CampaignRecord, workloads: Iterable[WorkloadRecord], *, fence: Fence | None = None
    ) -> CampaignRecord:
        """Write down a campaign and what it measures, unless it is there already.

        Args:
            campaign: The campaign.
            workloads: What it measures.
            fence: Proof that this job has the device; from here on those of earlier jobs are refused.

        Returns:
            The campaign as stored: the given one, or the earlier one of the same id.

        Raises:
            LeaseLostError: A later job has had the device; nothing is written.
        """
        with self._transaction(writes=True) as connection:
            _pass_fence(connection, fence)
            found = _campaigns(connection, _CAMPAIGN.c.id == campaign.id)
            if found:
                return found[0]
            rows = [asdict(workload) for workload in workloads]
            known = set(connection.scalars(sql.select(_WORKLOAD.c.key)))
            new = [row for row in rows if row["key"] not in known]
            connection.execute(sql.insert(_CAMPAIGN), _campaign_row(campaign))
            if new:
                connection.execute(sql.insert(_WORKLOAD), new)
            members = [{"campaign_id": campaign.id, "workload_key": row["key"]} for row in rows]
            connection.execute(sql.insert(_MEMBER), members)
        return campaign

    def add(self, campaign_id: str, block: Block, *, fence: Fence | None = None) -> None:
        """Commit one block.

        Args:
            campaign_id: The campaign it belongs to, begun before.
            block: The block.
            fence: As for begin.

        Raises:
            LeaseLostError: A later job has had the device; nothing is written.
            TableError: This block is there already: somebody else is writing the same campaign.
        """
        with self._transaction(writes=True) as connection:
            _pass_fence(connection, fence)
            try:
                connection.execute(sql.insert(_BLOCK), _block_row(campaign_id, block))
            except IntegrityError as error:
                raise TableError(
                    f"block {block.workload_key} of round {block.round} is in the store already; "
                    "is another process measuring the same campaign?"
                ) from error

    def finish(self, campaign_id: str, at_unix_s: float, *, fence: Fence | None = None) -> None:
        """Note that a campaign has ended; it will not be resumed.

        Args:
            campaign_id: The campaign.
            at_unix_s: When it ended.
            fence: As for begin.

        Raises:
            LeaseLostError: A later job has had the device; nothing is written.
        """
        change = sql.update(_CAMPAIGN).where(_CAMPAIGN.c.id == campaign_id).values(finished_unix_s=at_unix_s)
        with self._transaction(writes=True) as connection:
            _pass_fence(connection, fence)
            connection.execute(change)

    def campaigns(self) -> tuple[CampaignRecord, ...]:
        """Return all campaigns, oldest first."""
        with self._transaction() as connection:
            return _campaigns(connection, sql.true())

    def workloads(self, campaign_id: str) -> tuple[WorkloadRecord, ...]:
        """Return what a campaign measures, in order of the workloads' keys."""
        query = (
            sql.select(_WORKLOAD)
            .join(_MEMBER, _MEMBER.c.workload_key == _WORKLOAD.c.key)
            .where(_MEMBER.c.campaign_id == campaign_id)
            .order_by(_WORKLOAD.c.key)
        )
        with self._transaction() as connection:
            return tuple(WorkloadRecord(**row) for row in connection.execute(query).mappings())

    def blocks(self, campaign_id: str) -> tuple[Block, ...]:
        """Return a campaign's blocks in the order in which they were measured."""
        query = (
            sql.select(_BLOCK).where(_BLOCK.c.campaign_id == campaign_id).order_by(_BLOCK.c.round, _BLOCK.c.position)
        )
        with self._transaction() as connection:
            return tuple(_block(row) for row in connection.execute(query).mappings())

    def add_fusion(self, record: FusionRecord, *, fence: Fence | None = None) -> None:
        """Note what was found of fusion on a configuration, in place of what is there of the same chains and ways.

        Args:
            record: The findings.
            fence: As for begin.

        Raises:
            LeaseLostError: A later job has had the device; nothing is written.
        """
        rows = _fusion_rows(record)
        with self._transaction(writes=True) as connection:
            _pass_fence(connection, fence)
            for row in rows:
                same = [_FUSION.c[column.name] == row[column.name] for column in _FUSION.primary_key]
                connection.execute(sql.delete(_FUSION).where(*same))
            if rows:
                connection.execute(sql.insert(_FUSION), rows)

    def fusion(self) -> tuple[FusionRecord, ...]:
        """Return what was found of fusion, one record a configuration and numeric type.

        Raises:
            TableError: What stands there is no evidence.
        """
        order = (_FUSION.c.device, _FUSION.c.configuration, _FUSION.c.dtype, _FUSION.c.position, _FUSION.c.chain)
        with self._transaction() as connection:
            rows = connection.execute(sql.select(_FUSION).order_by(*order)).mappings().all()
        groups = groupby(rows, key=lambda row: (row["configuration"], row["dtype"]))
        try:
            return tuple(_fusion_record(list(group)) for _, group in groups)
        except (ValueError, TypeError) as error:
            raise TableError(f"store {self._place!r}: its table of fusion holds something else: {error}") from error

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        """Commit what is done inside, all or nothing, and turn the library's errors into ours."""
        try:
            # Threads queue here in order; at the database's own lock one might never get its turn.
            with (
                self._turn if writes else nullcontext(),
                self._engine.execution_options(writes=writes).begin() as connection,
            ):
                yield connection
        except DatabaseError as error:
            raise TableError(f"store {self._place!r}: {error.orig}") from error


def _url(place: Path | str) -> sql.URL:
    # A path is not pasted into a URL: there, a question mark in it would end the file's name.
    return sql.make_url(str(place)) if "://" in str(place) else sql.URL.create("sqlite", database=str(place))


def _engine(url: sql.URL) -> Engine:
    """Open a database; all that is SQLite's alone is here."""
    if url.get_backend_name() != "sqlite":
        return sql.create_engine(url)
    # isolation_level=None: Python's driver begins no transactions of its own, which would leave CREATE
    # TABLE outside of them.
    engine = sql.create_engine(url, connect_args={"timeout": LOCK_TIMEOUT_S, "isolation_level": None})
    sql.event.listen(engine, "connect", _configure_sqlite)
    sql.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    # In WAL mode NORMAL loses nothing when the process is killed, and at a power cut the last rows
    # at most; FULL would put a disk flush beside every block that is being timed.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: Connection) -> None:
    # A writer asks for its lock at once: one that has read first could not get it any more.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(engine: Engine) -> None:
    """Make the tables where there are none, and refuse those of a newer version."""
    with engine.execution_options(writes=True).begin() as connection:
        if not sql.inspect(connection).has_table(_SCHEMA.name):
            _METADATA.create_all(connection)
            connection.execute(sql.insert(_SCHEMA), {"version": SCHEMA_VERSION})
        # Stores of this version may be from before there were fences or findings of fusion, which change nothing else.
        _FENCE.create(connection, checkfirst=True)
        _FUSION.create(connection, checkfirst=True)
        found = connection.scalar(sql.select(sql.func.max(_SCHEMA.c.version)))
    if found != SCHEMA_VERSION:
        raise SchemaMismatchError(
            found,
            SCHEMA_VERSION,
            "the store was written by another version of pocketnas; use that version or a new file",
        )


def _pass_fence(connection: Connection, fence: Fence | None) -> None:
    """Refuse a token that is older than the newest seen for its device, and note one that is newer."""
    if fence is None:
        return
    newest = connection.scalar(sql.select(_FENCE.c.token).where(_FENCE.c.device == fence.device))
    if newest is None:
        connection.execute(sql.insert(_FENCE), {"device": fence.device, "token": fence.token})
    elif newest < fence.token:
        connection.execute(sql.update(_FENCE).where(_FENCE.c.device == fence.device).values(token=fence.token))
    elif newest > fence.token:
        raise LeaseLostError(fence.device, holder="a later job, which has written to this store")


def _campaigns(connection: Connection, condition: sql.ColumnElement[bool]) -> tuple[CampaignRecord, ...]:
    query = sql.select(_CAMPAIGN).where(condition).order_by(_CAMPAIGN.c.created_unix_s, _CAMPAIGN.c.id)
    return tuple(
        CampaignRecord(
            id=row["id"],
            label=row["label"],
            configuration=Configuration(row["device"], row["source"], DeviceFacts(**json.loads(row["facts"]))),
            protocol=Protocol.from_json(row["protocol"]),
            created_unix_s=row["created_unix_s"],
            finished_unix_s=row["finished_unix_s"],
        )
        for row in connection.execute(query).mappings()
    )


def _campaign_row(campaign: CampaignRecord) -> dict[str, object]:
    return {
        "id": campaign.id,
        "label": campaign.label,
        "device": campaign.configuration.device,
        "source": campaign.configuration.source,
        "facts": json.dumps(asdict(campaign.configuration.facts), sort_keys=True),
        "protocol": campaign.protocol.to_json(),
        "created_unix_s": campaign.created_unix_s,
        "finished_unix_s": campaign.finished_unix_s,
    }


def _block_row(campaign_id: str, block: Block) -> dict[str, object]:
    row = {
        "campaign_id": campaign_id,
        "round": block.round,
        "workload_key": block.workload_key,
        "position": block.position,
        "started_unix_s": block.started_unix_s,
        "status": block.status,
        "reason": block.reason,
        "checks": json.dumps([asdict(check) for check in block.checks]),
        "runs_per_sample": block.runs_per_sample,
        "way": block.way,
    }
    return row | {name: _packed(getattr(block, name)) for name in ("samples_ms", "before_ms", "after_ms")}


def _block(row: sql.RowMapping) -> Block:
    fields = {name: value for name, value in row.items() if name != "campaign_id"}
    fields |= {name: _unpacked(row[name]) for name in ("samples_ms", "before_ms", "after_ms")}
    fields["checks"] = tuple(Check(**check) for check in json.loads(row["checks"]))
    return Block(**fields)


def _fusion_rows(record: FusionRecord) -> list[dict[str, object]]:
    configuration = record.configuration
    facts = json.dumps(asdict(configuration.facts), sort_keys=True)
    identity = json.dumps([configuration.device, configuration.source, facts])
    common = {
        "configuration": hashlib.sha256(identity.encode()).hexdigest(),
        "dtype": record.dtype,
        "device": configuration.device,
        "source": configuration.source,
        "facts": facts,
    }
    return [
        {
            **common,
            "chain": "+".join(found.chain),
            "how": found.how,
            "position": position,
            "evidence": found.model_dump_json(),
        }
        for position, found in enumerate(record.evidence)
    ]


def _fusion_record(rows: Sequence[sql.RowMapping]) -> FusionRecord:
    first = rows[0]
    configuration = Configuration(first["device"], first["source"], DeviceFacts(**json.loads(first["facts"])))
    evidence = tuple(FusionEvidence.model_validate_json(row["evidence"]) for row in rows)
    return FusionRecord(configuration, first["dtype"], evidence)


def _packed(values: tuple[float, ...]) -> bytes:
    """Return latencies as little-endian float64, which is exact and a third of their JSON."""
    return np.asarray(values, dtype="<f8").tobytes()


def _unpacked(data: bytes) -> tuple[float, ...]:
    return tuple(np.frombuffer(data, dtype="<f8").tolist())

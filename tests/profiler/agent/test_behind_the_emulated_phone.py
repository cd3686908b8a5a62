"""Both agents for phones behind an emulated one: they run under qemu, and phone and cable fail as real ones do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pocketnas.cli import run
from profiler.adb import DirectTransport, own_key
from profiler.adb._deadline import Deadline
from profiler.agent import (
    AgentBuild,
    AgentBundle,
    BlockRecord,
    EndRecord,
    FailedBlock,
    JobRun,
    Outcome,
)
from profiler.agent.job import Engine
from profiler.agent.records import STOPPED
from profiler.agent.toolchains import ENGINES, Target
from profiler.errors import ConfigError, DeviceBusyError, DeviceStorageError
from profiler.phone import ContentPool, Fault, FaultKind, Phone, PhoneServer, load_phone
from tests.profiler.agent.remote_agent import RemoteAgent, agent_job, require_whole

pytestmark = [pytest.mark.agent, pytest.mark.qemu]

RealAgent = Callable[[Engine, Target], AgentBuild]
FOLDER = "/data/local/tmp/agent"
PREFIX_BYTES = len("pocketnas-0123456789abcdef 4321\n")
"""What the transport lets commands print first, for itself; faults of output count it."""
POINTS = {"ncnn": 20, "litert": 5}
"""Places in a stream where something fails: what happens there is the same code for both engines."""
CONTENTS = ContentPool()


@pytest.fixture(scope="session")
def bundles(real_agent: RealAgent) -> Callable[[Engine], AgentBundle]:
    found: dict[Engine, AgentBundle] = {}

    def bundle(engine: Engine) -> AgentBundle:
        if engine not in found:
            found[engine] = real_agent(engine, "aarch64").bundle()
        return found[engine]

    return bundle


@contextmanager
def agent_on(bundle: AgentBundle, cpu: str = "cortex-a76") -> Iterator[tuple[RemoteAgent, PhoneServer]]:
    """Put an agent on a phone of its own."""
    description = load_phone("pixel4").model_copy(update={"qemu_cpu": cpu})
    with ExitStack() as stack:
        served = stack.enter_context(PhoneServer(Phone(description, contents=CONTENTS)))
        transport = stack.enter_context(DirectTransport.tcp(served.address, key=own_key()))
        yield RemoteAgent.installed(transport, FOLDER, bundle), served


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.param
    return found


Bundles = Callable[[Engine], AgentBundle]


@pytest.fixture
def here(engine: Engine, bundles: Bundles) -> Iterator[tuple[RemoteAgent, PhoneServer]]:
    with agent_on(bundles(engine)) as there:
        yield there


def points(agent: RemoteAgent, engine: Engine, count: int) -> list[int]:
    """Return places in what the agent tells of a job, from its first byte to its last record."""
    require_whole(agent_job(engine), agent.run(agent_job(engine)))
    whole = len(agent.stored())
    return [1 + place * (whole - 8) // count for place in range(count)]


@pytest.mark.parametrize("cpu", ["cortex-a53", "cortex-a76", "max"])
def test_every_processor_runs_it_and_is_told_apart(engine: Engine, cpu: str, bundles: Bundles) -> None:
    job = agent_job(engine)
    with agent_on(bundles(engine), cpu) as (agent, _):
        running = JobRun(agent, job, block_timeout_s=30.0)
        require_whole(job, list(running.outcomes()))
        assert running.hello is not None and running.farewell is not None
        assert (running.hello.engine, running.hello.target, running.hello.cores) == (engine, "aarch64", 8)
        assert "cpu-0-0-usr" in running.hello.zones
        isa = set(running.hello.isa)
        assert "asimd" in isa
        assert ("asimddp" in isa, "fphp" in isa) == (cpu != "cortex-a53",) * 2
        assert ("i8mm" in isa, "sve" in isa) == (cpu == "max",) * 2
        assert len(agent.run_records()) == len(job.executions()) + 2


def test_records_tell_of_the_phone(engine: Engine, here: tuple[RemoteAgent, PhoneServer]) -> None:
    agent, served = here
    for outcome in agent.run(agent_job(engine)):
        assert isinstance(outcome, BlockRecord)
        assert len(outcome.millidegrees) == len(served.phone.description.thermal_zones)
        assert all(20_000 < degrees < 60_000 for degrees in outcome.millidegrees)
        assert set(outcome.khz) <= {1_785_600, 2_419_200, 2_841_600}


def test_killed_at_twenty_points_it_goes_on(engine: Engine, here: tuple[RemoteAgent, PhoneServer]) -> None:
    agent, served = here
    job = agent_job(engine)
    restarts = 0
    for place in points(agent, engine, POINTS[engine]):
        fault = Fault("kill", match="run job records", times=1, at_bytes=place)
        served.phone.faults.add(fault)
        agent.starts = 0
        require_whole(job, agent.run(job))
        assert served.phone.faults.happened(fault) == 1
        # Once more, or not at all where it had written down all that it could not tell any more.
        assert agent.starts in (1, 2)
        restarts += agent.starts - 1
    assert restarts > POINTS[engine] / 2


@pytest.mark.parametrize("kind", ["cut_output", "damage_output", "truncate_output"])
def test_a_cable_that_fails_at_twenty_points_loses_nothing(
    engine: Engine, kind: FaultKind, here: tuple[RemoteAgent, PhoneServer]
) -> None:
    agent, served = here
    job = agent_job(engine)
    count = POINTS[engine] if kind != "truncate_output" else 5
    for place in points(agent, engine, count):
        fault = Fault(kind, match="run job records", times=1, at_bytes=PREFIX_BYTES + place)
        served.phone.faults.add(fault)
        agent.starts = 0
        require_whole(job, agent.run(job))
        assert served.phone.faults.happened(fault) == 1 and agent.starts >= 1


def test_a_restart_fails_its_block_and_the_rest_is_done(engine: Engine, here: tuple[RemoteAgent, PhoneServer]) -> None:
    agent, served = here
    job = agent_job(engine)
    place = points(agent, engine, 2)[1]
    struck: list[int] = []

    def reboot(read: int, data: bytes) -> bytes:
        if not struck and read + len(data) >= place:
            struck.append(read)
            served.phone.reboot()
        return data

    agent.on_bytes = reboot
    outcomes = agent.run(job)
    failed = [outcome for outcome in outcomes if isinstance(outcome, FailedBlock)]
    assert len(outcomes) == len(job.executions()) and [one.reason for one in failed] in ([], ["UNEXPECTED_REBOOT"])


def test_cores_that_there_are_not_and_a_second_agent_are_refused(
    engine: Engine, here: tuple[RemoteAgent, PhoneServer]
) -> None:
    agent, served = here
    with pytest.raises(ConfigError, match="NO_CORES"):
        agent.run(agent_job(engine, mask=1 << 60))
    agent.put(agent_job(engine, rounds=5000).to_bytes())
    with (
        DirectTransport.tcp(served.address, key=own_key()) as other,
        other._open_channel(f"shell,v2,raw:{agent.command('--lock', 'lock')}", Deadline.after(60)) as channel,
    ):
        assert channel.read()
        agent.options += " --lock lock"
        with pytest.raises(DeviceBusyError):
            agent.run(agent_job(engine))
        served.phone.reboot()
    require_whole(agent_job(engine), agent.run(agent_job(engine)))


def test_a_full_phone_is_said_and_what_was_whole_is_kept(engine: Engine, here: tuple[RemoteAgent, PhoneServer]) -> None:
    agent, served = here
    served.phone.faults.add(Fault("storage_full", match="run job records", at_run=0, free_bytes=1500))
    told: list[Outcome] = []
    job = agent_job(engine, rounds=400)
    with pytest.raises(DeviceStorageError):
        for outcome in JobRun(agent, job, block_timeout_s=30.0).outcomes():
            told.append(outcome)
    assert told and all(isinstance(outcome, BlockRecord) for outcome in told)


def test_it_ends_soon_when_told_to(engine: Engine, here: tuple[RemoteAgent, PhoneServer]) -> None:
    agent, served = here
    agent.put(agent_job(engine, rounds=5000).to_bytes())
    with agent._transport._open_channel(f"shell,v2,raw:{agent.command()}", Deadline.after(30)) as channel:
        assert channel.read()
        (process,) = (one for one in served.phone.processes if one.deliver)
        asked_s = time.monotonic()
        process.end(15)
        while channel.read():
            pass
        assert time.monotonic() - asked_s < 2.0
    last = agent.run_records()[-1]
    assert isinstance(last, EndRecord) and last.reason == STOPPED


def test_it_ends_soon_when_nobody_listens(engine: Engine, here: tuple[RemoteAgent, PhoneServer]) -> None:
    agent, served = here
    agent.put(agent_job(engine, rounds=5000).to_bytes())
    with agent._transport._open_channel(f"shell,v2,raw:{agent.command()}", Deadline.after(30)) as channel:
        assert channel.read()
        asked_s = time.monotonic()
        served.drop_connections()
        while any(process.deliver for process in served.phone.processes):
            assert time.monotonic() - asked_s < 10.0, "the agent runs on"
            time.sleep(0.01)
        assert time.monotonic() - asked_s < 2.0


@pytest.mark.usefixtures("real_agent")
def test_profile_ends_with_rows_that_say_what_they_are(
    engine: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "a.db")
    small = ["--cells", "3", "--channels", "4", "--nodes", "1", "--kernels", "6", "--networks", "1"]
    pace = ["--rounds", "2", "--max-rounds", "2"]
    command = ["profile", "--device", "pixel4-emulated", "--runtime", f"agent-{engine}", "--store", store]
    assert run([*command, *small, *pace, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["source"] == "emulated-isa" and not document["verdicts"].get("INVALID")
    assert run(["table", "--store", store, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 7
    assert {(row["source"], row["runtime"]) for row in rows} == {("emulated-isa", f"agent-{engine}")}
    assert all("EMULATED" in row["reasons"] for row in rows)

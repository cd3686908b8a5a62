"""Workers that die, hang or talk nonsense cost no result; they are stubs here, in processes of their own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import psutil
import pytest

from profiler.network import Dense, Network, TensorSpec
from search.engine import EvaluationJob, Processes, _worker_process
from search.errors import EngineError, JobLostError
from tests.search._stripes import stripes_data

DATA = stripes_data()


@pytest.fixture(autouse=True)
def _stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker_process, "_MODULE", "tests.search.engine.stub_worker")


def jobs(*names: str) -> list[EvaluationJob]:
    return [EvaluationJob(Network(name, [TensorSpec("x", (1, 2))], [Dense("d", ("x",), 2)], ["d"])) for name in names]


def evaluate(engine: Processes, names: Sequence[str]) -> list[float]:
    return engine.evaluate(jobs(*names), {}, DATA, calibration_images=8).tolist()


FAULTS = ["exit", "kill", "hang", "stop", "flood", "mumble", "list", "boast", "lie", "fail"]


@pytest.mark.parametrize(("fault", "count"), [*((fault, 2) for fault in FAULTS), ("kill", 1), ("stop", 3)])
def test_a_lost_worker_is_replaced_and_its_job_done_again(fault: str, count: int) -> None:
    said: list[str] = []
    limit_s = 0.3 if fault in ("hang", "stop") else 60.0
    with Processes(count, evaluation_limit_s=limit_s, warn=said.append) as engine:
        assert evaluate(engine, ["0.125", f"{fault}-once 0.25", "0.5"]) == [0.125, 0.25, 0.5]
    assert len(said) == 1 and f"evaluation of network '{fault}-once 0.25'" in said[0] and "is done again" in said[0]


def test_a_job_that_loses_every_worker_is_named_and_given_up() -> None:
    with Processes(2) as engine:
        with pytest.raises(JobLostError, match=r"'exit-always 0.5' .*exit code 3: MemoryError: out of it") as caught:
            evaluate(engine, ["0.125", "exit-always 0.5", *(f"sleep-0.5 {i / 8}" for i in range(8))])
        assert caught.value.times == 4 and caught.value.exit_code == 75
        assert len(list(engine.folder.glob("tried-*"))) < 9, "what nobody will ask for is not done"
        assert evaluate(engine, ["0.75"]) == [0.75], "the engine goes on"


def test_slow_jobs_do_not_hold_up_others() -> None:
    quick = [f"sleep-0.02 {i / 16}" for i in range(9)]
    with Processes(2) as engine:
        evaluate(engine, ["sleep-0.8 0.5", *quick])
        slow_s = (engine.folder / "tried-sleep-0.8 0.5").stat().st_mtime
        assert all((engine.folder / f"tried-{name}").stat().st_mtime < slow_s + 0.8 for name in quick)


def test_a_worker_killed_while_it_has_nothing_to_do_is_replaced() -> None:
    with Processes(2) as engine:
        evaluate(engine, ["0.5", "sleep-0.1 0.5"])
        os.kill(engine.pids[0], signal.SIGKILL)
        assert evaluate(engine, ["0.25"] * 3) == [0.25] * 3


def test_workers_are_killed_at_random_and_all_is_done() -> None:
    rng, done = np.random.default_rng(0), threading.Event()
    with Processes(3) as engine:

        def kill_some() -> None:
            for _ in range(3):
                done.wait(rng.uniform(0.02, 0.1))
                pids = engine.pids
                if pids and not done.is_set():
                    with suppress(ProcessLookupError):
                        os.kill(pids[int(rng.integers(len(pids)))], rng.choice([signal.SIGKILL, signal.SIGTERM]))

        killer = threading.Thread(target=kill_some)
        killer.start()
        try:
            scores = [i / 64 for i in range(40)]
            assert evaluate(engine, [f"sleep-0.02 {score}" for score in scores]) == scores
        finally:
            done.set()
            killer.join()


def test_workers_that_never_start_end_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_worker_process, "_MODULE", "no.such.module")
    with Processes(2) as engine, pytest.raises(EngineError, match=r"do not start.*exit code 1.*no\.such|No module"):
        evaluate(engine, ["0.5"] * 4)


def test_closing_ends_workers_and_removes_their_files() -> None:
    engine = Processes(2)
    evaluate(engine, ["0.5", "sleep-0.1 0.5"])
    folder, pids = engine.folder, engine.pids
    assert folder.stat().st_mode & 0o077 == 0 and len(pids) == 2
    engine.close()
    engine.close()
    assert not folder.exists() and not any(psutil.pid_exists(pid) for pid in pids)


def test_an_interrupt_in_the_middle_leaves_nothing_behind() -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), Processes(2) as engine:
        timer.start()
        evaluate(engine, ["sleep-60 0.5"] * 4)
    assert not engine.folder.exists() and engine.pids == ()


def test_no_work_starts_no_worker_and_a_count_below_one_is_refused() -> None:
    with Processes(2) as engine:
        assert evaluate(engine, []) == [] and engine.pids == ()
    with pytest.raises(EngineError, match="at least 1 worker"):
        Processes(0)

"""Workers and what each does: hands jobs out, and again when a worker is lost."""

from __future__ import annotations

import selectors
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from search.engine._answers import READY, WorkerLostError, nonsense, read_answer
from search.engine._worker_process import WorkerProcess
from search.errors import EngineError, JobLostError, SearchError

_START_LIMIT_S = 180.0
"""A cold interpreter imports torch from a slow disk in this time."""

_MOST_REPEATS = 3
"""How often a job is done again, and a worker that did not start is started again."""


class Task(ABC):
    """A job on its way through the pool.

    Attributes:
        name: The job in words.
        limit_s: Longest time without a sign of life from the worker that does it.
        lost: Workers that were lost with it.
        error: Why there is no result; None while there may be one.
    """

    def __init__(self, name: str, limit_s: float) -> None:
        self.name, self.limit_s = name, limit_s
        self.lost = 0
        self.error: SearchError | None = None

    @abstractmethod
    def request(self) -> bytes:
        """Return what a worker is asked, as a line."""

    @abstractmethod
    def take(self, answer: Mapping[str, Any]) -> bool:
        """Take an answer of the worker; return whether it was the last one.

        Raises:
            WorkerLostError: No worker that is well says this.
        """


class _Seat:
    """A worker, and what it is busy with."""

    def __init__(self, worker: WorkerProcess) -> None:
        self.worker = worker
        self.ready = False
        self.task: Task | None = None
        self.deadline_s = time.monotonic() + _START_LIMIT_S

    def begin(self, task: Task) -> None:
        self.task = task
        self.worker.ask(task.request())
        self.extend()

    def extend(self) -> None:
        """Take a sign of life."""
        self.deadline_s = time.monotonic() + self.task.limit_s if self.task else float("inf")


class Pool:
    """Some workers, started when there is work for them.

    Args:
        folder: The engine's private folder.
        count: Most workers at a time.
        warn: Told of each worker that is lost.
    """

    def __init__(self, folder: Path, count: int, warn: Callable[[str], None]) -> None:
        self._folder, self._count, self._warn = folder, count, warn
        self._seats: list[_Seat] = []
        self._started = self._failed_starts = 0

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run now."""
        return tuple(seat.worker.pid for seat in self._seats)

    def run(self, tasks: Sequence[Task], *, until_error: bool) -> None:
        """Have all tasks done or given up; each worker takes the next when it is done with one.

        Args:
            tasks: What is to be done.
            until_error: Whether to give up all when one is given up.

        Raises:
            EngineError: Workers do not start.
        """
        waiting = deque(tasks)
        for seat in [seat for seat in self._seats if seat.worker.ended]:
            self._replace(seat, "ended while it had nothing to do", waiting)
        try:
            while waiting or any(seat.task for seat in self._seats):
                self._fill(len(waiting))
                for seat in self._seats:
                    if waiting and seat.ready and seat.task is None:
                        seat.begin(waiting.popleft())
                for seat, how in self._turn():
                    self._replace(seat, how, waiting)
                if until_error and any(task.error for task in tasks):
                    break
        finally:
            # What is under way when an error, or Ctrl-C, gets here will never be asked for.
            for seat in [seat for seat in self._seats if seat.task]:
                self._drop(seat)

    def close(self) -> None:
        """End all workers."""
        for seat in list(self._seats):
            self._drop(seat)

    def _fill(self, waiting: int) -> None:
        """Start workers for tasks that find none free."""
        free = sum(seat.task is None for seat in self._seats)
        for _ in range(min(waiting - free, self._count - len(self._seats))):
            self._started += 1
            try:
                self._seats.append(_Seat(WorkerProcess(self._folder, self._started)))
            except OSError as err:
                raise EngineError(f"a worker cannot be started: {err}") from err

    def _turn(self) -> list[tuple[_Seat, str]]:
        """Wait until something happens; return the workers that are lost by it, and how."""
        lost: list[tuple[_Seat, str]] = []
        with selectors.DefaultSelector() as selector:
            for seat in self._seats:
                selector.register(seat.worker.answers, selectors.EVENT_READ, seat)
                if seat.worker.sending:
                    selector.register(seat.worker.questions, selectors.EVENT_WRITE, seat)
            first_s = min(seat.deadline_s for seat in self._seats)
            happened = selector.select(None if first_s == float("inf") else max(0.0, first_s - time.monotonic()))
        for key, event in happened:
            if event & selectors.EVENT_WRITE:
                key.data.worker.send()
                continue
            try:
                self._listen(key.data)
            except WorkerLostError as err:
                lost.append((key.data, err.how))
        silent = [seat for seat in self._seats if seat.deadline_s < time.monotonic()]
        known = [seat for seat, _ in lost]
        return lost + [(seat, "was silent beyond its time") for seat in silent if seat not in known]

    def _listen(self, seat: _Seat) -> None:
        """Take what a worker said."""
        for line in seat.worker.heard():
            answer = read_answer(line)
            if not seat.ready:
                if answer != READY:
                    raise nonsense(answer)
                seat.ready, self._failed_starts = True, 0
            elif seat.task is None:
                raise nonsense(answer)
            elif seat.task.take(answer):
                seat.task = None
            seat.extend()

    def _replace(self, seat: _Seat, how: str, waiting: deque[Task]) -> None:
        """Take leave of a lost worker; its task is the next one."""
        task, pid = seat.task, seat.worker.pid
        self._drop(seat)
        if not seat.ready:
            self._failed_starts += 1
            if self._failed_starts > _MOST_REPEATS:
                raise EngineError(f"workers do not start; the last one {how}")
        if task is None:
            self._warn(f"worker process {pid} {how}; another takes its place")
            return
        task.lost += 1
        if task.lost > _MOST_REPEATS:
            task.error = JobLostError(task.name, times=task.lost, reason=how)
            return
        self._warn(f"worker process {pid} {how}; its {task.name} is done again")
        waiting.appendleft(task)

    def _drop(self, seat: _Seat) -> None:
        self._seats.remove(seat)
        seat.worker.kill()

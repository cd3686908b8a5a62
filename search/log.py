"""The log of a search, for programs and for plots: `progress.jsonl`, and TensorBoard's event files if asked for.

Each step is one JSON object on a line of its own, written before the next step begins.  A search that is resumed goes
on behind the last step that its checkpoint holds, in both kinds of log.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from profiler.errors import ConfigError
from search.errors import CheckpointError
from search.progress import SearchProgress
from search.state import GenerationRecord

LOG_NAME = "progress.jsonl"
"""The JSON lines inside a run folder."""

_TAGS = {
    "hypervolume": "front/hypervolume",
    "front_size": "front/size",
    "best_accuracy": "front/best_accuracy_under_budget",
    "feasible": "population/feasible",
    "evaluated": "population/evaluated",
    "dropped": "population/dropped",
    "measured": "population/measured_on_devices",
    "loss": "training/loss",
    "learning_rate": "training/learning_rate",
}
"""Where TensorBoard shows what."""

_GENERATION_FIELDS = tuple(field.name for field in fields(GenerationRecord))
"""What is null in the line of a step that only learned."""


class SearchLog:
    """Writes down each step of a search; for use in a `with` block.

    Args:
        run_dir: The run folder; made when missing.
        tensorboard: Folder for TensorBoard's event files; None for none.
        learning_rate: Tells the present learning rate of what learns; None where nobody knows.

    Raises:
        ConfigError: Event files are asked for, and the package tensorboard is not here.
    """

    def __init__(
        self, run_dir: Path, *, tensorboard: Path | None = None, learning_rate: Callable[[], float] | None = None
    ) -> None:
        if tensorboard is not None and importlib.util.find_spec("tensorboard") is None:
            raise ConfigError("event files need the package tensorboard: pip install 'pocketnas[tensorboard]'")
        self.path = run_dir / LOG_NAME
        self._events_dir, self._learning_rate = tensorboard, learning_rate
        self._lines: IO[bytes] | None = None
        self._events: _EventFile | None = None

    def on_step(self, progress: SearchProgress) -> None:
        """Write down a step; the first one cuts off what an earlier run noted of it and of later ones.

        Raises:
            CheckpointError: The log cannot be written.
        """
        noted = self._fields(progress)
        if self._lines is None:
            self._open(progress.step)
        if self._lines is not None:
            with _writing(self.path):
                self._lines.write(json.dumps(noted, allow_nan=False).encode() + b"\n")
        if self._events is not None and self._events_dir is not None:
            with _writing(self._events_dir):
                self._events.add(progress.step, noted)

    def close(self) -> None:
        """Close the files; may be called again."""
        if self._lines is not None:
            self._lines.close()
        if self._events is not None:
            self._events.close()
        self._lines = self._events = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, step: int) -> None:
        with _writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a line is written at once and whole, whatever ends the process.
            self._lines = self.path.open("ab", buffering=0)
            self._lines.truncate(_bytes_before(self.path, step))
        if self._events_dir is not None:
            with _writing(self._events_dir):
                self._events = _EventFile(self._events_dir, step)

    def _fields(self, progress: SearchProgress) -> dict[str, Any]:
        record = progress.generation
        generation = dict.fromkeys(_GENERATION_FIELDS) if record is None else asdict(record)
        return {
            "step": progress.step,
            "steps": progress.steps,
            **generation,
            "loss": progress.loss if math.isfinite(progress.loss) else None,
            "learning_rate": None if self._learning_rate is None else self._learning_rate(),
            "dropped": progress.dropped,
            "measured": progress.measured,
            "elapsed_s": round(progress.elapsed_s, 3),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }


class _EventFile:
    """One of TensorBoard's event files; what other files of its folder have from its first step on is hidden."""

    def __init__(self, folder: Path, first_step: int) -> None:
        # It is an extra, and it takes a second to import.
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventFileWriter(str(folder))
        self._put(first_step, file_version="brain.Event:2")
        self._put(first_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, noted: dict[str, Any]) -> None:
        values = [
            self._summary.Value(tag=tag, simple_value=noted[name])
            for name, tag in _TAGS.items()
            if noted[name] is not None
        ]
        self._put(step, summary=self._summary(value=values))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _put(self, step: int, **content: Any) -> None:
        self._writer.add_event(self._event(wall_time=datetime.now(UTC).timestamp(), step=step, **content))


def _bytes_before(path: Path, step: int) -> int:
    """Return how much of a log tells of steps before one, in whole lines that follow one another."""
    kept, last = 0, 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            found = json.loads(line)["step"]
        except (ValueError, TypeError, KeyError):
            break
        if not line.endswith(b"\n") or not isinstance(found, int) or not last < found < step:
            break
        kept, last = kept + len(line), found
    return kept


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise CheckpointError(path, f"the log cannot be written: {err.strerror or err}") from err

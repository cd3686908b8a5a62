"""Owns how a search is watched: a live table of its last generations, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pocketnas.cli._text import inert

if TYPE_CHECKING:
    from search.progress import SearchProgress

_SHOWN_GENERATIONS = 8
_WIDE_CHARACTERS = 100
"""Terminals from this width on have room for every column."""
_LINE_EVERY_S = 10.0
"""Steps that only learn get no more than one plain line in this time."""

_COLUMNS = ("generation", "evaluated", "front", "hypervolume", "change", "best", "loss", "elapsed")
_WIDE_COLUMNS = (*_COLUMNS[:2], "feasible", *_COLUMNS[2:7], "dropped", "measured", "elapsed")


class SearchView:
    """Shows each step of a search to whoever watches; for use in a `with` block.

    What is printed to the same console meanwhile appears above the table.

    Args:
        console: Where to; stderr, so that results stay alone on stdout.
        title: What is going on, as in "searching under 0.5 ms on host".
        plain: Whether to print lines even on a terminal, as with --json.
        clock: Tells the time in s, so that time goes on between steps.
    """

    def __init__(
        self, console: Console, title: str, *, plain: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._title = console, inert(title)
        self._plain = plain or not console.is_terminal
        self._rows: deque[_Row] = deque(maxlen=_SHOWN_GENERATIONS)
        self._last: SearchProgress | None = None
        self._said_s, self._clock, self._stepped_s = float("-inf"), clock, clock()
        self._live = Live(console=console, refresh_per_second=1, transient=True, get_renderable=self.render)

    def __enter__(self) -> Self:
        if self._plain:
            self._say(self._title)
        else:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._plain:
            return
        self._live.stop()
        if self._rows:
            self._console.print(self._table())

    def on_step(self, progress: SearchProgress) -> None:
        """Show a step."""
        self._last, self._stepped_s = progress, self._clock()
        if progress.generation is not None:
            before = self._rows[-1].hypervolume if self._rows else None
            self._rows.append(_Row(progress, before))
        if not self._plain:
            self._live.refresh()
        elif progress.generation is not None or progress.elapsed_s - self._said_s >= _LINE_EVERY_S:
            self._said_s = progress.elapsed_s
            self._say(self._line(progress))

    def render(self) -> RenderableType:
        """Return what the terminal shows now."""
        return Group(self._table(), self._foot())

    def _table(self) -> Table:
        names = _WIDE_COLUMNS if self._console.width >= _WIDE_CHARACTERS else _COLUMNS
        table = Table(title=Text(self._title), title_justify="left", box=None, pad_edge=False, header_style="bold")
        for name in names:
            table.add_column(name, justify="right", no_wrap=True)
        for row in self._rows:
            table.add_row(*(row.cells[name] for name in names), style="" if row is self._rows[-1] else "dim")
        return table

    def _foot(self) -> RenderableType:
        last = self._last
        if last is None:
            return Text("starting: looking for architectures that keep to the limits", style="dim")
        foot = Table.grid(padding=(0, 2))
        foot.add_row(
            Text(f"step {last.step} of {last.steps}"),
            ProgressBar(total=last.steps, completed=last.step, width=20),
            Text(self._times(last, self._clock() - self._stepped_s)),
        )
        counts = [*([] if self._rows else [f"warming up, loss {_loss(last.loss)}"]), *_counts(last)]
        return Group(foot, Text(", ".join(counts), style="dim")) if counts else foot

    def _line(self, progress: SearchProgress) -> str:
        parts = [f"step {progress.step} of {progress.steps}"]
        if progress.generation is not None:
            parts.append(self._rows[-1].line())
        return ", ".join([*parts, f"loss {_loss(progress.loss)}", *_counts(progress), self._times(progress)])

    def _times(self, progress: SearchProgress, since_s: float = 0.0) -> str:
        """Tell the time that is gone, and what is left once a generation was timed: a warm-up says nothing of one."""
        times = [f"{_clock(progress.elapsed_s + since_s)} elapsed"]
        if progress.generation is None:
            times += [] if self._plain else ["time left not known yet"]
        elif progress.step < progress.steps:
            times.append(f"about {_clock(max(0.0, progress.eta_s - since_s))} left")
        return ", ".join(times)

    def _say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)


class _Row:
    """A generation as it is shown."""

    def __init__(self, progress: SearchProgress, before: float | None) -> None:
        record = progress.generation
        if record is None:
            raise ValueError("a step that only learned is no generation")
        self.hypervolume = record.hypervolume
        self._change = "" if before is None else f"{record.hypervolume - before:+.4f}"
        self.cells = {
            "generation": f"{record.generation}",
            "evaluated": f"{record.evaluated}",
            "feasible": f"{record.feasible}",
            "front": f"{record.front_size}",
            "hypervolume": f"{record.hypervolume:.4f}",
            "change": self._change,
            "best": f"{record.best_accuracy:.1%}",
            "loss": _loss(progress.loss),
            "dropped": f"{progress.dropped}",
            "measured": f"{progress.measured}",
            "elapsed": _clock(progress.elapsed_s),
        }

    def line(self) -> str:
        """Return it in words."""
        cells = self.cells
        change = f" ({self._change})" if self._change else ""
        return (
            f"generation {cells['generation']}: {cells['evaluated']} evaluated, front {cells['front']}, "
            f"hypervolume {cells['hypervolume']}{change}, best {cells['best']}"
        )


def _counts(progress: SearchProgress) -> list[str]:
    """Say what is worth a word only where it happens."""
    counted = ((progress.measured, "measured"), (progress.dropped, "dropped: loss not finite"))
    return [f"{count} {what}" for count, what in counted if count]


def _loss(loss: float) -> str:
    """Return a loss; 0 is that of a search that learns nothing."""
    return f"{loss:.3f}" if loss else "-"


def _clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

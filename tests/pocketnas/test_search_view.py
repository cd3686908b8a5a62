from __future__ import annotations

import io

import pytest
from rich.console import Console

from pocketnas.cli._search_view import SearchView
from search.progress import SearchProgress
from search.state import GenerationRecord


def step(number: int, *, warmup: int = 3, steps: int = 20, eta_s: float = 444.0) -> SearchProgress:
    record = None
    if number > warmup:
        record = GenerationRecord(number - warmup, 128, 64, 11, 0.5 + 0.01 * number, 0.6 + 0.02 * number)
    return SearchProgress(number, steps, record, 1.5 / number, 30.0 * number, eta_s, number // 9, number // 5)


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(view: SearchView, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(view.render())
    return [line.rstrip() for line in written(console).splitlines()]


@pytest.mark.parametrize("width", [80, 160])
def test_the_live_table_holds_the_last_generations_and_fits(width: int) -> None:
    view = SearchView(
        terminal(width), "searching under 0.5 ms on pixel4-emulated, as wide as titles get", clock=lambda: 0
    )
    with view:
        for number in range(1, 16):
            view.on_step(step(number))
            assert all(len(line) <= width for line in shown(view, width))
        title, headings, *rows, foot, counts = shown(view, width)
    assert title.startswith("searching under 0.5 ms")
    assert [row.split()[0] for row in rows] == [str(generation) for generation in range(5, 13)]
    assert rows[-1].split()[-1] == "7:30" and "0.6500" in rows[-1] and "+0.0100" in rows[-1] and "90.0%" in rows[-1]
    assert ("feasible" in headings) == ("measured" in headings) == (width == 160)
    assert foot.startswith("step 15 of 20") and foot.endswith("7:30 elapsed, about 7:24 left")
    assert counts == "3 measured, 1 dropped: loss not finite"


def test_what_is_left_is_told_only_when_a_generation_was_timed_and_time_goes_on_between_steps() -> None:
    now_s = 0.0
    view = SearchView(terminal(80), "searching", clock=lambda: now_s)
    assert "starting" in shown(view, 80)[-1]
    view.on_step(step(2))
    assert shown(view, 80)[-2].endswith("1:00 elapsed, time left not known yet")
    assert shown(view, 80)[-1] == "warming up, loss 0.750"
    view.on_step(step(4, eta_s=3700))
    now_s = 10.0
    assert shown(view, 80)[-1].endswith("2:10 elapsed, about 1:01:30 left")
    now_s = 9000.0
    assert shown(view, 80)[-1].endswith("about 0:00 left")
    view.on_step(step(20))
    assert shown(view, 80)[-2].endswith("10:00 elapsed")


def test_the_table_stays_when_the_search_is_over_and_notes_stand_above_it() -> None:
    console = terminal(80)
    with SearchView(console, "searching") as view:
        for number in range(1, 6):
            view.on_step(step(number))
        console.print("a note")
    after = written(console).rpartition("a note")[2]
    assert "hypervolume" in after and "0.5500" in after and "step 5" not in after.rpartition("hypervolume")[2]


@pytest.mark.parametrize("forced", [False, True])
def test_without_a_terminal_each_generation_is_a_line(forced: bool) -> None:
    console = terminal(160) if forced else Console(file=io.StringIO(), width=160)
    with SearchView(console, "searching under\n0.5 ms", plain=forced) as view:
        for number in range(1, 6):
            view.on_step(step(number, steps=5))
    title, *lines = written(console).splitlines()
    assert title == r"searching under\n0.5 ms" and "\x1b" not in written(console)
    assert lines[0] == "step 1 of 5, loss 1.500, 0:30 elapsed"
    assert lines[3] == (
        "step 4 of 5, generation 1: 128 evaluated, front 11, hypervolume 0.5400, best 68.0%, loss 0.375, "
        "2:00 elapsed, about 7:24 left"
    )
    assert lines[4] == (
        "step 5 of 5, generation 2: 128 evaluated, front 11, hypervolume 0.5500 (+0.0100), best 70.0%, loss 0.300, "
        "1 measured, 2:30 elapsed"
    )


def test_steps_of_a_quick_warm_up_are_not_a_line_each() -> None:
    console = Console(file=io.StringIO(), width=160)
    with SearchView(console, "searching") as view:
        for number in range(1, 41):
            view.on_step(SearchProgress(number, 50, None, 1.0, 0.5 * number, 1.0))
    assert written(console).count("\n") == 1 + 2

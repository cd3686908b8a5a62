"""report.html stands alone, keeps sources apart, and shows foreign text as text."""

from __future__ import annotations

import re
from pathlib import Path

from pocketnas.report import render, write_report
from tests.pocketnas.page_outline import PageOutline, without_plotly
from tests.pocketnas.sample_result import sample_result


def test_page_is_one_file_that_loads_nothing(tmp_path: Path) -> None:
    page = write_report(sample_result(), tmp_path).read_text(encoding="utf-8")
    outline = PageOutline(page)
    assert [tag for tag, attrs in outline.elements if "src" in attrs or tag == "link"] == []
    assert page.count("Plotly.newPlot(id") == 1
    assert len(page) < 7_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_page_says_what_was_measured_and_what_was_predicted() -> None:
    outline = PageOutline(without_plotly(render(sample_result())))
    text = " ".join(outline.text.split())
    assert "cars-3f2a9c-1: 94.2 % accurate" in text or "95.2 % accurate" in text
    assert "Latency measured" in text and "Latency predicted" in text
    assert "held the measured latency of" in text
    assert "above the budget" in text
    assert "pixels from 0 to 1" in text and "normalis" not in text
    ids = {attrs["id"] for _, attrs in outline.elements if attrs.get("id")}
    assert {"front", "calibration", "progress"} <= ids


def test_finalists_that_are_not_valid_say_why() -> None:
    text = " ".join(PageOutline(without_plotly(render(sample_result()))).text.split())
    assert text.count("SEMI_VALID") == 1 and "SEMI_VALID: CPU-SHARED: others took 4 % of the time" in text
    assert " VALID" not in text


def test_no_series_mixes_sources() -> None:
    from pocketnas import _figures

    names = [series["name"] for series in _figures.front_figure(sample_result())["data"]]
    expected = ["predicted", "predicted", "measured", "measured", "measured", "budget"]
    assert [name.split(",")[0].split(" ")[0] for name in names] == expected


def test_only_the_front_is_drawn_and_called_as_one() -> None:
    from pocketnas import _figures

    front, others = _figures.front_figure(sample_result())["data"][:2]
    assert "front" in front["name"] and front["marker"]["symbol"] == "circle" and len(front["x"]) == 3
    assert "front" not in others["name"] and others["marker"]["symbol"] == "circle-open" and len(others["x"]) == 1


def test_foreign_text_is_shown_and_not_obeyed() -> None:
    hostile = '</script><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7*7 }}'
    page = without_plotly(render(sample_result(name=hostile, device=hostile)))
    outline = PageOutline(page)
    assert [tag for tag, attrs in outline.elements if tag == "img" or "onerror" in attrs] == []
    assert sum(tag == "script" for tag, _ in outline.elements) == 1
    assert "alert(1)" in outline.text and "49" not in re.findall(r"\b49\b", outline.text)


def test_page_without_optional_parts() -> None:
    bare = sample_result().model_copy(
        update={
            "dropped": (),
            "generations": (),
            "operators": (),
            "predictor": sample_result().predictor.model_copy(update={"calibration": ()}),
        }
    )
    text = PageOutline(without_plotly(render(bare))).text
    assert "Dropped" not in text and "How the search went" not in text
    assert "No network was measured after it had been predicted" in text


def test_kernels_say_what_they_wait_for_where_it_is_known() -> None:
    first, *others = sample_result().kernels
    known = sample_result().model_copy(update={"kernels": (first.model_copy(update={"bound": "memory"}), *others)})
    assert PageOutline(without_plotly(render(known))).text.count("waits for memory") == 1
    assert "waits for memory" not in PageOutline(without_plotly(render(sample_result()))).text


def test_choices_and_known_networks_have_their_tables() -> None:
    page = render(sample_result())
    assert "One network for each budget and device" in page and "Beside known networks of as much latency" in page
    assert page.count("shufflenet_v2-0.25</td>") == 1 and "90.00 % (86.0 to 93.0)" in page
    alone = sample_result().model_copy(update={"choices": (), "baselines": (), "training": None})
    page = render(alone)
    assert "One network for each budget" not in page and "Beside known networks" not in page

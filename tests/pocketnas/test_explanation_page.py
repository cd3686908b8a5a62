"""The page of an explanation stands alone, keeps sources apart, and shows foreign text as text."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pocketnas import _roofline_figures
from pocketnas._page import _figure
from pocketnas.explanation import DeviceExplanation, NetworkExplanation, explain_network
from pocketnas.explanation_page import limits, reading, render, write_explanation
from predictor import NetworkPredictor, training_rows
from profiler.table import LatencyTable
from tests.pocketnas.page_outline import PageOutline, without_plotly
from tests.predictor._synthetic import law_table, some_networks


@pytest.fixture(scope="module")
def emulated() -> LatencyTable:
    return LatencyTable(law_table(150, networks=8).frame.assign(source="emulated"))


@pytest.fixture(scope="module")
def predictor(emulated: LatencyTable) -> NetworkPredictor:
    return NetworkPredictor().fit(emulated)


@pytest.fixture(scope="module")
def device(predictor: NetworkPredictor, emulated: LatencyTable) -> DeviceExplanation:
    return DeviceExplanation.of_card(predictor.card, training_rows(emulated))


@pytest.fixture(scope="module")
def network(predictor: NetworkPredictor) -> NetworkExplanation:
    (network,) = some_networks(1, np.random.default_rng(3))
    return explain_network(predictor, network, model="mine.tflite")


def test_page_is_one_file_that_loads_nothing(
    device: DeviceExplanation, network: NetworkExplanation, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    write_explanation(device, [network], path)
    page = PageOutline(without_plotly(path.read_text(encoding="utf-8")))
    assert [tag for tag, attrs in page.elements if "src" in attrs or tag == "link"] == []
    assert {attrs["id"] for _, attrs in page.elements if attrs.get("id")} == {"arithmetic", "traffic"}
    text = " ".join(page.text.split())
    assert "mine.tflite" in text and "an emulated phone" in text and "What would help" in text
    assert "GMAC/s" in text and "GB/s" in text and "us a kernel" in text


def test_page_without_a_network_is_about_the_device(device: DeviceExplanation) -> None:
    text = PageOutline(without_plotly(render(device, []))).text
    assert "What bench does at best" in text and "What would help" not in text


def test_page_of_a_card_alone_draws_nothing_it_does_not_have(predictor: NetworkPredictor) -> None:
    page = PageOutline(render(DeviceExplanation.of_card(predictor.card), []))
    assert "Roofline" not in page.text and "The device's limits" in page.text


def test_page_says_when_limits_are_not_known(device: DeviceExplanation, network: NetworkExplanation) -> None:
    unknown = dataclasses.replace(device, roofline=None, kernels=())
    assert limits(unknown) == [] and reading(unknown) == ""
    assert "Not known" in PageOutline(without_plotly(render(unknown, [network]))).text
    assert device.roofline is not None
    open_roofline = device.roofline.model_copy(update={"undetermined": ("compute", "overhead"), "peak_interval": None})
    shown = limits(dataclasses.replace(device, roofline=open_roofline))
    assert [value.split()[0:2] == ["at", "least"] for _, value, _, _ in shown] == [True, False, False]
    assert [value.startswith("at most") for _, value, _, _ in shown] == [False, False, True]
    assert [remark.startswith("not determined") for *_, remark in shown] == [True, False, True]


def test_no_series_mixes_sources(device: DeviceExplanation, network: NetworkExplanation) -> None:
    for figure in (
        _roofline_figures.arithmetic_figure(device, [network]),
        _roofline_figures.traffic_figure(device, [network]),
    ):
        points = [series for series in figure["data"] if series["mode"] == "markers"]
        for series in points:
            family, source = series["name"].split(", ")
            assert source in ("emulated", "predicted")
            assert (series["marker"]["symbol"] == "diamond-open") == (source == "predicted")
            assert all(f"| {source}, " in text and text.startswith(family) for text in series["text"])
        assert {series["name"].split(", ")[1] for series in points} == {"emulated", "predicted"}
        assert [name for _, _, name in _roofline_figures.legend(figure)] == [s["name"] for s in figure["data"]]


def test_roofs_meet_at_the_ridge_and_bounds_are_dashed(device: DeviceExplanation) -> None:
    roofline = device.roofline
    assert roofline is not None and roofline.ridge_macs_per_byte is not None
    figure = _roofline_figures.arithmetic_figure(device, [])
    slope, flat = (series for series in figure["data"] if series["mode"] == "lines")
    assert slope["x"][1] == flat["x"][0] == pytest.approx(roofline.ridge_macs_per_byte)
    assert slope["y"][1] == pytest.approx(flat["y"][0]) == pytest.approx(roofline.peak_gmac_per_s)
    doubted = roofline.model_copy(update={"undetermined": ("compute",)})
    figure = _roofline_figures.arithmetic_figure(dataclasses.replace(device, roofline=doubted), [])
    slope, flat = (series for series in figure["data"] if series["mode"] == "lines")
    assert (slope["line"]["dash"], flat["line"]["dash"]) == ("solid", "dash")
    assert "at least" in flat["name"]


def test_overhead_bends_the_bandwidth(device: DeviceExplanation) -> None:
    assert device.roofline is not None and device.roofline.overhead_us is not None
    figure = _roofline_figures.traffic_figure(device, [])
    flat, bent = (series for series in figure["data"] if series["mode"] == "lines")
    assert bent["y"] == sorted(bent["y"]) and max(bent["y"]) < flat["y"][0]
    size, rate = bent["x"][0], bent["y"][0]
    assert size / rate > device.roofline.overhead_us / 1e3


def test_foreign_text_is_shown_and_not_obeyed(device: DeviceExplanation, network: NetworkExplanation) -> None:
    hostile = '</script><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7*7 }}'
    family = dataclasses.replace(device.kernels[0], kernel=hostile, family=hostile)
    about = dataclasses.replace(device, device=hostile, processor=hostile, kernels=(family, *device.kernels))
    told = dataclasses.replace(network, model=hostile, label=hostile, advice=(hostile,))
    page = PageOutline(without_plotly(render(about, [told])))
    assert [tag for tag, attrs in page.elements if tag == "img" or "onerror" in attrs] == []
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert "alert(1)" in page.text and " 49 " not in page.text


@pytest.mark.parametrize(("value", "shown"), [(0.01234, "0.0123"), (12.34, "12.3"), (1062.4, "1062"), (2e7, "2e+07")])
def test_figures_are_readable(value: float, shown: str) -> None:
    assert _figure(value) == shown

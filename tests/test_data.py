"""Everything in data/ is described, and reads with the code that users read it with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predictor import NetworkPredictor
from profiler.measure import PROTOCOLS
from profiler.network import Network
from profiler.table import COLUMNS, LatencyTable
from search.spaces import CarsParams, CarsSpace
from tests._source import ROOT

DATA = ROOT / "data"
TABLES = sorted(path for path in (DATA / "tables").iterdir() if path.suffix != ".md")
FOLDERS = [DATA, *sorted(path for path in DATA.iterdir() if path.is_dir())]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_folder_says_what_it_holds(folder: Path) -> None:
    assert (folder / "README.md").is_file()


def test_the_schema_is_written_down() -> None:
    text = (DATA / "tables" / "README.md").read_text(encoding="utf-8")
    assert [name for name in COLUMNS if f"`{name}`" not in text] == []


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_tables_are_labelled_with_device_runtime_and_protocol(path: Path) -> None:
    table = LatencyTable.read(path)
    frame = table.frame
    assert len(table.usable()) >= 50
    assert (frame["verdict"] == "VALID").mean() >= 0.9, "measured on a busy machine: measure again"
    assert len(table.sources) == 1
    for column in ("device", "runtime", "runtime_version", "threads", "dtype", "processor"):
        assert frame[column].nunique() == 1, f"{column}: one file holds one configuration"
    assert len(table.kernels()) > 0
    assert len(table.networks()) > 0
    assert not frame.duplicated(["level", "key"]).any()
    names = {protocol.split("_")[-1].rpartition("-")[0] for protocol in frame["protocol"]}
    assert names <= PROTOCOLS.keys()


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_rows_hold_the_networks_that_they_name(path: Path) -> None:
    for row in LatencyTable.read(path).frame.to_dict(orient="records"):
        network = Network.from_json(row["config"])
        assert network.key == row["key"]
        if row["level"] == "kernel":
            assert row["kind"] == "+".join(operator.kind for operator in network.operators)


def test_the_shipped_table_covers_the_space_that_a_search_starts_with() -> None:
    predictor = NetworkPredictor().fit(LatencyTable.read(DATA / "tables" / "host-litert-float32.csv"))
    space = CarsSpace(CarsParams(image_shape=(8, 8, 1), classes=10))
    rng = np.random.default_rng(0)
    predictions = predictor.predict_many(space.lower(space.sample(rng)) for _ in range(50))
    assert sum(prediction.in_domain for prediction in predictions) >= 45
    assert all(prediction.high_ms < 1.5 * prediction.low_ms for prediction in predictions if prediction.in_domain)

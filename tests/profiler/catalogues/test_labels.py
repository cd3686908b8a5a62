"""Published labels: the unit is known or asked for, and a wrong cell is named by row and column."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from predictor import NetworkPredictor
from profiler.catalogues import LabelledNetwork, MbconvBlock, labelled_table, read_labels
from profiler.errors import TableError
from tests.predictor._synthetic import true_network_ms
from tests.profiler.catalogues._phone_data import PHONE_DATA, needs_phone_data

KEYS = [
    f"conv_{size}_{channels}_{channels}_{expansion}_1_relu_{kernel}_nose"
    for size in (14, 28) for channels in (16, 24) for expansion in (1, 3, 6) for kernel in (3, 5)
]  # fmt: skip


def written(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
def test_labels_are_read_in_ms(tmp_path: Path, mark: bytes, packed: bool) -> None:
    data = mark + b"model,device,latency_us\nnet_1,p,1500\nnet_2,p,2.5e3\n"
    path = written(tmp_path, gzip.compress(data) if packed else data, "labels.csv.gz" if packed else "labels.csv")
    labels = list(read_labels(path, name="model", latency="latency_us"))
    assert [(label.row, label.name, label.latency_ms) for label in labels] == [(1, "net_1", 1.5), (2, "net_2", 2.5)]
    assert labels[0].cells["device"] == "p"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "column 'model' is missing"),
        ("name,latency_ms\na,1\n", "column 'model' is missing; there are name, latency_ms"),
        ("model,latency\na,1\n", "column 'latency_ms' is missing"),
        ("model,model,latency_ms\na,a,1\n", "'model' stands there twice"),
        ("model,latency_ms,latency_us\na,1,1000\n", "'latency_ms' and 'latency_us' mix units"),
        ("model,latency_ms\na,1\nb,2 us\n", "row 2, column 'latency_ms': '2 us' is not a number"),
        ("model,latency_ms\na,nan\n", "row 1, column 'latency_ms': 'nan' is not a finite latency"),
        ("model,latency_ms\na,0\n", "not a finite latency above 0"),
        ("model,latency_ms\na,-1\n", "not a finite latency above 0"),
        ("model,latency_ms\na,=1+1\n", "not a number"),
        ("model,latency_ms\na\n", "row 1 has 1 cells, not 2"),
        (b"model,latency_ms\n\xff,1\n", "not UTF-8"),
    ],
)
def test_wrong_files_are_refused_by_row_and_column(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(TableError, match=problem):
        list(read_labels(written(tmp_path, text), name="model", latency="latency_ms"))


def test_a_column_without_a_unit_needs_one(tmp_path: Path) -> None:
    path = written(tmp_path, "key,pixel1\na,2\n")
    with pytest.raises(TableError, match="has no unit; name it pixel1_ms"):
        list(read_labels(path, name="key", latency="pixel1"))
    assert [label.latency_ms for label in read_labels(path, name="key", latency="pixel1", unit="s")] == [2000.0]
    for column, unit in (("pixel1", "minutes"), ("pixel1_us", "ms")):
        renamed = written(tmp_path, f"key,{column}\na,2\n", "renamed.csv")
        with pytest.raises(TableError, match="cannot be in"):
            list(read_labels(renamed, name="key", latency=column, unit=unit))


def test_absent_truncated_and_swollen_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profiler.catalogues.labels._MOST_BYTES", 1000)
    packed = gzip.compress(b"model,latency_ms\n" + b"a,1\n" * 10_000)
    for name, data, problem in (
        ("a.csv.gz", packed[:-20], "cannot be read"),
        ("b.csv.gz", packed, "larger than"),
        ("c.csv.gz", b"model,latency_ms\n", "cannot be read"),
    ):
        with pytest.raises(TableError, match=problem):
            monkeypatch.setattr("profiler.catalogues.labels._MOST_BYTES", 1000 if name == "b.csv.gz" else 10**6)
            list(read_labels(written(tmp_path, data, name), name="model", latency="latency_ms"))
    with pytest.raises(TableError, match="cannot be read"):
        list(read_labels(tmp_path / "absent.csv", name="model", latency="latency_ms"))


def test_a_predictor_learns_from_blocks_of_a_catalogue() -> None:
    networks = [MbconvBlock.parse(key).to_network() for key in KEYS]
    rows = [
        LabelledNetwork(key, network, true_network_ms(network)) for key, network in zip(KEYS, networks, strict=True)
    ]
    table = labelled_table(rows, device="pixel1", runtime="litert")
    assert set(table.frame["level"]) == {"network"}
    assert table.sources == ("measured",)
    predictor = NetworkPredictor().fit(table)
    between = MbconvBlock.parse("conv_20_24_24_3_1_relu_3_nose").to_network()
    assert predictor.predict(between).latency_ms == pytest.approx(true_network_ms(between), rel=0.1)


@needs_phone_data
def test_published_blocks_are_labelled_and_learned() -> None:
    path = PHONE_DATA / "nn-meter" / "block_latency.csv.gz"
    labels = [
        label for label in read_labels(path, name="key", latency="pixel4", unit="ms") if label.name[:5] == "conv_"
    ]
    assert len(labels) == 1788
    with gzip.open(path, "rt", encoding="utf-8") as text:
        column = {row["key"]: float(row["pixel4"]) for row in csv.DictReader(text)}
    assert all(label.latency_ms == column[label.name] for label in labels)
    chosen = labels[::12]
    rows = [LabelledNetwork(one.name, MbconvBlock.parse(one.name).to_network(), one.latency_ms) for one in chosen]
    predictor = NetworkPredictor().fit(labelled_table(rows, device="pixel4", runtime="litert", processor="Cortex-A76"))
    others = labels[6::120]
    predicted = predictor.predict_many([MbconvBlock.parse(one.name).to_network() for one in others], allow_unknown=True)
    errors = [abs(found.latency_ms / one.latency_ms - 1) for found, one in zip(predicted, others, strict=True)]
    assert np.median(errors) < 0.15

"""What a file is follows from its content, whatever it is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from profiler.errors import ModelFileError
from profiler.formats import read_model, write_onnx, write_tflite
from profiler.zoo import super_resolution

NETWORK = super_resolution().with_random_weights(np.random.default_rng(0))


@pytest.mark.parametrize("name", ["model.tflite", "model.bin", "MODEL.TFLITE", "model.onnx"])
def test_a_tflite_file_is_known_by_its_identifier(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(write_tflite(NETWORK))
    assert read_model(tmp_path / name) == read_model(str(tmp_path / name))
    assert read_model(tmp_path / name).key == NETWORK.key


@pytest.mark.parametrize("name", ["model.onnx", "model", "model.json"])
def test_an_onnx_file_is_known_by_its_graph(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(write_onnx(NETWORK))
    assert read_model(tmp_path / name).key == NETWORK.key


def test_a_network_in_json_is_read_without_weights(tmp_path: Path) -> None:
    path = tmp_path / "network.json"
    path.write_text(NETWORK.to_json())
    assert read_model(path) == NETWORK.without_weights()
    with pytest.raises(ModelFileError, match="fixed shapes"):
        read_model(path, input_shapes={NETWORK.inputs[0].name: (1, 8, 8, 3)})


def test_the_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(NETWORK)[:1000])
    with pytest.raises(ModelFileError) as caught:
        read_model(path)
    assert caught.value.path == path
    assert str(path) in str(caught.value)

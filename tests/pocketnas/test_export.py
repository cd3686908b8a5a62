"""Exported files compute what was trained, and a file that does not is never left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketnas import export
from pocketnas.errors import ExportMismatchError
from pocketnas.export import export_networks, relative_difference
from profiler.formats import write_tflite
from profiler.network import Conv2d, Dense, GlobalAvgPool2d, Network, Relu, TensorSpec


def _network(seed: int = 0) -> Network:
    network = Network(
        "small",
        [TensorSpec("image", (1, 8, 8, 1))],
        [
            Conv2d("conv", ("image",), 6),
            Relu("relu", ("conv",)),
            GlobalAvgPool2d("pool", ("relu",)),
            Dense("logits", ("pool",), 4),
        ],
        ["logits"],
    )
    return network.with_random_weights(np.random.default_rng(seed))


IMAGES = np.random.default_rng(1).random((5, 8, 8, 1), dtype=np.float32)


def test_both_files_are_written_and_agree(tmp_path: Path) -> None:
    both = export_networks({"small": _network(), "other": _network(seed=7)}, tmp_path / "finalists", IMAGES)
    exported = both["small"]
    assert list(both) == ["small", "other"] and not np.allclose(exported.outputs, both["other"].outputs)
    assert sorted(path.name for path in exported.paths.values()) == ["small.onnx", "small.tflite"]
    assert all(path.stat().st_size > 0 for path in exported.paths.values())
    assert exported.outputs.shape == (5, 4)
    assert exported.largest_difference < 1e-5


def test_a_file_with_other_weights_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**export._FORMATS, "tflite": ("litert", lambda _: write_tflite(_network(seed=7)))}
    monkeypatch.setattr(export, "_FORMATS", wrong)
    with pytest.raises(ExportMismatchError, match="small") as caught:
        export_networks({"small": _network()}, tmp_path, IMAGES)
    assert caught.value.file_format == "tflite"
    assert list(tmp_path.iterdir()) == []


def test_relative_difference_shows_nan() -> None:
    wanted = np.array([[1.0, -4.0]], dtype=np.float32)
    assert relative_difference(wanted + 0.4, wanted) == pytest.approx(0.1)
    assert np.isnan(relative_difference(np.full_like(wanted, np.nan), wanted))

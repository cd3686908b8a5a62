import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from predictor import NetworkPredictor
from predictor import _family as family_module
from predictor import _trees as trees_module
from predictor._files import SCHEMA_VERSION
from predictor.errors import NewerSchemaError, PredictorFileError
from tests.predictor._synthetic import assert_same, law_table, some_networks

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def forest_predictor() -> NetworkPredictor:
    """A predictor with trees for the families with more than 20 rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family_module, "ROWS_FOR_TREES", 20)
        patch.setattr(trees_module, "_TREES", 12)
        return NetworkPredictor().fit(law_table(150, networks=3))


@pytest.fixture(params=["gaussian", "trees"])
def predictor(
    request: pytest.FixtureRequest, network_predictor: NetworkPredictor, forest_predictor: NetworkPredictor
) -> NetworkPredictor:
    return network_predictor if request.param == "gaussian" else forest_predictor


class Bomb:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path, str]]:
        return Path.write_text, (Path("canary"), "boom")


def parts(path: Path) -> tuple[dict[str, Any], Arrays]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    return json.loads(header["__metadata__"]["pocketnas_predictor"]), load(content)


def forge(path: Path, document: object, arrays: Arrays) -> Path:
    path.write_bytes(save(arrays, {"pocketnas_predictor": json.dumps(document)}))
    return path


def test_a_round_trip_changes_nothing(predictor: NetworkPredictor, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    predictor.save(path)
    again = NetworkPredictor.load(path)
    networks = some_networks(30, np.random.default_rng(0))
    assert_same(again.predict_many(networks), predictor.predict_many(networks))
    assert again.card == predictor.card
    assert (again.device, again.runtime, again.threads, again.dtype, again.sources) == (
        "bench", "litert", 1, "float32", ("measured",),
    )  # fmt: skip
    again.save(tmp_path / "q.safetensors")
    assert path.read_bytes() == (tmp_path / "q.safetensors").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["p.safetensors", "q.safetensors"]


def test_trees_predict_the_law_too(forest_predictor: NetworkPredictor) -> None:
    regressors = {card.family: card.regressor for card in forest_predictor.card.families}
    assert set(regressors.values()) == {"trees"}
    assert all((card.held_out.mape_percent or 0) < 25 for card in forest_predictor.card.families)


@pytest.mark.parametrize("kind", ["pickle", "zip", "text", "empty", "short", "folder", "missing"])
def test_other_files_are_refused_and_never_opened(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "p.safetensors"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Bomb()))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("../canary", "boom")
            archive.writestr("data.pkl", pickle.dumps(Bomb()))
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"text": b"latency_ms\n1.0\n" * 9, "empty": b"", "short": b"\x02\0\0"}[kind])
    with pytest.raises(PredictorFileError, match=r"p\.safetensors"):
        NetworkPredictor.load(path)
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path.parent / "canary").exists()


def test_a_newer_schema_names_the_version_needed(network_predictor: NetworkPredictor, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    network_predictor.save(path)
    document, arrays = parts(path)
    forge(path, document | {"schema": SCHEMA_VERSION + 1, "written_by": "9.4.0", "surprise": 1}, arrays)
    with pytest.raises(NewerSchemaError, match=r"pocketnas 9\.4\.0") as caught:
        NetworkPredictor.load(path)
    assert (caught.value.found, caught.value.supported) == (SCHEMA_VERSION + 1, SCHEMA_VERSION)


@pytest.mark.parametrize("schema", [0, -1, "1", None, True, 1.5])
def test_a_schema_that_is_no_version_is_refused(
    schema: object, network_predictor: NetworkPredictor, tmp_path: Path
) -> None:
    path = tmp_path / "p.safetensors"
    network_predictor.save(path)
    document, arrays = parts(path)
    with pytest.raises(PredictorFileError):
        NetworkPredictor.load(forge(path, document | {"schema": schema}, arrays))


def damage_child(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["conv2d/left"][0] = 10**6


def damage_loop(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["conv2d/right"][0] = 0


def damage_feature(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["conv2d/features"][0] = 999


def damage_root(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["conv2d/roots"][-1] = -3


def damage_index_type(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["conv2d/left"] = arrays["conv2d/left"].astype(np.float64)


def damage_nan(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["conv2d/rows"][0, 0] = np.nan


def damage_missing(document: dict[str, Any], arrays: Arrays) -> None:
    del arrays["conv2d/costs"]


def damage_extra(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["intruder"] = np.zeros(3)


def damage_shape(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["conv2d/rows"] = arrays["conv2d/rows"][:, :-1].copy()


def damage_rank(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["pooled_costs"] = arrays["pooled_costs"][None].copy()


def damage_costs(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["conv2d/costs"][1] = -1.0


def damage_dtype(document: dict[str, Any], arrays: Arrays) -> None:
    arrays["pooled_costs"] = arrays["pooled_costs"].astype(np.float32)


def damage_noise(document: dict[str, Any], arrays: Arrays) -> None:
    document["costs"]["families"]["conv2d"]["noise"] = 0.0


def damage_infinite(document: dict[str, Any], arrays: Arrays) -> None:
    document["composition"]["scale"] = float("inf")


def damage_unknown_key(document: dict[str, Any], arrays: Arrays) -> None:
    document["costs"]["families"]["conv2d"]["code"] = "print(1)"


def damage_features(document: dict[str, Any], arrays: Arrays) -> None:
    document["coordinates"][0] = "phase_of_the_moon"


def damage_sizes(document: dict[str, Any], arrays: Arrays) -> None:
    document["composition"]["smallest_ms"] = 0.0


def damage_runtime(document: dict[str, Any], arrays: Arrays) -> None:
    document["card"]["runtime"] = ""


def damage_regressor(document: dict[str, Any], arrays: Arrays) -> None:
    document["costs"]["families"]["conv2d"].update(regressor="gaussian", amplitude=0.0)


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_files_are_refused(
    damage: Callable[[dict[str, Any], Arrays], None], forest_predictor: NetworkPredictor, tmp_path: Path
) -> None:
    path = tmp_path / "p.safetensors"
    forest_predictor.save(path)
    document, arrays = parts(path)
    arrays = {name: array.copy() for name, array in arrays.items()}
    damage(document, arrays)
    with pytest.raises(PredictorFileError):
        NetworkPredictor.load(forge(path, document, arrays))


def test_every_truncation_is_refused(network_predictor: NetworkPredictor, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    network_predictor.save(path)
    content = path.read_bytes()
    for size in np.linspace(0, len(content) - 1, 23).astype(int):
        path.write_bytes(content[:size])
        with pytest.raises(PredictorFileError, match="damaged" if size >= 9 else "not a predictor"):
            NetworkPredictor.load(path)


@pytest.mark.parametrize("metadata", ["[" * 100_000, "[]", '"text"', "{}", "not json"])
def test_other_safetensors_are_no_predictors(metadata: str, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    path.write_bytes(save({"a": np.zeros(2)}, {"pocketnas_predictor": metadata}))
    with pytest.raises(PredictorFileError, match="holds no predictor"):
        NetworkPredictor.load(path)
    path.write_bytes(save({"a": np.zeros(2)}))
    with pytest.raises(PredictorFileError, match="holds no predictor"):
        NetworkPredictor.load(path)


def test_a_failed_save_leaves_the_old_file_alone(network_predictor: NetworkPredictor, tmp_path: Path) -> None:
    with pytest.raises(PredictorFileError, match="cannot be written"):
        network_predictor.save(tmp_path / "no such folder" / "p.safetensors")
    (tmp_path / "taken").mkdir()
    with pytest.raises(PredictorFileError, match="cannot be written"):
        network_predictor.save(tmp_path / "taken")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]

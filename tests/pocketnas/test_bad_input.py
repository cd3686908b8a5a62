"""Bad input at the command line: one line on stderr, the right exit code, and nothing done or run.

The numbers are rows of the list of bad inputs that the project holds itself to.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import onnx as onnx_library
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from pocketnas.cli import run
from predictor import NetworkPredictor, _family, _trees
from profiler.adb import AdbServer, ServerTransport
from profiler.backends import BlockRequest, EmulatedBackend
from profiler.devices import EmulatedDevice
from profiler.errors import DeviceOfflineError, ModelFileError
from profiler.formats import read_torch
from profiler.network import Dense, Network, TensorSpec
from profiler.phone import Phone, PhoneServer, load_phone
from profiler.phone.files import SHELL_USER
from profiler.phone.programs import virtual_program
from profiler.workload import Workload
from tests.adb_programs import adb_client, free_port, own_adb
from tests.predictor._synthetic import law_table


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """Run a command that must fail, and return its one line."""
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith(("warning: ", "measuring on ", "searching for "))]
    assert len(lines) == 1 and lines[0].startswith("error: "), err
    assert lines[0].isprintable()
    return lines[0]


@pytest.fixture
def own_locks(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what one test makes of a device from the next, which gives the same name to another."""
    monkeypatch.setenv("POCKETNAS_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


DEVICES = {
    "1 code": "devices: !!python/object/apply:os.system ['touch canary']",
    "2 alias bomb": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\ndevices: {h: *c}",
    "3 unknown key": "devices:\n  host:\n    backend: host\n    thread: 2\n",
    "3 key given twice": "devices:\n  host: {backend: host}\n  host: {backend: host}\n",
}


@pytest.mark.parametrize("text", DEVICES.values(), ids=DEVICES.keys())
def test_devices_file(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("devices.yaml").write_text(text)
    assert "devices.yaml" in refused(["devices"], capsys)
    assert names(tmp_path) == ["devices.yaml"]


def test_3_unknown_key_names_line_and_nearest_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(DEVICES["3 unknown key"])
    line = refused(["devices", "--config", str(path)], capsys)
    assert "mine.yaml:4" in line and "'threads'" in line


@pytest.mark.parametrize("budget", ["nan", "inf", "-inf", "-1", "0", "fast"])
@pytest.mark.parametrize("command", ["search", "quickstart"])
def test_4_budget_that_is_no_latency(command: str, budget: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--budget-ms" in refused([command, "--budget-ms", budget], capsys)


@pytest.mark.parametrize("budgets", ["1,nan", "inf,1", "1,-2", "1,,2", ",", "0.5;1", ""])
def test_4_list_of_budgets_with_one_that_is_no_latency(budgets: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--budget-ms" in refused(["search", "--budget-ms", budgets], capsys)


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (["--space", "shufflenet"], "'shufflenetv2'"),
        (["--space", "gone.yaml"], "gone.yaml"),
        (["--space", "mobilenetv3", "--space-set", "kernals=3"], "'kernels'"),
        (["--space", "cars", "--space-set", "operations=sep_konv_3x3"], "'sep_conv_3x3'"),
        (["--space", "shufflenetv2", "--nodes", "3"], "nodes"),
        (["--space-set", "cells"], "KEY=VALUE"),
        (["--algorithm", "nsga4"], "'nsga3'"),
        (["--selection", "pnsga"], "'pnsga3'"),
        (["--objective", "latency"], "'latency_ms'"),
        (["--limit", "parameter=3"], "'parameters'"),
        (["--limit", "macs=nan"], "macs"),
        (["--augmentation", "randaugmnt"], "'randaugment'"),
        (["--alpha", "nan"], "alpha"),
        (["--alpha", "0.7"], "alpha"),
        (["--device", "pixel5"], "no such device"),
        (["--device", "host", "--population", "1"], "population"),
        (["--device", "host", "--predictor", "gone.safetensors"], "gone.safetensors"),
    ],
)
def test_search_names_what_is_near(
    arguments: list[str],
    nearest: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert nearest in refused(["search", "--budget-ms", "1", *arguments], capsys)
    assert names(tmp_path) == [], "nothing was begun"


def test_5_least_rounds_above_most_names_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = refused(["profile", "--rounds", "20", "--max-rounds", "7"], capsys)
    assert "20" in line and "7" in line
    assert names(tmp_path) == []


@pytest.mark.parametrize("device", ["x; touch canary", "$(touch canary)", "phone\x1b[2J"])
def test_6_device_names_are_text(
    device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no such device" in refused(["profile", "--device", device], capsys)
    assert names(tmp_path) == []


SERIALS = ["x; touch canary", "$(touch canary)", "`touch canary`", "-s", "two\nlines", "phone\x1b[2J", "🙂"]


@pytest.mark.usefixtures("own_locks")
@pytest.mark.parametrize("serial", SERIALS)
def test_6_serials_are_text(
    serial: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    _phone(tmp_path, serial=serial)
    for _ in range(4):
        assert "no such device" in refused(["profile", "--device", "phone"], capsys), "nothing that is set aside"
    assert run(["devices"]) == 0
    shown = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert sorted(names(tmp_path)) == ["devices.yaml", "measurements.db", "program"]


@pytest.mark.adb_client("debian")
@pytest.mark.parametrize("serial", SERIALS[:4])
def test_6_serials_are_text_to_an_adb_server_too(
    serial: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = adb_client("debian")
    assert path is not None
    with own_adb(path, tmp_path) as program:
        program("start-server")
        with pytest.raises(DeviceOfflineError, match="not found"):
            ServerTransport(serial, AdbServer(port=program.port)).shell("true", timeout_s=0.5)
    assert "canary" not in names(tmp_path)


@pytest.mark.parametrize(
    "folder",
    ["/system", "/data/local/tmp/../..", "/data/local/tmp", "/data/local/tmp/pocketnas/../../x", "/sdcard/pocketnas",
     "pocketnas", "/data/local/tmp/pocketnas; rm -rf /", "/data/local/tmp/pocketnas$(id)"],
)  # fmt: skip
def test_8_remote_folders_that_are_not_ours(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _phone(tmp_path, remote_directory=folder)
    line = refused(["devices"], capsys)
    assert "remote_directory" in line and "devices.yaml:" in line and "/data/local/tmp/pocketnas" in line


def test_10_a_model_larger_than_what_is_free_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    """A real one has gigabytes; more than 2 GiB is not even read here."""
    wide = Network("wide", [TensorSpec("x", (1, 5000))], [Dense("y", ("x",), 4000)], ["y"])
    device = EmulatedDevice.model_validate({"name": "phone", "backend": "emulated"})
    with EmulatedBackend(device) as backend:
        data = backend.phone.files.mount_of("/data")
        data.used_bytes = data.size_bytes - 60_000_000
        (result,) = backend.run_blocks([BlockRequest(Workload(wide), 0, 1)])
        assert data.free_bytes > 59_000_000, "nothing of it was sent"
    assert result.failure is not None
    assert "80" in result.failure.detail and "free" in result.failure.detail


def test_10_a_file_beyond_what_formats_can_hold_is_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], predictor_file: Path
) -> None:
    path = tmp_path / "huge.tflite"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    line = refused(["predict", str(path), "--predictor", str(predictor_file)], capsys)
    assert "3221225472 bytes" in line


@pytest.mark.usefixtures("own_locks")
@pytest.mark.parametrize("machine", [3, 40, 62, 243], ids=["x86", "arm", "x86-64", "riscv"])
def test_a_benchmark_program_of_another_processor_is_refused_before_it_is_sent(
    machine: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POCKETNAS_ADB_KEY", str(tmp_path / "adbkey"))
    phone = Phone(load_phone("pixel4"))
    phone.description.properties["ro.product.cpu.abilist"] = "arm64-v8a"
    program = bytearray(virtual_program("benchmark_model"))
    program[4] = 1 if machine in (3, 40) else 2
    program[18:20] = machine.to_bytes(2, "little")
    with PhoneServer(phone) as served:
        _phone(tmp_path, serial=served.address, content=bytes(program))
        line = refused(["profile", "--device", "phone"], capsys)
    assert "built for" in line and "arm64-v8a" in line
    assert phone.files.names("/data/local/tmp", SHELL_USER) == []


@pytest.mark.usefixtures("own_locks")
def test_a_benchmark_program_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POCKETNAS_ADB_KEY", str(tmp_path / "adbkey"))
    with PhoneServer(Phone(load_phone("pixel4"))) as served:
        _phone(tmp_path, serial=served.address, content=b"#!/bin/sh\necho hello\n")
        assert "no ELF file" in refused(["profile", "--device", "phone"], capsys)
        _phone(tmp_path, serial=served.address, program=str(tmp_path / "gone"))
        assert "gone" in refused(["profile", "--device", "phone"], capsys)


def _phone(folder: Path, *, content: bytes = b"\x7fELF", **settings: str) -> None:
    """Write a devices file with one phone, and a file in the place of its program."""
    (folder / "program").write_bytes(content)
    phone = {"backend": "adb", "serial": "phone", "program": str(folder / "program"), **settings}
    (folder / "devices.yaml").write_text(
        json.dumps({"devices": {"phone": phone}}, ensure_ascii=False), encoding="utf-8"
    )


@pytest.mark.parametrize("name", ["$(touch canary).tflite", "-rf", "two\nlines.tflite", "🙂.tflite", "; ls"])
def test_7_any_file_name_works(
    name: str,
    tflite: bytes,
    predictor_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(tflite)
    assert run(["predict", "--predictor", str(predictor_file), "--json", "--", name]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["models"][0]["model"] == name
    assert document["models"][0]["source"] == "predicted"
    assert names(tmp_path) == [name]


DAMAGED = {"empty": b"", "random": bytes(range(256)) * 40, "text": b"hello", "pickle": pickle.dumps({"a": 1})}


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_9_no_model_at_all(
    content: bytes, suffix: str, predictor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    assert path.name in refused(["predict", "--predictor", str(predictor_file), str(path)], capsys)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_9_truncated_model_is_refused_before_the_device_is_touched(
    share: float, tflite: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(tflite[: int(share * len(tflite))])
    line = refused(["profile", "--network", str(path), "--store", str(tmp_path / "a.db")], capsys)
    assert "cut.tflite" in line and "not a valid" in line
    assert not (tmp_path / "a.db").exists()


def _onnx(operator: str, shape: list[int | str]) -> bytes:
    node = helper.make_node(operator, ["image"], ["out"])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "graph", [image], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(onnx_library.load_model_from_string(made.SerializeToString()).SerializeToString())


@pytest.mark.parametrize("command", ["predict", "explain"])
def test_12_unknown_operator_gets_no_number_unless_asked(
    command: str, predictor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "erf.onnx"
    path.write_bytes(_onnx("Erf", [1, 4, 8, 8]))
    arguments = [command, "--predictor", str(predictor_file), str(path)]
    line = refused(arguments, capsys)
    assert "out of domain" in line and "Erf" in line
    assert run([*arguments, "--allow-unknown", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    assert found["in_domain"] is False and found["out_of_domain"] and found["latency_ms"] > 0
    assert 0 < found["low_ms"] < found["latency_ms"] < found["high_ms"]


def test_13_open_sizes_ask_for_a_shape(
    predictor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "open.onnx"
    path.write_bytes(_onnx("Relu", ["batch", 4, 8, 8]))
    arguments = ["predict", "--predictor", str(predictor_file), "--allow-unknown", str(path)]
    assert "--input image:1x4x8x8" in refused(arguments, capsys)
    assert run([*arguments, "--input", "image:1x4x8x8"]) == 0


@pytest.mark.parametrize("shape", ["1x4x8x8", "image:", "image:1x0", "image:-1x4", "image:axb", ":1x2", "image:²x3"])
def test_13_shapes_that_are_none(shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name:1x224x224x3" in refused(["predict", "model.onnx", "--input", shape], capsys)


class _Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_15_control_flow_on_data_passes_the_exporters_error_on_with_a_hint() -> None:
    import torch

    class Branching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelFileError, match=r"(?s)data-dependent.*torch\.where") as caught:
        read_torch(Branching(), (torch.zeros(1, 3, 4, 4),))
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


@pytest.mark.parametrize("command", [["predict", "m.tflite"], ["search"]])
def test_16_pickle_in_the_place_of_a_predictor_is_never_opened(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary, path = tmp_path / "canary", tmp_path / "predictor.safetensors"
    path.write_bytes(pickle.dumps(_Canary(canary)))
    assert "predictor.safetensors" in refused([*command, "--predictor", str(path)], capsys)
    assert not canary.exists()


def test_18_predictor_with_an_index_out_of_bounds_is_no_predictor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_family, "ROWS_FOR_TREES", 5)
    monkeypatch.setattr(_trees, "_TREES", 3)
    path, forged = tmp_path / "trees.safetensors", tmp_path / "forged.safetensors"
    NetworkPredictor().fit(law_table(60, networks=3)).save(path)
    arrays = load_file(path)
    (name, *_) = (name for name in arrays if name.endswith("/left"))
    arrays[name][0] = 10**6
    save_file(arrays, forged, _metadata(path))
    line = refused(["predict", "m.tflite", "--predictor", str(forged)], capsys)
    assert "forged.safetensors" in line and "points out of bounds" in line


def test_19_predictor_of_a_newer_schema_names_the_version(
    predictor_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(_metadata(predictor_file)["pocketnas_predictor"])
    document |= {"schema": 99, "written_by": "9.4.1"}
    newer = tmp_path / "newer.safetensors"
    save_file(load_file(predictor_file), newer, {"pocketnas_predictor": json.dumps(document)})
    line = refused(["predict", "m.tflite", "--predictor", str(newer)], capsys)
    assert "99" in line and "9.4.1" in line


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "np") as opened:
        return dict(opened.metadata())


def test_20_predictor_of_another_device_is_refused_unless_forced_and_then_labelled(
    predictor_file: Path, tflite: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(tflite)
    arguments = ["predict", str(model), "--predictor", str(predictor_file), "--device", "phone-b"]
    line = refused(arguments, capsys)
    assert "'bench'" in line and "'phone-b'" in line and "force" in line
    assert run([*arguments, "--force"]) == 0
    assert "predicted for 'bench', not for 'phone-b'" in capsys.readouterr().out
    assert run([*arguments, "--force", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    assert found["label"] == "predicted for 'bench', not for 'phone-b'"
    assert run([*arguments[:-1], "bench", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["label"] == ""


def test_22_three_rows_are_too_few_to_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "three.csv", tmp_path / "p.safetensors"
    law_table(3).write(path)
    line = refused(["fit", "--table", str(path), "--out", str(out)], capsys)
    assert "3" in line and "at least" in line
    assert not out.exists()


def test_25_infeasible_budget_names_the_closest_and_its_gap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cars_predictor: Path
) -> None:
    arguments = ["search", "--predictor", str(cars_predictor), "--budget-ms", "0.0001", "--out", str(tmp_path / "out")]
    arguments += ["--cells", "3", "--channels", "2", "--nodes", "1", "--population", "4", "--generations", "1"]
    line = refused(arguments, capsys, code=4)
    assert "closest" in line and "misses it by" in line and "ms" in line


def test_missing_files_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = str(tmp_path / "gone")
    assert "profile" in refused(["table", "--store", gone], capsys)
    assert "gone" in refused(["predict", gone, "--predictor", gone], capsys)
    assert "pocketnas verify" in refused(["report", gone], capsys)
    assert "pocketnas search" in refused(["verify", gone], capsys)
    assert not Path(gone).exists()


def test_a_text_file_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.db"
    path.write_text("not a database " * 100)
    assert "notes.db" in refused(["table", "--store", str(path)], capsys)


def test_fit_needs_exactly_one_place_to_learn_from(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--store", "a.db", "--table", "a.csv"]):
        assert "either --store or --table" in refused(["fit", *arguments], capsys)


def test_finished_folder_is_not_searched_again_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "search.safetensors").write_bytes(b"x")
    assert "--resume" in refused(["search", "--out", str(tmp_path)], capsys)
